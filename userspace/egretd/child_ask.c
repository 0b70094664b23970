/* SPDX-License-Identifier: Apache-2.0 */
/* See child_ask.h. */
#include "egretd/child_ask.h"

#include <errno.h>
#include <stdio.h>

void child_ask_stop(struct child_ask *a)
{
	watch_del(&a->sock);
	timer_del(&a->timer);
	child_end(&a->child);
}

static void finish(struct child_ask *a, int err, struct msg_in *m, const char *text)
{
	child_ask_stop(a);
	a->done(a, err, m, text);
}

static void on_late(struct timer *t)
{
	struct child_ask *a = t->owner;

	finish(a, -ETIMEDOUT, NULL, a->late);
}

static void on_answer(struct watch *w, uint32_t events)
{
	struct child_ask *a = w->owner;
	struct msg_in m;
	struct str text;
	char why[128];
	int r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		snprintf(why, sizeof(why), "%s ended without an answer; the log says why",
			 a->program);
		finish(a, -EPROTO, NULL, why);
		return;
	}
	if (m.type == a->answer) {
		finish(a, 0, &m, "");
	} else if (m.type == MSG_FAILED && msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0) {
		cleanup_free char *copy = mem_dup(text);

		finish(a, a->refused, &m, copy);
	} else {
		snprintf(why, sizeof(why), "%s gave an answer of another form", a->program);
		finish(a, -EPROTO, NULL, why);
	}
	msg_in_done(&m);
}

int child_ask_start(struct daemon *d, const struct child_plan *plan, struct msg_out *question,
		    struct child_ask *a, char *why, size_t n)
{
	int r;

	a->program = plan->program;
	a->child = CHILD_NONE;
	r = child_start(plan, &a->child, why, n);
	if (r < 0) {
		msg_out_done(question);
		return r;
	}
	r = msg_send(a->child.sock, question);
	msg_out_done(question);
	if (r == 0)
		r = watch_add(d->loop, &a->sock, a->child.sock, EPOLLIN, on_answer, a);
	if (r < 0) {
		snprintf(why, n, "%s cannot be asked: %s", plan->program, strerror(-r));
		child_ask_stop(a);
		return r;
	}
	timer_set(d->loop, &a->timer, a->ms, on_late, a);
	return 0;
}
