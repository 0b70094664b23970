/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as an image, sealed as a hostile compiler could: refused, or every question is answered
 * from inside it. Also as a pack. */
#include <stdlib.h>

#include "policy/image.h"
#include "../unit/policy/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct credential c;
	struct policy p;
	struct pack k;
	uint8_t *copy;

	if (pack_open(data, n, &k) == 0)
		for (uint32_t i = 0; i < k.count; i++)
			walk_str(pack_at(&k, i));
	if (n < 80 || n > 1u << 16)
		return 0;
	copy = malloc(n);
	memcpy(copy, data, n);
	image_seal(copy, n);
	if (policy_open((struct str){ (const char *)copy, n }, &p) == 0)
		walk_policy(&p);
	if (credential_open((struct str){ (const char *)copy, n }, &c) == 0)
		walk_credential(&c);
	free(copy);
	return 0;
}
