/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egretd's side of the broker: descriptor 3. egretd is root and trusted, its frames are checked in
 * form all the same. When egretd dies the broker goes on for the proxies that run (promise P6) and
 * ends with the last of them.
 */
#include "broker/file.h"
#include "broker/helper.h"
#include "broker/lease.h"

#include "base/clock.h"
#include "base/log.h"
#include <errno.h>

#define STOP_MS 3000
#define STOP_LOOK_MS 10

void control_ok(struct broker *b, uint32_t id)
{
	struct msg_out m;

	if (!id)
		return;
	msg_begin(&m, MSG_OK, id);
	outbox_send(&b->egretd, &m);
}

void control_failed(struct broker *b, uint32_t id, int err, const char *text)
{
	struct msg_out m;

	if (!id) {
		log_err("%s", text);
		return;
	}
	msg_begin(&m, MSG_FAILED, id);
	msg_put_str(&m, TAG_TEXT, str_of(text));
	msg_put_u64(&m, TAG_CODE, (uint64_t)-err);
	outbox_send(&b->egretd, &m);
}

static const struct {
	uint16_t type;
	bool answers; /* itself, when it succeeds */
	int (*fn)(struct broker *b, struct msg_in *m, char *why, size_t size);
} questions[] = {
	{ MSG_JOB_OPEN, true, job_open },	   { MSG_JOB_PEER, false, job_peer },
	{ MSG_JOB_CLOSE, false, job_close },	   { MSG_SECRET_SET, false, secrets_set },
	{ MSG_SECRET_LIST, true, secrets_list },   { MSG_SECRET_REMOVE, false, secrets_remove },
	{ MSG_CA_ROOT, true, root_tell },	   { MSG_FILE, true, file_set },
	{ MSG_JOBS_TOLD, true, jobs_told },	   { MSG_LEASE_LIST, true, leases_list },
	{ MSG_LEASE_REVOKE, true, leases_revoke }, { MSG_SECRET_REKEY, true, rekey_ask },
};

static void egretd_gone(struct broker *b)
{
	watch_del(&b->control);
	outbox_done(&b->egretd);
	if (b->peers == 0)
		loop_stop(b->loop, 0);
	else
		log_warn("egretd is gone: %u proxies are served on", b->peers);
}

static void on_stop(struct timer *t)
{
	struct broker *b = t->owner;

	if (leases_owed(b) && clock_now() < b->stop_at)
		timer_set(b->loop, t, STOP_LOOK_MS, on_stop, b);
	else
		loop_stop(b->loop, 0);
}

/* Revocations under way have a moment; what is still owed then the next broker owes. */
static void stop(struct broker *b)
{
	b->stop_at = clock_now() + STOP_MS;
	timer_set(b->loop, &b->stopping, 0, on_stop, b);
}

static void handle(struct broker *b, struct msg_in *m)
{
	char why[512] = "";
	int r;

	if (m->type == MSG_STOP) {
		stop(b);
		return;
	}
	if (helper_answer(b, m))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		if (questions[i].type != m->type)
			continue;
		r = questions[i].fn(b, m, why, sizeof(why));
		if (r < 0)
			control_failed(b, m->id, r, why[0] ? why : strerror(-r));
		else if (!questions[i].answers)
			control_ok(b, m->id);
		return;
	}
	log_err("egretd sent a message of type %u, which is none of its questions", m->type);
	loop_stop(b->loop, 1);
}

static void control_ready(struct watch *w, uint32_t events)
{
	struct broker *b = w->owner;
	struct msg_in m;
	int r;

	if ((events & EPOLLOUT) && outbox_flush(&b->egretd))
		watch_set(w, EPOLLIN);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	r = msg_recv(w->fd, &m);
	if (r == 0) {
		handle(b, &m);
		msg_in_done(&m);
	} else if (r == -EBADMSG) {
		log_err("egretd sent bytes that are no message");
		loop_stop(b->loop, 1);
	} else if (r != -EAGAIN) {
		egretd_gone(b);
	}
}

int control_start(struct broker *b, int fd)
{
	b->egretd.watch = &b->control;
	return watch_add(b->loop, &b->control, fd, EPOLLIN, control_ready, b);
}
