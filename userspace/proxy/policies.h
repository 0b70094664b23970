/* SPDX-License-Identifier: Apache-2.0 */
/* The policies and credentials that a message brings, mapped and checked as one set: all of it is
 * taken or nothing. Called by start.c. */
#ifndef EGRET_PROXY_POLICIES_H
#define EGRET_PROXY_POLICIES_H

#include "base/msg.h"
#include "proxy/proxy.h"

struct policies {
	struct policy list[PROXY_POLICIES_MAX];
	unsigned n;
	struct pack creds; /* p NULL: none */
	struct {
		void *p;
		size_t n;
	} maps[PROXY_POLICIES_MAX + 1];
	unsigned nmaps;
};

/* From FD_POLICY+ and FD_CREDS?. 0; -EBADMSG with a sentence in why. */
int policies_take(struct msg_in *m, struct policies *ret, const char **why) MUST_CHECK;
void policies_done(struct policies *p); /* unmaps */

#endif
