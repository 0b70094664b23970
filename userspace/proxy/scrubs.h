/* SPDX-License-Identifier: Apache-2.0 */
/* What answers are searched for, by the host that they come from: made once a host, good until a
 * lease or a derived credential is another. */
#ifndef EGRET_PROXY_SCRUBS_H
#define EGRET_PROXY_SCRUBS_H

#include "policy/policy.h"
#include "proxy/scrub.h"

#define SCRUBS 8 /* hosts that are spoken to at a time */

struct scrubs {
	struct scrub *list[SCRUBS]; /* or NULL */
	char hosts[SCRUBS][HOST_MAX + 1];
	unsigned next;
};

/* The one of this host, not held for the caller, or NULL. */
struct scrub *scrubs_find(const struct scrubs *s, struct str host);
void scrubs_put(struct scrubs *s, struct str host, struct scrub *made);
void scrubs_forget(struct scrubs *s);

#endif
