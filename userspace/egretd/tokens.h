/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ID tokens of a job for providers of credentials, one an audience: a hook fetches them, egretd
 * hands them unread to the broker with the job. They are not the token that says who the job is
 * (identity.h), whose audience is egret's own. Not parked: what they were good for was minted when
 * the job began.
 */
#ifndef EGRET_EGRETD_TOKENS_H
#define EGRET_EGRETD_TOKENS_H

#include "base/msg.h"
#include "policy/policy.h"

#define TOKENS_MAX 8
#define TOKEN_AUDIENCE_MAX 1024

struct tokens {
	struct {
		int fd; /* sealed memfd, owned */
		char audience[TOKEN_AUDIENCE_MAX + 1];
	} at[TOKENS_MAX];
	unsigned n;
};

/* Takes FD_TOKEN*, TOKEN_AUDIENCE* of a question. 0 or -errno with a sentence. */
int tokens_take(struct tokens *t, struct msg_in *m, char *why, size_t n) MUST_CHECK;
void tokens_put(const struct tokens *t, struct msg_out *m); /* the same two */
void tokens_done(struct tokens *t);
/* TOKEN_AUDIENCE*: what the credentials of this pack want, each once, at most TOKENS_MAX. */
void tokens_wanted(struct pack credentials, struct msg_out *m);

#endif
