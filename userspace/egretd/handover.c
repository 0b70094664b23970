/* SPDX-License-Identifier: Apache-2.0 */
/* See handover.h. This file: the old one's side. */
#include "egretd/handover.h"

#include "egretd/adopt.h"
#include "egretd/container.h"
#include "egretd/control.h"
#include "egretd/handover_room.h"
#include "egretd/job.h"
#include "egretd/park.h"
#include "egretd/park_form.h"
#include "egretd/supervisor.h"
#include "egretd/walls.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef EGRET_TEST_POINTS /* what hangs is waited for */
#define PREPARE_MS 8000
#define SWITCH_MS 5000
#else
#define PREPARE_MS 60000
#define SWITCH_MS 10000
#endif
#define WAIT_MS 10000
#define WAIT_STEP_MS 5
#define HAND_BYTES (8 << 20) /* all callers at once */

static char here[PATH_MAX];

void handover_here(void)
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);

	here[n > 0 ? n : 0] = 0;
	/* Replaced between its start and now. */
	if (n > (ssize_t)sizeof(deleted) && !strcmp(here + n - (sizeof(deleted) - 1), deleted))
		here[n - (ssize_t)(sizeof(deleted) - 1)] = 0;
}

static void answer(struct handover *h, int err, const char *text)
{
	struct msg_out m;

	if (!h->client)
		return;
	if (err < 0) {
		client_failed(h->client, h->question, err, text);
	} else {
		msg_begin(&m, MSG_OK, h->question);
		msg_put_str(&m, TAG_TEXT, str_of(text));
		client_send(h->client, &m);
	}
	h->client = NULL;
}

static void drop(struct handover *h)
{
	timer_del(&h->late);
	watch_del(&h->said);
	watch_del(&h->ended);
	child_end(&h->next); /* and its socket */
	h->d->hand = NULL;
	free(h);
}

/* The new one is ended, and everything is as it was. */
static void go_on(struct handover *h, const char *why)
{
	struct daemon *d = h->d;
	char text[WHY_MAX + 64], fault[WHY_MAX];
	bool switched = h->switched;
	struct job *j;

	snprintf(text, sizeof(text), "%s", why);
	log_err("upgrade: %s; this egretd (" EGRET_VERSION ") goes on", text);
	answer(h, -ECANCELED, text);
	child_end(&h->next); /* before anything is put back */
	if (kernel_back(d->kernel, &d->where, fault, sizeof(fault)) < 0)
		log_err("upgrade: %s", fault);
	for (j = switched ? d->jobs : NULL; j; j = j->next)
		if (members_refresh(j) < 0)
			log_err("job %s: the kernel's table cannot be changed", j->name);
	if (switched) {
		struct park_set set;

		/* The new one may have parked meanwhile. */
		park_look(d->park[1], &set);
		d->parked = set.count;
		park_jobs(d);
		held_again(d);
	}
	drop(h);
	control_resume(d);
	supervisor_say("STATUS=serving; the last upgrade failed");
}

static void on_late(struct timer *t)
{
	go_on(t->owner, "the new egretd was not ready in time");
}

/* One frame of the new one's: its type, or -errno. */
static int hear(struct handover *h, char *text, size_t n)
{
	struct msg_in m;
	struct str said;
	int r = msg_recv(h->next.sock, &m);

	/* The end of one that had not read everything is told before its last word. */
	if (r == -ECONNRESET)
		r = msg_recv(h->next.sock, &m);
	if (r < 0)
		return r;
	r = m.type;
	if (msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &said) == 0)
		text_escape(text, n, said);
	msg_in_done(&m);
	return r;
}

static int say(struct handover *h, uint16_t type)
{
	struct msg_out m;
	int r;

	msg_begin(&m, type, 0);
	if (type == MSG_HAND_GO) {
		msg_put_fd(&m, TAG_FD_LOCK, h->d->run_lock);
		msg_put_fd(&m, TAG_FD_LOCK2, h->d->state_lock);
		msg_put_fd(&m, TAG_FD_CONTROL, h->d->control);
	}
	r = msg_send(h->next.sock, &m);
	msg_out_done(&m);
	return r;
}

