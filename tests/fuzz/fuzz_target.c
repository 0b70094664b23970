/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical forms are fixed points: of a target, of a host; and nothing that is refused for
 * good reason is in them. */
#include <stdlib.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void same(struct str a, struct str b)
{
	if (!str_eq(a, b))
		abort();
}

static void target(struct str raw)
{
	const char *why = NULL;
	struct target once, twice;
	struct buf a, b;

	buf_init(&a, 1 << 16);
	buf_init(&b, 1 << 16);
	if (target_canonical(raw, &a, &once, &why) == 0) {
		if (target_canonical(once.whole, &b, &twice, &why) < 0)
			abort();
		same(once.whole, twice.whole);
		same(once.path, twice.path);
		same(once.query, twice.query);
		if (memmem(once.path.p, once.path.n, "/../", 4) ||
		    memmem(once.path.p, once.path.n, "//", 2) ||
		    memmem(once.path.p, once.path.n, "%2F", 3) ||
		    memchr(once.path.p, '\\', once.path.n) ||
		    memchr(once.path.p, ';', once.path.n) || memchr(once.path.p, '?', once.path.n))
			abort();
	} else if (!why || a.n) {
		abort();
	}
	buf_done(&a);
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str raw = { (const char *)data, n };
	char once[HOST_MAX + 1], twice[HOST_MAX + 1];
	size_t on, tn;
	struct authority a;

	target(raw);
	if (host_canonical(raw, once, &on) == 0) {
		if (host_canonical((struct str){ once, on }, twice, &tn) < 0)
			abort();
		same((struct str){ once, on }, (struct str){ twice, tn });
		if (authority_parse((struct str){ once, on }, &a) < 0 || a.is_addr)
			abort();
	}
	if (authority_parse(raw, &a) == 0 && !a.is_addr && a.host_n == 0)
		abort();
	return 0;
}
