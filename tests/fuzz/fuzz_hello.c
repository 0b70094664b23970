// SPDX-License-Identifier: Apache-2.0
/* ClientHello: whatever the bytes, the parser ends, stays inside, and a name it gives is canonical.
 */
#include "proxy/hello.h"
#include "proxy/peek.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char again[HOST_MAX + 1];
	struct hello h, cut;
	size_t again_n;

	(void)peek_judge(p, n, 65536, &h);
	if (hello_parse(p, n, 65536, &h) != HELLO_DONE)
		return 0;
	if (h.sni_n && (host_canonical((struct str){ h.sni, h.sni_n }, again, &again_n) ||
			again_n != h.sni_n || memcmp(again, h.sni, again_n)))
		abort();
	/* A hello is complete at one place only: a part of it is never a whole one with another
	 * name. */
	for (size_t i = 0; i < n; i += 1 + n / 16)
		if (hello_parse(p, i, 65536, &cut) == HELLO_DONE &&
		    (cut.sni_n != h.sni_n || memcmp(cut.sni, h.sni, h.sni_n)))
			abort();
	return 0;
}
