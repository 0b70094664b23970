// SPDX-License-Identifier: Apache-2.0
/*
 * egretd's words to the audit process (base/proto.h). A frame of another form or an unexpected type
 * ends the process: egretd starts it anew, and nothing is lost by that (rings and numbers go on
 * where they stood). The end of the socket is the end of the work: an egretd that only dies does
 * not close it.
 */
#include "audit/audit.h"
#include "audit/kernel_events.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/rows.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOSSES_MS 1000
/* A torn line is closed by a newline of ours, before the first batch. */
#define NEWLINE "\n"

struct served {
	struct audit a;
	struct watch kernel_watch;
	struct timer losses;
	int kernel_map, kernel_lost;
	bool lost_warned;
};

static void answer(struct audit *a, const struct msg_in *m, int r, const char *what)
{
	struct msg_out o;

	msg_begin(&o, r ? MSG_FAILED : MSG_OK, m->id);
	if (r) {
		char text[256];
		int n = snprintf(text, sizeof(text), "%s: %s", what, strerror(-r));

		msg_put(&o, TAG_TEXT, text, (size_t)n);
		msg_put_u64(&o, TAG_CODE, (uint64_t)-r);
	}
	if (msg_send(a->control, &o)) {
		log_warn("egretd does not take an answer");
		msg_out_done(&o);
	}
}

static void look_at_losses(struct served *s)
{
	struct audit *a = &s->a;
	uint64_t total;
	int r = kernel_events_lost(a->kernel, &total);

	if (r) {
		if (!s->lost_warned)
			log_warn("the kernel's count of lost events cannot be read: %s",
				 strerror(-r));
		s->lost_warned = true;
		return;
	}
	/* Fewer than before: the map is a new one. */
	if (total < a->tail.kernel_lost)
		a->tail.kernel_lost = 0;
	if (total > a->tail.kernel_lost) {
		own_lost(a, "kernel", total - a->tail.kernel_lost, total);
		a->tail.kernel_lost = total;
	}
}

static void on_losses(struct timer *t)
{
	struct served *s = t->owner;

	if (!s->a.stuck_since) {
		look_at_losses(s);
		dials_look(&s->a);
		s->a.kernel_ready = true;
		batch_turn(&s->a);
	}
	timer_set(s->a.loop, t, LOSSES_MS, on_losses, s);
}

static void on_kernel(struct watch *w, uint32_t events)
{
	struct served *s = w->owner;

	s->a.kernel_ready = true;
	batch_turn(&s->a);
}

static void on_dial(void *owner, const struct egret_record *r)
{
	dials_kernel(owner, r);
}

static int start_kernel(struct served *s, struct msg_in *m)
{
	struct audit *a = &s->a;
	int r = msg_take_fd(m, TAG_FD_KERNEL_EVENTS, &s->kernel_map);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = msg_take_fd(m, TAG_FD_KERNEL_LOST, &s->kernel_lost);
	if (r == -ENOENT)
		r = 0;
	if (!r)
		r = kernel_events_open(s->kernel_map, s->kernel_lost, &a->kernel);
	if (!r)
		r = watch_add(a->loop, &s->kernel_watch, s->kernel_map, EPOLLIN | EPOLLET,
			      on_kernel, s);
	if (r) {
		log_err("the kernel's events cannot be read: %s", strerror(-r));
		return r;
	}
	kernel_events_on_dial(a->kernel, on_dial, a);
	a->kernel_ready = true;
	timer_set(a->loop, &s->losses, 0, on_losses, s);
	return 0;
}

static int start_log(struct audit *a, struct msg_in *m)
{
	int r = msg_take_fd(m, TAG_FD_LOG, &a->log);

	if (r)
		return r;
	r = fcntl(a->log, F_GETFL);
	if (r < 0 || !(r & O_APPEND) || (r & O_ACCMODE) == O_RDONLY) {
		log_err("events.ndjson: the descriptor does not append");
		return -EINVAL;
	}
	r = tail_read(a->log, &a->tail);
	if (r) {
		log_err("events.ndjson: its end cannot be read or holds no event (%s): move the "
			"file away and start again",
			strerror(-r));
		return r;
	}
	a->seq = a->tail.seq;
	if (a->tail.unended && buf_add_str(&a->batch.lines, STR(NEWLINE)))
		return -EMSGSIZE;
	if (!a->tail.torn)
		return 0;
	log_warn("events.ndjson: its last line is torn (%" PRIu64 " bytes); going on behind it",
		 a->tail.torn);
	own_alert(a, NULL,
		  "the last line of the log was torn (%" PRIu64
		  " bytes): the writer or the machine ended in the middle of it",
		  a->tail.torn);
	return 0;
}

static int start(struct served *s, struct msg_in *m)
{
	struct audit *a = &s->a;
	struct str node;
	uint64_t flags;
	int r = msg_get_str(m, TAG_NODE, EVENT_NODE_MAX, &node);

	if (r)
		return r;
	memcpy(a->node, node.p, node.n);
	if (!msg_get_u64(m, TAG_FLAGS, &flags))
		a->sync_each = flags & AUDIT_SYNC_EACH;
	r = start_log(a, m);
	if (!r)
		r = start_kernel(s, m);
	if (r)
		return r;
	a->started = true;
	batch_soon(a);
	return 0;
}

