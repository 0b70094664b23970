/* SPDX-License-Identifier: Apache-2.0 */
/* See handover.h. This file: the new one's side. It blocks: while it waits here, the old one
 * serves. */
#include "egretd/handover.h"

#include "egretd/control.h"
#include "egretd/handover_room.h"
#include "egretd/supervisor.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Longer than the old one has patience: should that one die, a hung new one does not stay. */
#define WHOLE_S 120

void handover_open(struct daemon *d, int sock)
{
	struct handover *h = mem_new(sizeof(*h));

	h->d = d;
	h->sock = sock;
	h->next = CHILD_NONE;
	d->hand = h;
	(void)!fcntl(sock, F_SETFD, FD_CLOEXEC);
	supervisor_taken_over();
	alarm(WHOLE_S);
	handover_point("new-started");
}

static void send_text(struct handover *h, uint16_t type, const char *text)
{
	struct msg_out m;

	msg_begin(&m, type, 0);
	msg_put_str(&m, TAG_TEXT, str_of(text));
	(void)!msg_send(h->sock, &m);
	msg_out_done(&m);
}

void handover_no(struct daemon *d, const char *why)
{
	send_text(d->hand, MSG_FAILED, why);
	/* Nothing is cleaned up: everything is the old one's. */
	_exit(1);
}

/* The old one's next frame. Without it there is nobody to take over from: whoever starts egretd
 * starts it anew, and it takes up what is parked. */
static void hear(struct handover *h, struct msg_in *m)
{
	int r;

	while ((r = msg_recv(h->sock, m)) == -EAGAIN)
		(void)!poll(&(struct pollfd){ h->sock, POLLIN, 0 }, 1, -1);
	if (r < 0) {
		log_err("upgrade: the egretd before this one is gone: this one ends too");
		_exit(1);
	}
}

static int same(struct str old, const char *have, const char *what, char *why, size_t n)
{
	if (str_is(old, have))
		return 0;
	snprintf(why, n,
		 "%s is another one in the configuration now (%s): that needs a restart, not an "
		 "upgrade",
		 what, have);
	return -EINVAL;
}

int handover_same(struct daemon *d, char *why, size_t n)
{
	struct str run_dir, state_dir, jobs;
	struct msg_in m;
	int r = 0;

	hear(d->hand, &m);
	if (m.type != MSG_HAND_START ||
	    msg_get_str(&m, TAG_RUN_DIR, PROTO_TEXT_MAX, &run_dir) < 0 ||
	    msg_get_str(&m, TAG_STATE_DIR, PROTO_TEXT_MAX, &state_dir) < 0 ||
	    msg_get_str(&m, TAG_CGROUP, PROTO_TEXT_MAX, &jobs) < 0) {
		snprintf(why, n, "the egretd before this one speaks another language");
		r = -EPROTO;
	}
	if (r == 0)
		r = same(run_dir, d->config.run_dir.p, "run_dir", why, n);
	if (r == 0)
		r = same(state_dir, d->config.state_dir.p, "state_dir", why, n);
	if (r == 0)
		d->hand->jobs = mem_dup(jobs);
	msg_in_done(&m);
	return r;
}

int handover_ready(struct daemon *d, char *why, size_t n)
{
	struct handover *h = d->hand;
	struct msg_in m;
	int r = same(str_of(h->jobs), d->cg.jobs_path, "the jobs' cgroup", why, n);

	if (r < 0)
		return r;
	handover_point("new-loaded");
	send_text(h, MSG_HAND_READY, EGRET_VERSION);
	hear(h, &m);
	if (m.type != MSG_HAND_GO || msg_take_fd(&m, TAG_FD_LOCK, &d->run_lock) < 0 ||
	    msg_take_fd(&m, TAG_FD_LOCK2, &d->state_lock) < 0 ||
	    msg_take_fd(&m, TAG_FD_CONTROL, &d->control) < 0) {
		snprintf(why, n, "the egretd before this one speaks another language");
		r = -EPROTO;
	}
	msg_in_done(&m);
	handover_point("new-go");
	return r;
}

int handover_serving(struct daemon *d, char *why, size_t n)
{
	struct handover *h = d->hand;
	struct msg_in m;
	uint16_t type;

	for (;;) {
		hear(h, &m);
		type = m.type;
		if (type == MSG_HAND_CLIENT)
			control_take(d, &m);
		msg_in_done(&m);
		if (type == MSG_END)
			break;
	}
	handover_point("new-serving");
	send_text(h, MSG_HAND_SERVING, EGRET_VERSION);
	hear(h, &m);
	type = m.type;
	msg_in_done(&m);
	if (type != MSG_HAND_YOURS) {
		snprintf(why, n, "the egretd before this one speaks another language");
		return -EPROTO;
	}
	alarm(0);
	handover_point("new-yours");
	close(h->sock);
	free(h->jobs);
	d->hand = NULL;
	free(h);
	return 0;
}

#ifdef EGRET_TEST_POINTS
void handover_point(const char *name)
{
	const char *file = getenv("EGRET_TEST_POINT");
	cleanup_close int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	char text[64] = "", want[64];

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return;
	text[strcspn(text, "\n")] = 0;
	snprintf(want, sizeof(want), "%s kill", name);
	if (!strcmp(text, want))
		kill(getpid(), SIGKILL);
	snprintf(want, sizeof(want), "%s stop", name);
	if (!strcmp(text, want))
		kill(getpid(), SIGSTOP);
}
#endif