/* The new one has everything: nothing is done here any more but saying so. */
static _Noreturn void leave(struct handover *h)
{
	sigset_t came;

	supervisor_main(h->next.pid);
	handover_point("old-serving");
	answer(h, 0, h->version);
	(void)!say(h, MSG_HAND_YOURS);
	/* A stop that came meanwhile is meant for whoever serves. */
	if (sigpending(&came) == 0 && (sigismember(&came, SIGTERM) || sigismember(&came, SIGINT)))
		child_kill(&h->next, SIGTERM);
	handover_point("old-leaving");
	log_info("handed over to egretd %s, pid %d", h->version, (int)h->next.pid);
	_exit(0);
}

/* From here to the new one's word this egretd does nothing: what happens waits in sockets. */
static void switch_over(struct handover *h)
{
	uint64_t until = clock_now() + SWITCH_MS, now;
	struct pollfd p[] = { { h->next.sock, POLLIN, 0 }, { h->next.pidfd, POLLIN, 0 } };
	char text[WHY_MAX] = "";
	int r;

	h->switched = true;
	timer_del(&h->late);
	park_jobs(h->d);
	handover_point("old-parked");
	r = say(h, MSG_HAND_GO);
	if (r == 0)
		r = control_hand_over(h->d, h->next.sock, h->client);
	if (r == 0)
		r = say(h, MSG_END);
	handover_point("old-gone");
	while (r == 0 && (now = clock_now()) < until) {
		(void)!poll(p, ARRAY_SIZE(p), (int)(until - now));
		r = hear(h, text, sizeof(text));
		if (r == MSG_HAND_SERVING)
			leave(h);
		if (r == -EAGAIN && !p[1].revents)
			r = 0;
	}
	if (r == MSG_FAILED)
		go_on(h, text);
	else if (r == 0)
		go_on(h, "the new egretd did not serve in time");
	else
		go_on(h, "the new egretd died while it took over; its last words are in this log");
}

/* What another egretd could not take up: it is not parked. */
static const char *busy(const struct daemon *d)
{
	const struct job *j;

	if (!d->audit.ready || !d->broker.ready)
		return "egret-audit or egret-broker is being started anew";
	for (j = d->jobs; j; j = j->next) {
		if (j->state != JOB_RUNNING)
			return "a job is being made or ended";
		if (j->proxy.pid > 0 && (!j->proxy_up || !nets_served(j)))
			return "a job's proxy is being started";
	}
	if (d->reload || control_busy(d) || containers_busy(d))
		return "a caller waits for an answer";
	if (d->links_down)
		return "kernel programs were taken away, and jobs stand still";
	if (walls_trying(d))
		return "the walls are being tried";
	return NULL;
}

static void on_wait(struct timer *t)
{
	struct handover *h = t->owner;
	const char *what = busy(h->d);
	char why[WHY_MAX];

	if (!what) {
		switch_over(h);
	} else if (clock_now() < h->until) {
		timer_set(h->d->loop, t, WAIT_STEP_MS, on_wait, h);
	} else {
		snprintf(why, sizeof(why), "%s, and was not done within ten seconds: try again",
			 what);
		go_on(h, why);
	}
}

static void on_said(struct watch *w, uint32_t events)
{
	struct handover *h = w->owner;
	char text[WHY_MAX] = "?";
	int r = hear(h, text, sizeof(text));

	if (r == -EAGAIN)
		return;
	watch_del(w);
	if (r == MSG_HAND_READY) {
		snprintf(h->version, sizeof(h->version), "%s", text);
		control_pause(h->d);
		h->until = clock_now() + WAIT_MS;
		timer_set(h->d->loop, &h->late, 0, on_wait, h);
	} else if (r == MSG_FAILED) {
		go_on(h, text);
	} /* else it is ending, and its status is told */
}

