/* SPDX-License-Identifier: Apache-2.0 */
/* See token.h. Sealed memory files, read when they are needed. */
#include "broker/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_MAX 16384u

struct job_token {
	struct job_token *next;
	int fd;
	char *audience;
};

void tokens_done(struct job *j)
{
	while (j->tokens) {
		struct job_token *t = j->tokens;

		j->tokens = t->next;
		close(t->fd);
		free(t->audience);
		free(t);
	}
}

int tokens_set(struct job *j, struct msg_in *m)
{
	struct str field, audience;
	size_t at = 0, at_audience = 0;
	bool first = true;

	while (msg_each(m, TAG_FD_TOKEN, &at, &field)) {
		cleanup_close int fd = -1;
		struct job_token *t;

		if (!msg_each(m, TAG_TOKEN_AUDIENCE, &at_audience, &audience) ||
		    msg_take_fd_of(m, field, &fd) < 0 || !(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE))
			return -EBADMSG;
		if (first)
			tokens_done(j);
		first = false;
		t = mem_new(sizeof(*t));
		t->fd = TAKE_FD(fd);
		t->audience = mem_dup(audience);
		t->next = j->tokens;
		j->tokens = t;
	}
	return 0;
}

static const struct job_token *find(const struct job *j, struct str audience)
{
	const struct job_token *t = j ? j->tokens : NULL;

	while (t && !str_is(audience, t->audience))
		t = t->next;
	return t;
}

bool token_for(const struct job *j, const struct credential *c)
{
	struct str audience = credential_token_audience(c);

	return audience.n && find(j, audience);
}

int token_put(const struct job *j, const struct credential *c, struct msg_out *m, char *why,
	      size_t size)
{
	struct str audience = credential_token_audience(c);
	const struct job_token *t = audience.n ? find(j, audience) : NULL;
	struct secret value = { 0 };
	struct stat st;
	int r;

	if (!audience.n)
		return 0;
	if (!t) {
		snprintf(why, size,
			 "the job has no ID token for %.*s: its CI system gives one to jobs that "
			 "may have it (GitHub: permissions: id-token: write), --token-for by hand; "
			 "an egret-broker that was started anew has none of its jobs' any more",
			 STR_ARG(audience));
		return -ENOKEY;
	}
	if (fstat(t->fd, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t)TOKEN_MAX) {
		snprintf(why, size, "the job's ID token for %.*s is empty, or larger than 16 KiB",
			 STR_ARG(audience));
		return -EMSGSIZE;
	}
	r = secret_new((size_t)st.st_size, &value);
	if (r == 0 && pread(t->fd, value.p, value.n, 0) != (ssize_t)value.n)
		r = -EIO;
	if (r == 0)
		msg_put(m, TAG_TOKEN, value.p, value.n);
	else
		snprintf(why, size, "the job's ID token cannot be read: %s", strerror(-r));
	secret_done(&value);
	return r;
}
