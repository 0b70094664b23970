/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking egret-identity whether a CI system's ID token is good, and what it says of the job. One
 * short-lived process without privileges a question, one that may dial for the issuer's keys and
 * one that may not for the token; egretd reads neither the token nor what the issuer answers (P5).
 * What comes back are facts that the CI server signed: bounded, without control characters. That a
 * jti is used once is the caller's to see to (jti.h).
 */
#ifndef EGRET_EGRETD_IDENTITY_H
#define EGRET_EGRETD_IDENTITY_H

#include "egretd/daemon.h"

#define IDENTIFIED_FACTS_MAX 32
#define IDENTIFIED_TEXT_MAX 1200 /* of one "key=value" */

struct identity;
struct identified;
/* ok->facts: "key=value", each key once, lent until done returns; NULL when err < 0. Beside the
 * keys that `for` knows (policy/policy.h) there may be repo_owner_id, run_attempt,
 * runner_environment, job_workflow_ref (GitHub) and job_id (GitLab, Buildkite). err < 0: text says
 * which check failed, never the token.
 */
typedef void (*identity_fn)(void *owner, int err, const char *text, const struct identified *ok);

/* token_fd is borrowed until this returns; issuer is the first of its kind, of which the token may
 * be another's; audience is the whole one, nonce and all. 0: done will be called once, never from
 * inside, within 45 s. Else -errno and why. */
int identity_start(struct daemon *d, int token_fd, const struct config_identity *issuer,
		   const char *audience, identity_fn done, void *owner, struct identity **ret,
		   char *why, size_t why_n) MUST_CHECK;
void identity_cancel(struct identity *i); /* done is not called; accepts NULL */

/* An answer of egret-identity, checked: 0 or -EBADMSG. Free with identified_done. */
struct identified {
	struct arena arena; /* all strings; each ends in NUL */
	struct str facts[IDENTIFIED_FACTS_MAX];
	size_t nfacts;
	struct str issuer;
	struct str jti;	  /* the token's own name */
	uint64_t expires; /* wall, s */
};
int identified_open(const struct msg_in *m, struct identified *ret) MUST_CHECK;
void identified_done(struct identified *i);

#endif