static int on_event(struct audit *a, const struct msg_in *m)
{
	struct audit_job *job = NULL;
	struct event e;
	struct stat log;
	struct str record;
	uint64_t id;
	int r = msg_get(m, TAG_RECORD, &record);

	if (r || event_check(record.p, record.n))
		return -EBADMSG;
	if (!msg_get_u64(m, TAG_JOB, &id))
		job = job_find(a, id);
	memcpy(e.bytes, record.p, record.n);
	e.n = record.n;
	e.fields = 0;
	if (job && event_kind_of(&e) == EVENT_JOB_START && !fstat(a->log, &log) &&
	    S_ISREG(log.st_mode))
		job->log_from = (uint64_t)log.st_size;
	own_add(a, &e, job);
	/* In order, and at once: the command that follows may be the end of this job. */
	batch_turn(a);
	return 0;
}

static void on_follow(struct audit *a, struct msg_in *m)
{
	int fd = -1, r = msg_take_fd(m, TAG_FD_FOLLOW, &fd);

	if (!r)
		r = follow_add(a, &a->followers, fd);
	if (r)
		log_warn("a reader of events is refused: %s", strerror(-r));
}

/* What is in the job's ring by now goes into the log: as many turns as that takes, for one turn is
 * bounded and other rings have their part of it. NULL when there is no such job (any more). */
static struct audit_job *job_drained(struct audit *a, uint64_t id)
{
	struct audit_job *job = job_find(a, id);
	uint64_t end;

	if (!job || !job->ring || !job->wake.loop)
		return job;
	end = ring_written(job->ring);
	job->ready = true;
	do {
		batch_turn(a);
		job = job_find(a, id); /* a turn may forget an ended one */
	} while (job && job->ring && job->ready && !a->stuck_since && ring_taken(job->ring) < end);
	return job;
}

/* What is in the ring comes first. */
static void on_events(struct audit *a, struct msg_in *m)
{
	struct audit_job *job = NULL;
	uint64_t id = 0;
	int fd = -1, r = msg_get_u64(m, TAG_JOB, &id);

	if (!r)
		r = msg_take_fd(m, TAG_FD_FOLLOW, &fd);
	if (!r) {
		job = job_drained(a, id);
		r = job ? replay_start(a, job->name, job->log_from, TAKE_FD(fd)) : -ENOENT;
	}
	if (fd >= 0)
		close(fd);
	if (r)
		log_warn("a reader of a job's lines is refused: %s", strerror(-r));
}

static void on_state(struct audit *a, const struct msg_in *m)
{
	struct msg_out o;

	msg_begin(&o, MSG_OK, m->id);
	msg_put_u64(&o, TAG_SEQ, a->seq);
	msg_put_u64(&o, TAG_LOST, a->lost);
	if (msg_send(a->control, &o)) {
		log_warn("egretd does not take an answer");
		msg_out_done(&o);
	}
}

/* 0, or -errno: the frame is not one that egretd sends. */
static int on_frame(struct served *s, struct msg_in *m)
{
	struct audit *a = &s->a;
	int r;

	if (!a->started) {
		if (m->type != MSG_AUDIT_START)
			return -EBADMSG;
		return start(s, m);
	}
	switch (m->type) {
	case MSG_RING_OPEN:
		r = job_open(a, m);
		if (r)
			log_err("a ring cannot be opened: %s", strerror(-r));
		answer(a, m, r, "the ring cannot be opened");
		return 0;
	case MSG_RING_CLOSE:
		r = job_close(a, m);
		if (r)
			answer(a, m, r, "no such ring");
		return 0;
	case MSG_EVENT:
		return on_event(a, m);
	case MSG_FOLLOW:
		on_follow(a, m);
		return 0;
	case MSG_EVENTS:
		on_events(a, m);
		return 0;
	case MSG_AUDIT_STATE:
		on_state(a, m);
		return 0;
	case MSG_STOP:
		a->stopping = true;
		batch_soon(a);
		return 0;
	default:
		return -EBADMSG;
	}
}

static void on_control(struct watch *w, uint32_t events)
{
	struct served *s = w->owner;
	struct msg_in m;
	int r;

	/* A few, then the rings have their turn again. */
	for (unsigned i = 0; i < 16; i++) {
		r = msg_recv(s->a.control, &m);
		if (r == -EAGAIN)
			return;
		if (!r) {
			r = on_frame(s, &m);
			msg_in_done(&m);
		} else if (r == -ECONNRESET) {
			s->a.stopping = true;
			watch_del(w);
			if (s->a.started)
				batch_turn(&s->a);
			else
				loop_stop(s->a.loop, 1);
			return;
		}
		if (r) {
			log_err("egretd's message is not understood or cannot be served: %s",
				strerror(-r));
			loop_stop(s->a.loop, 1);
			return;
		}
	}
}

int audit_run(int control)
{
	struct served s = { .kernel_map = -1, .kernel_lost = -1 };
	struct audit *a = &s.a;
	int r;

	a->loop = loop_new();
	a->started_ms = clock_now();
	a->control = control;
	a->log = -1;
	limits_init(&a->limits);
	batch_init(a);
	r = watch_add(a->loop, &a->control_watch, control, EPOLLIN, on_control, &s);
	if (!r)
		r = loop_run(a->loop);
	if (a->started && log_sync(a))
		r = 1;
	if (a->kernel)
		log_info("ends at number %" PRIu64 "; dials seen: %" PRIu64, a->seq,
			 kernel_events_dials(a->kernel));
	watch_del(&a->control_watch);
	watch_del(&s.kernel_watch);
	timer_del(&s.losses);
	a->kernel = kernel_events_free(a->kernel);
	jobs_done(a);
	dials_strays_free(a);
	follow_done(&a->followers);
	replays_done(a);
	batch_done(a);
	tail_done(&a->tail);
	loop_free(a->loop);
	for (size_t i = 0; i < 3; i++) {
		int fds[] = { a->log, s.kernel_map, s.kernel_lost };

		if (fds[i] >= 0)
			close(fds[i]);
	}
	return r ? 1 : 0;
}
