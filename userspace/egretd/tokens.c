/* SPDX-License-Identifier: Apache-2.0 */
/* See tokens.h. */
#include "egretd/tokens.h"

#include "base/proto.h"
#include "policy/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int tokens_take(struct tokens *t, struct msg_in *m, char *why, size_t n)
{
	struct str field, audience;
	size_t at = 0, at_audience = 0;

	while (msg_each(m, TAG_FD_TOKEN, &at, &field)) {
		cleanup_close int fd = -1;

		if (t->n == TOKENS_MAX) {
			snprintf(why, n, "at most %d tokens for providers", TOKENS_MAX);
			return -E2BIG;
		}
		if (!msg_each(m, TAG_TOKEN_AUDIENCE, &at_audience, &audience) || !audience.n ||
		    audience.n > TOKEN_AUDIENCE_MAX || memchr(audience.p, 0, audience.n) ||
		    msg_take_fd_of(m, field, &fd) < 0) {
			snprintf(why, n, "the list of tokens is not well formed");
			return -EBADMSG;
		}
		/* A file or a pipe of the caller's could hold up the broker, or change. */
		if (!(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE)) {
			snprintf(why, n, "a token comes in a sealed memory file");
			return -EINVAL;
		}
		memcpy(t->at[t->n].audience, audience.p, audience.n);
		t->at[t->n].audience[audience.n] = 0;
		t->at[t->n++].fd = TAKE_FD(fd);
	}
	return 0;
}

void tokens_put(const struct tokens *t, struct msg_out *m)
{
	for (unsigned i = 0; i < t->n; i++) {
		msg_put_fd(m, TAG_FD_TOKEN, t->at[i].fd);
		msg_put_str(m, TAG_TOKEN_AUDIENCE, str_of(t->at[i].audience));
	}
}

void tokens_done(struct tokens *t)
{
	while (t->n)
		close(t->at[--t->n].fd);
}

void tokens_wanted(struct pack credentials, struct msg_out *m)
{
	struct str seen[TOKENS_MAX], audience;
	struct credential c;
	unsigned n = 0, k;

	for (uint32_t i = 0; i < credentials.count && n < TOKENS_MAX; i++) {
		if (credential_open(pack_at(&credentials, i), &c) < 0)
			continue;
		audience = credential_token_audience(&c);
		for (k = 0; k < n && !str_eq(seen[k], audience); k++)
			;
		if (!audience.n || k < n)
			continue;
		seen[n++] = audience;
		msg_put_str(m, TAG_TOKEN_AUDIENCE, audience);
	}
}
