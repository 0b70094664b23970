/* SPDX-License-Identifier: Apache-2.0 */
/* Values that left this proxy and may come back at any time: searched for in answers, not used. A
 * few of each credential; called by creds.c. */
#ifndef EGRET_PROXY_KEPT_H
#define EGRET_PROXY_KEPT_H

#include "base/secret.h"

#define KEPT_MAX 4u
#define KEPT_MS (3600u * 1000) /* so long one is looked for that was replaced */

struct kept {
	struct {
		struct secret value;
		uint64_t until; /* clock_now() */
	} list[KEPT_MAX];
	unsigned next;
};

/* Takes the value; where all places are taken the one that was given first goes. */
void kept_add(struct kept *k, struct secret *value, uint64_t until);
/* A copy, of a longer one the front: what is left then is none. Looked for until it expires (wall,
 * us), or for a day. 0 or -ENOMEM. */
int kept_copy(struct kept *k, struct str value, size_t most, uint64_t expires_us) MUST_CHECK;
void kept_move(struct kept *k, struct kept *from);
size_t kept_list(const struct kept *k, struct str *to, size_t room);
void kept_done(struct kept *k);

#endif
