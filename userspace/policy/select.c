/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly one policy for a job: most keys, then priority; a tie is an error, not a choice. Called
 * by egretd. */
#include "policy/policy.h"

#include <errno.h>

int policy_select(const struct pack *k, const struct facts *f, uint32_t *ret_index,
		  uint32_t *ret_other)
{
	int64_t best_priority = 0, priority = 0;
	uint32_t best = 0, other = 0;
	int best_keys = -1, keys;
	bool tie = false;

	for (uint32_t i = 0; i < k->count; i++) {
		struct policy p;

		if (policy_open(pack_at(k, i), &p) < 0)
			return -EBADMSG;
		keys = policy_for(&p, f, &priority);
		if (keys < 0)
			continue;
		if (keys > best_keys || (keys == best_keys && priority > best_priority)) {
			best = i;
			best_keys = keys;
			best_priority = priority;
			tie = false;
		} else if (keys == best_keys && priority == best_priority) {
			other = i;
			tie = true;
		}
	}
	if (best_keys < 0)
		return -ENOENT;
	*ret_index = best;
	if (!tie)
		return 0;
	*ret_other = other;
	return -ENOTUNIQ;
}
