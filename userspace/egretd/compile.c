/* SPDX-License-Identifier: Apache-2.0 */
/* See compile.h. Trusts of the compiler's answer: that the packs are sealed memfds; their bytes are
 * checked by pack_open and policy_open. */
#include "egretd/compile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COMPILE_MS 10000

struct compile {
	struct child child;
	struct watch sock;
	struct timer late;
	compile_fn done;
	void *owner;
};

static void finish(struct compile *c, int err, const char *text, int policies, int credentials)
{
	compile_fn done = c->done;
	void *owner = c->owner;

	watch_del(&c->sock);
	timer_del(&c->late);
	child_end(&c->child);
	free(c);
	if (done)
		done(owner, err, text, policies, credentials);
}

static void on_late(struct timer *t)
{
	finish(t->owner, -ETIMEDOUT,
	       "the policies took longer than 10 s to read; make them smaller", -1, -1);
}

static void on_answer(struct watch *w, uint32_t events)
{
	struct compile *c = w->owner;
	struct msg_in m;
	struct str text;
	int r = msg_recv(w->fd, &m), policies = -1, credentials = -1;

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		finish(c, -EPROTO, "egret-compile ended without an answer; the log says why", -1,
		       -1);
		return;
	}
	if (m.type == MSG_COMPILED) {
		if (msg_take_fd(&m, TAG_FD_POLICY, &policies) < 0)
			policies = -1;
		if (msg_take_fd(&m, TAG_FD_CREDS, &credentials) < 0)
			credentials = -1;
		msg_in_done(&m);
		finish(c, 0, "", policies, credentials);
		return;
	}
	if (m.type == MSG_FAILED && msg_get_str(&m, TAG_TEXT, MSG_SIZE_MAX, &text) == 0) {
		cleanup_free char *copy = mem_dup(text);

		msg_in_done(&m);
		finish(c, -EINVAL, copy, -1, -1);
		return;
	}
	msg_in_done(&m);
	finish(c, -EPROTO, "egret-compile gave an answer of another form", -1, -1);
}

int compile_start(struct daemon *d, const struct compile_source *sources, unsigned n,
		  unsigned flags, compile_fn done, void *owner, struct compile **ret, char *why,
		  size_t why_n)
{
	struct child_plan plan = { .program = "egret-compile",
				   .cgroup_dir = d->cg.work,
				   .uid = d->config.uid_compile,
				   .gid = d->config.uid_compile };
	struct compile *c;
	struct msg_out m;
	unsigned i;
	int r;

	if (n > COMPILE_SOURCES_MAX) {
		snprintf(why, why_n, "%u policy and credential files; at most %u are read at once",
			 n, COMPILE_SOURCES_MAX);
		return -E2BIG;
	}
	c = mem_new(sizeof(*c));
	c->child = CHILD_NONE;
	c->done = done;
	c->owner = owner;
	r = child_start(&plan, &c->child, why, why_n);
	if (r < 0) {
		free(c);
		return r;
	}
	msg_begin(&m, MSG_COMPILE, 1);
	msg_put_u64(&m, TAG_FLAGS, flags);
	for (i = 0; i < n; i++) {
		msg_put_fd(&m, TAG_FD_SOURCE, sources[i].fd);
		msg_put_str(&m, TAG_NAME, str_of(sources[i].name));
		msg_put_str(&m, TAG_KIND, str_of(sources[i].kind));
	}
	r = msg_send(c->child.sock, &m);
	if (r == 0)
		r = watch_add(d->loop, &c->sock, c->child.sock, EPOLLIN, on_answer, c);
	if (r < 0) {
		snprintf(why, why_n, "egret-compile cannot be asked: %s", strerror(-r));
		c->done = NULL;
		finish(c, r, "", -1, -1);
		return r;
	}
	timer_set(d->loop, &c->late, COMPILE_MS, on_late, c);
	if (ret)
		*ret = c;
	return 0;
}

void compile_cancel(struct compile *c)
{
	if (!c)
		return;
	c->done = NULL;
	finish(c, -ECANCELED, "", -1, -1);
}
