/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's ID tokens for providers, one an audience: they came unread with the job (MSG_JOB_OPEN)
 * and go to the provider's process unread. A job's own: no other job's question carries them.
 */
#ifndef EGRET_BROKER_TOKEN_H
#define EGRET_BROKER_TOKEN_H

#include "broker/job.h"
#include "policy/credential.h"

/* Those of the message, in place of what the job had; none in it changes nothing. 0 or -errno. */
int tokens_set(struct job *j, struct msg_in *m) MUST_CHECK;
void tokens_done(struct job *j);
bool token_for(const struct job *j,
	       const struct credential *c); /* it wants one, and there is one */
/* TOKEN, when the credential's provider wants one. 0; -ENOKEY: the job (or NULL) has none; -errno;
 * with a sentence. */
int token_put(const struct job *j, const struct credential *c, struct msg_out *m, char *why,
	      size_t size) MUST_CHECK;

#endif
