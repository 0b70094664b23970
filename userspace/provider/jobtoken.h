/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ID token that a CI system gave the job, which some providers take in place of a login. Who
 * verifies it is the provider's server: here it is only looked at, for names and for its end.
 * Hostile bytes: all of it.
 */
#ifndef EGRET_PROVIDER_JOBTOKEN_H
#define EGRET_PROVIDER_JOBTOKEN_H

#include "provider/provider.h"

/* Its claims, in the question's arena; NULL: it is none, or not of that form. */
const struct node *job_token_claims(struct question *q);
/* exp, seconds of the wall clock; 0: it does not say. */
int64_t job_token_ends(struct question *q);
/* 0 if there is one that has not ended, by more than clocks may differ; else -ENOKEY. */
int job_token_need(struct question *q) MUST_CHECK;
/* -ENOKEY with the sentence for one that has: nothing more can be made with it. how: who says so.
 */
int job_token_over(struct question *q, const char *how);

#endif
