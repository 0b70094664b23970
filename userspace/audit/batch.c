// SPDX-License-Identifier: Apache-2.0
/*
 * The one way into the log: collect what is there, in bounded turns, append it in one write, and
 * only then acknowledge and tell who reads along. While the log cannot be written nothing is read
 * or acknowledged, so the rings fill and the requests of all jobs wait (promise P7); it is tried
 * again every second, from the byte where it stopped, so that no line is torn by us.
 */
#include "audit/audit.h"
#include "audit/kernel_events.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/rows.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RETRY_MS 1000
#define SYNC_MS 1000
#define BATCHES_A_TURN 8
#define TIME_BACK_US                                                                             \
	(3600ull * 1000000) /* a record's own time is believed this far back: it may have waited \
			     */

struct own_event {
	struct own_event *next;
	uint64_t job;
	bool has_job;
	struct event e;
};

void batch_init(struct audit *a)
{
	buf_init(&a->batch.lines, AUDIT_BATCH_BYTES);
	a->own_end = &a->own;
}

void batch_done(struct audit *a)
{
	while (a->own) {
		struct own_event *o = a->own;

		a->own = o->next;
		free(o);
	}
	buf_done(&a->batch.lines);
	timer_del(&a->again);
	timer_del(&a->retry);
	timer_del(&a->sync);
}

bool batch_drained(const struct audit *a)
{
	return !a->batch.n && !a->own;
}

bool batch_room(const struct audit *a)
{
	return a->batch.n < AUDIT_BATCH &&
	       a->batch.lines.limit - a->batch.lines.n >= EVENT_LINE_MAX;
}

/* The time of a line is when it was decided, unless the record says what cannot be. */
static uint64_t time_of(const struct event *e)
{
	uint64_t now = clock_wall_us(), said = event_time_of(e);

	return said <= now && now - said <= TIME_BACK_US ? said : now;
}

void batch_add(struct audit *a, const struct event *e, struct audit_job *job, bool from_ring)
{
	struct batch *b = &a->batch;
	struct batch_record *r = &b->records[b->n];
	struct event_place at = { .seq = a->seq + 1,
				  .time_us = time_of(e),
				  .node = str_of(a->node),
				  .job = job ? buf_str(&job->json) : (struct str){ 0 },
				  .n = from_ring ? job->n : 0 };

	*r = (struct batch_record){ .job = job, .from_ring = from_ring, .seq = at.seq };
	r->start = b->lines.n;
	if (event_json(&b->lines, e, &at))
		die("a record of %zu bytes makes no line",
		    e->n); /* batch_room and the bounds of json.h rule it out */
	r->end = b->lines.n;
	a->seq++;
	b->n++;
}

void batch_pass(struct audit *a, struct audit_job *job)
{
	struct batch *b = &a->batch;

	b->records[b->n++] = (struct batch_record){
		.job = job, .from_ring = true, .seq = a->seq, .start = b->lines.n, .end = b->lines.n
	};
}

/* ---- our own events ---- */

void own_add(struct audit *a, const struct event *e, struct audit_job *job)
{
	struct own_event *o;

	if (a->own_n >= AUDIT_OWN_MAX) {
		a->own_lost++;
		return;
	}
	o = mem_new(sizeof(*o));
	o->has_job = job != NULL;
	o->job = job ? job->id : 0;
	o->e = *e;
	*a->own_end = o;
	a->own_end = &o->next;
	a->own_n++;
	batch_soon(a);
}

void own_alert(struct audit *a, struct audit_job *job, const char *fmt, ...)
{
	char text[512];
	struct event e;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	event_text(&e, FIELD_MESSAGE, str_of(text));
	own_add(a, &e, job);
}

void own_lost(struct audit *a, const char *where, uint64_t count, uint64_t total)
{
	struct event e;

	event_begin(&e, EVENT_LOST, VERDICT_NONE, REASON_NONE);
	event_num(&e, FIELD_LOST_COUNT, count);
	event_text(&e, FIELD_LOST_WHERE, str_of(where));
	event_num(&e, FIELD_LOST_TOTAL, total);
	a->lost += count;
	own_add(a, &e, NULL);
}

static void collect_own(struct audit *a)
{
	if (a->own_lost && a->own_n < AUDIT_OWN_MAX) {
		uint64_t lost = a->own_lost;

		a->own_lost = 0;
		own_lost(a, "egretd", lost, lost);
	}
	while (a->own && batch_room(a)) {
		struct own_event *o = a->own;

		batch_add(a, &o->e, o->has_job ? job_find(a, o->job) : NULL, false);
		a->own = o->next;
		if (!a->own)
			a->own_end = &a->own;
		a->own_n--;
		free(o);
	}
}

/* ---- the kernel's ---- */

static bool on_kernel_event(void *owner, const struct event *e, uint64_t job)
{
	struct audit *a = owner;

	batch_add(a, e, job ? job_find(a, job) : NULL, false);
	return batch_room(a) && a->batch.n < AUDIT_BATCH / 2;
}

static void collect_kernel(struct audit *a)
{
	if (!a->kernel || !a->kernel_ready || !batch_room(a) || a->batch.n >= AUDIT_BATCH / 2)
		return;
	a->kernel_ready = kernel_events_read(a->kernel, on_kernel_event, a);
}