static void on_ended(struct watch *w, uint32_t events)
{
	struct handover *h = w->owner;
	struct daemon *d = h->d;
	char why[WHY_MAX];
	int status = 0;

	/* Its last word may wait beside its end. */
	if (h->said.loop) {
		on_said(&h->said, EPOLLIN);
		if (!d->hand)
			return;
	}
	if (!child_reap(&h->next, &status))
		return;
	snprintf(why, sizeof(why), "%s ended with status %d before it was ready", here, status);
	go_on(h, why);
}

static _Noreturn void become(const struct daemon *d, int sock)
{
	char *argv[6], number[] = "3";
	unsigned n = 0;
	sigset_t none;

	argv[n++] = here;
	if (d->config_path) {
		argv[n++] = (char *)"--config";
		argv[n++] = (char *)d->config_path;
	}
	argv[n++] = (char *)"--take-over";
	argv[n++] = number;
	argv[n] = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (sock == PROTO_SOCKET_FD ? fcntl(sock, F_SETFD, 0) < 0 : dup2(sock, PROTO_SOCKET_FD) < 0)
		_exit(121);
	if (close_range(PROTO_SOCKET_FD + 1, ~0u, 0) < 0)
		_exit(122);
	child_lower_descriptors();
	execv(here, argv);
	_exit(errno == ENOENT ? 127 : 126);
}

static int start_next(struct handover *h)
{
	int pair[2], r = msg_pair(pair);

	if (r < 0)
		return r;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &(int){ HAND_BYTES }, sizeof(int));
	h->next.pid = fork();
	if (h->next.pid == 0)
		become(h->d, pair[1]);
	r = h->next.pid < 0 ? -errno : 0;
	close(pair[1]);
	h->next.sock = pair[0];
	if (r == 0) {
		h->next.pidfd = (int)syscall(SYS_pidfd_open, h->next.pid, 0);
		r = h->next.pidfd < 0 ? -errno : 0;
	}
	return r;
}

/* One that is gone already is told of by its end. */
static void greet(struct handover *h)
{
	const struct daemon *d = h->d;
	struct msg_out m;

	msg_begin(&m, MSG_HAND_START, 0);
	msg_put_str(&m, TAG_RUN_DIR, d->config.run_dir);
	msg_put_str(&m, TAG_STATE_DIR, d->config.state_dir);
	msg_put_str(&m, TAG_CGROUP, str_of(d->cg.jobs_path));
	(void)!msg_send(h->next.sock, &m);
	msg_out_done(&m);
}

int handover_begin(struct daemon *d, struct client *client, uint32_t question, char *why, size_t n)
{
	struct handover *h;
	int r;

	if (d->once || d->stopping || d->hand || !here[0]) {
		snprintf(why, n, "%s",
			 d->once   ? "this egretd was started by egret run and ends with its jobs: "
				     "only a standing one is upgraded"
			 : d->hand ? "an upgrade is under way"
				   : "egretd is ending");
		return -EBUSY;
	}
	h = mem_new(sizeof(*h));
	h->d = d;
	h->next = CHILD_NONE;
	d->hand = h;
	log_info("upgrade: %s is started", here);
	r = start_next(h);
	if (r == 0)
		greet(h);
	if (r == 0)
		r = watch_add(d->loop, &h->said, h->next.sock, EPOLLIN, on_said, h);
	if (r == 0)
		r = watch_add(d->loop, &h->ended, h->next.pidfd, EPOLLIN, on_ended, h);
	if (r < 0) {
		snprintf(why, n, "%s cannot be started: %s", here, strerror(-r));
		drop(h);
		return r;
	}
	h->client = client;
	h->question = question;
	timer_set(d->loop, &h->late, PREPARE_MS, on_late, h);
	return 0;
}

void handover_client_gone(struct daemon *d, const struct client *c)
{
	if (d->hand && d->hand->client == c)
		d->hand->client = NULL;
}

void handover_stop(struct daemon *d)
{
	if (d->hand && d->hand->next.pid > 0)
		go_on(d->hand, "egretd is told to stop");
}
