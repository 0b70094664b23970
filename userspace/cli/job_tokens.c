/* SPDX-License-Identifier: Apache-2.0 */
/* See job_tokens.h. Nobody here looks into a token. */
#include "cli/job_tokens.h"

#include "base/proto.h"
#include "cli/ci_token.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool have(const struct job_tokens *t, struct str audience)
{
	for (unsigned i = 0; i < t->n; i++)
		if (str_is(audience, t->audiences[i]))
			return true;
	return false;
}

static void add(struct job_tokens *t, struct str audience, int fd)
{
	t->fds[t->n] = fd;
	t->audiences[t->n++] = mem_dup(audience);
}

int job_token_option(struct job_tokens *t, const char *option)
{
	const char *eq = strrchr(option, '=');
	struct str audience = { option, eq ? (size_t)(eq - option) : 0 };
	int fd, e;

	if (!audience.n || !eq[1])
		return cli_fail(2, "--token-for %s: write it as AUDIENCE=FILE", option);
	if (t->n == JOB_TOKENS_MAX || have(t, audience))
		return cli_fail(2, "--token-for: at most %d, each audience once", JOB_TOKENS_MAX);
	e = ci_token_file(eq + 1, &fd);
	if (e < 0)
		add(t, audience, fd);
	return e;
}

int job_tokens_fetch(struct job_tokens *t, const struct msg_in *m, enum ci_provider p, pid_t worker)
{
	struct str audience;
	size_t at = 0;
	int e = -1;

	while (e < 0 && msg_each(m, TAG_TOKEN_AUDIENCE, &at, &audience)) {
		cleanup_free char *text = mem_dup(audience);
		int fd = -1;

		if (t->n == JOB_TOKENS_MAX || have(t, audience))
			continue;
		e = ci_token(p, worker, text, &fd);
		/* A job that may have none has none of the credentials that need one. */
		if (e < 0 && fd >= 0)
			add(t, audience, fd);
	}
	return e;
}

void job_put_tokens(struct msg_out *m, const struct job_tokens *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		msg_put_fd(m, TAG_FD_TOKEN, t->fds[i]);
		msg_put_str(m, TAG_TOKEN_AUDIENCE, str_of(t->audiences[i]));
	}
}

void job_tokens_done(struct job_tokens *t)
{
	while (t->n) {
		close(t->fds[--t->n]);
		free(t->audiences[t->n]);
	}
}
