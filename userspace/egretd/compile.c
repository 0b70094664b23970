/* SPDX-License-Identifier: Apache-2.0 */
/* See compile.h. Trusts of the compiler's answer: that the packs are sealed memfds; their bytes are
 * checked by pack_open and policy_open. */
#include "egretd/compile.h"
#include "egretd/child_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COMPILE_MS 10000

struct compile {
	struct child_ask ask;
	compile_fn done;
	void *owner;
};

static void on_answer(struct child_ask *ask, int err, struct msg_in *m, const char *text)
{
	struct compile *c = (struct compile *)ask;
	int policies = -1, credentials = -1;

	if (!err && msg_take_fd(m, TAG_FD_POLICY, &policies) < 0)
		policies = -1;
	if (!err && msg_take_fd(m, TAG_FD_CREDS, &credentials) < 0)
		credentials = -1;
	c->done(c->owner, err, text, policies, credentials);
	free(c);
}

static int ask(struct daemon *d, struct msg_out *m, compile_fn done, void *owner,
	       struct compile **ret, char *why, size_t why_n)
{
	struct child_plan plan = { .program = "egret-compile",
				   .cgroup_dir = d->cg.work,
				   .uid = d->config.uid_compile,
				   .gid = d->config.uid_compile };
	struct compile *c = mem_new(sizeof(*c));
	int r;

	c->ask = (struct child_ask){
		.answer = MSG_COMPILED,
		.refused = -EINVAL,
		.ms = COMPILE_MS,
		.late = "the policies took longer than 10 s to read; make them smaller",
		.done = on_answer,
	};
	c->done = done;
	c->owner = owner;
	r = child_ask_start(d, &plan, m, &c->ask, why, why_n);
	if (r < 0) {
		free(c);
		return r;
	}
	if (ret)
		*ret = c;
	return 0;
}

int compile_start(struct daemon *d, const struct compile_source *sources, unsigned n,
		  unsigned flags, compile_fn done, void *owner, struct compile **ret, char *why,
		  size_t why_n)
{
	struct msg_out m;

	msg_begin(&m, MSG_COMPILE, 1);
	msg_put_u64(&m, TAG_FLAGS, flags);
	for (unsigned i = 0; i < n; i++) {
		msg_put_fd(&m, TAG_FD_SOURCE, sources[i].fd);
		msg_put_str(&m, TAG_NAME, str_of(sources[i].name));
		msg_put_str(&m, TAG_KIND, str_of(sources[i].kind));
	}
	return ask(d, &m, done, owner, ret, why, why_n);
}

int compile_archive(struct daemon *d, int archive, compile_fn done, void *owner,
		    struct compile **ret, char *why, size_t why_n)
{
	struct msg_out m;

	msg_begin(&m, MSG_COMPILE, 1);
	msg_put_fd(&m, TAG_FD_ARCHIVE, archive);
	return ask(d, &m, done, owner, ret, why, why_n);
}

void compile_cancel(struct compile *c)
{
	if (!c)
		return;
	child_ask_stop(&c->ask);
	free(c);
}