/* ---- the rings ---- */

static void collect_rings(struct audit *a)
{
	struct audit_job *first = a->cursor ? a->cursor : a->jobs, *j = first;
	struct event e;

	if (!j)
		return;
	do {
		for (unsigned i = 0; i < AUDIT_TURN && batch_room(a) && job_read(j, &e); i++) {
			if (dials_record(j, &e))
				batch_add(a, &e, j, true);
			else
				batch_pass(a, j);
		}
		j = j->next ? j->next : a->jobs;
		a->cursor = j; /* who comes next begins the next batch */
	} while (j != first && batch_room(a));
}

static bool more_to_read(const struct audit *a)
{
	if (a->own || a->kernel_ready)
		return true;
	for (const struct audit_job *j = a->jobs; j; j = j->next)
		if (j->ready)
			return true;
	return false;
}

/* ---- the log ---- */

int log_sync(struct audit *a)
{
	uint64_t unsynced = a->unsynced;

	timer_del(&a->sync);
	if (!unsynced)
		return 0;
	/* Tried once: what a failed sync dropped, a second one does not bring back. */
	a->unsynced = 0;
	if (!fdatasync(a->log) || errno == EINVAL || errno == EROFS)
		return 0;
	log_err("events.ndjson: cannot be written to disk: %s; %" PRIu64 " events may be lost",
		strerror(errno), unsynced);
	own_lost(a, "disk", unsynced, unsynced);
	return -EIO;
}

static void on_sync(struct timer *t)
{
	if (log_sync(t->owner))
		return; /* said there */
}

/* Every line that is whole in the log by now. */
static void acknowledge(struct audit *a)
{
	struct batch *b = &a->batch;

	for (; b->acked < b->n && b->records[b->acked].end <= b->written; b->acked++) {
		struct batch_record *r = &b->records[b->acked];
		struct str line = { NULL, r->end - r->start };

		if (r->from_ring)
			ring_acked(r->job->ring, r->seq);
		if (!line.n)
			continue;
		line.p = b->lines.p + r->start;
		a->unsynced++;
		follow_line(&a->followers, line, r->seq);
		if (r->job)
			follow_line(&r->job->followers, line, r->seq);
	}
	follow_flush(&a->followers);
	for (struct audit_job *j = a->jobs; j; j = j->next)
		follow_flush(&j->followers);
	if (a->unsynced && !a->sync.loop)
		timer_set(a->loop, &a->sync, SYNC_MS, on_sync, a);
}

static int append(struct audit *a)
{
	struct batch *b = &a->batch;

	while (b->written < b->lines.n) {
		ssize_t r = write(a->log, b->lines.p + b->written, b->lines.n - b->written);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -ENOSPC;
		b->written += (size_t)r;
		if (!a->sync_each)
			acknowledge(a);
	}
	if (a->sync_each && b->lines.n) {
		/* A failed one is not tried again, for the kernel may have dropped what it could
		 * not write: this process ends, the requests that wait for it are refused. */
		if (fdatasync(a->log) && errno != EINVAL && errno != EROFS)
			die("events.ndjson: cannot be written to disk: %s", strerror(errno));
	}
	acknowledge(a);
	b->lines.n = 0;
	b->n = b->acked = 0;
	b->written = 0;
	return 0;
}

static void on_retry(struct timer *t)
{
	batch_turn(t->owner);
}

/* True when the batch is in the log. */
static bool append_or_wait(struct audit *a)
{
	int r = append(a);

	if (r) {
		if (!a->stuck_since) {
			a->stuck_since = clock_now();
			log_err("events.ndjson: cannot be appended to: %s; all jobs' requests wait "
				"until it can; "
				"tried again every second",
				strerror(-r));
		}
		timer_set(a->loop, &a->retry, RETRY_MS, on_retry, a);
		return false;
	}
	if (a->stuck_since) {
		uint64_t ms = clock_now() - a->stuck_since;

		a->stuck_since = 0;
		timer_del(&a->retry);
		log_warn("events.ndjson: can be appended to again after %" PRIu64 " s", ms / 1000);
		own_alert(a, NULL,
			  "the log could not be written for %" PRIu64
			  " s; requests waited meanwhile",
			  ms / 1000);
	}
	return true;
}

static void on_again(struct timer *t)
{
	batch_turn(t->owner);
}

void batch_soon(struct audit *a)
{
	if (!a->again.loop && !a->stuck_since)
		timer_set(a->loop, &a->again, 0, on_again, a);
}

void batch_turn(struct audit *a)
{
	if (!a->started || (a->stuck_since && a->retry.loop))
		return;
	timer_del(&a->again);
	for (unsigned i = 0; i < BATCHES_A_TURN; i++) {
		/* After a failure the old batch goes first, as it is. */
		if (!a->batch.n) {
			collect_own(a);
			collect_kernel(a);
			collect_rings(a);
		}
		/* Lines without a record: the newline that a torn line lacks. */
		if ((a->batch.lines.n || a->batch.n) && !append_or_wait(a))
			return;
		if (!more_to_read(a))
			break;
	}
	if (more_to_read(a))
		batch_soon(a);
	jobs_finish(a);
	if (a->stopping && !more_to_read(a))
		loop_stop(a->loop, 0);
}
