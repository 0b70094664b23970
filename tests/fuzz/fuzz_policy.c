/* SPDX-License-Identifier: Apache-2.0 */
/* Text as a policy and as a credential: compiled; what compiles must open and answer. */
#include <stdlib.h>

#include "policy/compile.h"
#include "../unit/policy/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct source s = { n && data[0] == 'C' ? SOURCE_CREDENTIAL : SOURCE_POLICY,
			    STR("fuzz.json"),
			    { (const char *)data + (n > 0), n ? n - 1 : 0 } };
	struct compiled c;

	if (policy_compile(&s, 1, 0, &c) == 0) {
		for (uint32_t i = 0; i < c.npolicies; i++) {
			struct policy p;

			if (policy_open(c.policies[i], &p) < 0)
				abort();
			walk_policy(&p);
		}
		for (uint32_t i = 0; i < c.ncredentials; i++) {
			struct credential k;

			if (credential_open(c.credentials[i], &k) < 0)
				abort();
			walk_credential(&k);
		}
	} else if (c.errors.count == 0) {
		abort(); /* refused, and nothing said */
	}
	compiled_done(&c);
	return 0;
}
