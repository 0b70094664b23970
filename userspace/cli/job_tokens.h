/* SPDX-License-Identifier: Apache-2.0 */
/* ID tokens for providers of credentials: --token-for AUDIENCE=FILE, and what the CI server gives
 * when egretd names audiences. */
#ifndef EGRET_CLI_JOB_TOKENS_H
#define EGRET_CLI_JOB_TOKENS_H

#include "base/msg.h"
#include "cli/ci_facts.h"

#define JOB_TOKENS_MAX 8

struct job_tokens {
	int fds[JOB_TOKENS_MAX]; /* sealed memfds, owned */
	char *audiences[JOB_TOKENS_MAX];
	unsigned n;
};

/* Each: -1 (go on), or an exit status and the sentence is written. */
int job_token_option(struct job_tokens *t, const char *option); /* "AUDIENCE=FILE" */
/* Of an answer to MSG_REGISTER_BEGIN; one that was given by hand is not asked for. */
int job_tokens_fetch(struct job_tokens *t, const struct msg_in *m, enum ci_provider p,
		     pid_t worker);
void job_put_tokens(struct msg_out *m, const struct job_tokens *t);
void job_tokens_done(struct job_tokens *t);

#endif
