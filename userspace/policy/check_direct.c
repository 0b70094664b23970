/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's table of what is direct has bounds: how many ranges of ports one address has, how
 * many blocks a policy. Found when the policy is compiled, so that no job is refused for it later.
 * Called by compile.c with the rules of one image.
 */
#include "base/blocks.h"
#include "policy/model.h"

#include <errno.h>
#include <stdlib.h>

/* As entry_direct() says of the image. */
static unsigned protos_of(const struct rule *r)
{
	if (r->deny)
		return r->host.kind != HOST_ADDR ? 0 : r->scheme == SCHEME_TCP ? 1 : 3;
	return r->scheme == SCHEME_DIRECT ? 1 : r->scheme == SCHEME_DIRECT_UDP ? 2 : 0;
}

void check_direct(const struct load *l, const struct rule *rules)
{
	cleanup_free struct block *list = mem_new(POLICY_DIRECT_MAX * sizeof(*list));
	cleanup_free const struct rule **of = mem_new(POLICY_DIRECT_MAX * sizeof(*of));
	cleanup_free struct block_row *rows = NULL;
	size_t n = 0, nrows = 0, at = 0;
	bool any = false;

	for (const struct rule *r = rules; r; r = r->next)
		any |= protos_of(r) && !r->deny;
	for (const struct rule *r = rules; r && any; r = r->next) {
		uint32_t until = (uint32_t)(r->until_us / 1000000);
		unsigned protos = protos_of(r);

		for (unsigned k = 0; k < 2 * r->nports; k++) {
			if (!(protos & (1u << k % 2)))
				continue;
			if (n == POLICY_DIRECT_MAX) {
				diag_add(l->errors, r->file, r->at, STR("direct"),
					 "more than %d addresses with ports are direct or denied; "
					 "write wider blocks",
					 POLICY_DIRECT_MAX);
				return;
			}
			list[n] = (struct block){ .prefix = r->host.prefix,
						  .deny = r->deny,
						  .port_lo = r->ports[k / 2].lo,
						  .port_hi = r->ports[k / 2].hi,
						  .flags = (k % 2 ? BLOCK_UDP : 0) | until << 1 };
			memcpy(list[n].addr, r->host.addr, 16);
			of[n++] = r;
		}
	}
	if (any && block_rows(list, n, &rows, &nrows, &at) == -E2BIG)
		diag_add(l->errors, of[at]->file, of[at]->at, STR("direct"),
			 "with \"%.*s\" more than %d ranges of ports are direct for one address: "
			 "write fewer and wider ones",
			 STR_ARG(of[at]->id), BLOCK_RANGES);
}
