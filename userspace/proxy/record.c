/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records into the job's ring (promise P7). Called by every room of the proxy that decides, and
 * before any byte of a request leaves. Trusts the audit process for space and sequence numbers
 * only: what it never answers is a refusal (ETIMEDOUT), or a number left out.
 *
 * A proxy has one ring, so the waiting list and the queue of notes are this file's own.
 */
#include "base/clock.h"
#include "proxy/proxy.h"

#include <errno.h>
#include <stdlib.h>

#define NOTES_MAX 256u	  /* events that nothing waits for, kept while the ring is full */
#define WAKE_MS 20u	  /* a record is in the ring at once; its reader is woken for many */
#define SEQ_WAIT_MS 1000u /* how long a refusal waits for its number */

struct kept {
	struct kept *next;
	struct event e; /* only n bytes of it are allocated */
};

struct record_wait {
	struct record_wait *next, **back;
	struct proxy *px;
	struct timer timer;
	struct kept *e; /* NULL: written, waits for its number only */
	uint64_t n;
	bool want_seq;
	bool must; /* without a number nothing goes out (audit.sync: each) */
	record_fn fn;
	void *owner;
};

static struct {
	struct watch watch;
	struct timer wake;
	struct record_wait *waits, **tail;
	struct kept *notes, **notes_tail;
	unsigned nnotes;
	uint64_t lost;
} rec;

void record_begin(const struct proxy *px, struct event *e, enum event_kind kind,
		  enum event_verdict v, enum reason r, const struct origin *o,
		  const struct policy *decided, struct str rule)
{
	const struct policy *p = decided ? decided : px->npolicies ? &px->policies[0] : NULL;

	event_begin(e, kind, v, r);
	if (rule.n)
		event_text(e, FIELD_RULE, rule);
	if (o) {
		const struct egret_record *c = &o->record;

		if (c->pid) {
			event_num(e, FIELD_PROCESS_PID, c->pid);
			event_text(e, FIELD_PROCESS_COMM,
				   (struct str){ c->comm, strnlen(c->comm, sizeof(c->comm)) });
			event_num(e, FIELD_PROCESS_UID, c->uid);
		}
	}
	if (p) {
		event_text(e, FIELD_POLICY_NAME, policy_name(p));
		event_text(e, FIELD_POLICY_DIGEST, policy_digest(p));
	}
	if (o) {
		if (o->name_n)
			event_text(e, FIELD_DEST_HOST, (struct str){ o->name, o->name_n });
		if (o->addr)
			event_addr(e, FIELD_DEST_IP, o->addr);
		event_num(e, FIELD_DEST_PORT, o->port);
	}
}

static void on_wake(struct timer *t)
{
	const struct proxy *px = t->owner;

	ring_wake(px->ring);
}

/* Into the ring, where it outlives this process. The audit process is woken at once only by who
 * waits for it: on a busy machine each wake costs both sides more than the record does. */
static int put(struct proxy *px, const struct event *e, uint64_t *ret_n)
{
	int r = ring_put(px->ring, e, ret_n);

	if (r == 0 && !rec.wake.loop)
		timer_set(px->loop, &rec.wake, WAKE_MS, on_wake, px);
	return r;
}

int record_write(struct proxy *px, const struct event *e, uint64_t *ret_n)
{
	return put(px, e, ret_n);
}

static struct kept *keep(const struct event *e)
{
	struct kept *k = mem_new(offsetof(struct kept, e) + offsetof(struct event, bytes) + e->n);

	memcpy(&k->e, e, offsetof(struct event, bytes) + e->n);
	return k;
}

static bool flush_notes(struct proxy *px)
{
	uint64_t n;

	while (rec.notes) {
		struct kept *k = rec.notes;

		if (put(px, &k->e, &n) == -EAGAIN)
			return false;
		rec.notes = k->next;
		if (!rec.notes)
			rec.notes_tail = &rec.notes;
		rec.nnotes--;
		free(k);
	}
	if (rec.lost) {
		struct event e;

		record_begin(px, &e, EVENT_LOST, VERDICT_NONE, REASON_LIMIT, NULL, NULL, STR(""));
		event_num(&e, FIELD_LOST_COUNT, rec.lost);
		event_text(&e, FIELD_LOST_WHERE, STR("proxy"));
		if (put(px, &e, &n) == -EAGAIN)
			return false;
		rec.lost = 0;
	}
	return true;
}

void record_note(struct proxy *px, const struct event *e)
{
	struct kept *k;
	uint64_t n;

	if (flush_notes(px) && put(px, e, &n) != -EAGAIN)
		return;
	if (rec.nnotes >= NOTES_MAX) {
		rec.lost++;
		return;
	}
	k = keep(e);
	if (!rec.notes_tail)
		rec.notes_tail = &rec.notes;
	*rec.notes_tail = k;
	rec.notes_tail = &k->next;
	rec.nnotes++;
}

static void unlink_wait(struct record_wait *w)
{
	timer_del(&w->timer);
	*w->back = w->next;
	if (w->next)
		w->next->back = w->back;
	else
		rec.tail = w->back;
	free(w->e);
}

void record_wait_cancel(struct record_wait *w)
{
	if (!w)
		return;
	unlink_wait(w);
	free(w);
}

static void wait_over(struct record_wait *w, int err, uint64_t n)
{
	record_fn fn = w->fn;
	void *owner = w->owner;

	record_wait_cancel(w);
	fn(owner, err, n);
}

static void on_timeout(struct timer *t)
{
	struct record_wait *w = t->owner;

	/* A record that is written stays written; only its number is not known. */
	wait_over(w, w->e || w->must ? -ETIMEDOUT : 0, 0);
}

/* 1: done, *ret is what to say; 0: go on waiting. */
static int try_seq(struct proxy *px, uint64_t n, uint64_t *ret)
{
	int r = ring_seq(px->ring, n, ret);

	if (r == -EAGAIN) {
		ring_wake(px->ring);
		return 0;
	}
	if (r < 0)
		*ret = 0;
	return 1;
}

static uint64_t seq_wait_ms(const struct record_wait *w)
{
	return w->must ? w->px->limits.ring_wait_ms : SEQ_WAIT_MS;
}

static bool try_wait(struct record_wait *w)
{
	uint64_t seq;
	int r;

	if (w->e) {
		r = put(w->px, &w->e->e, &w->n);
		if (r == -EAGAIN)
			return false;
		if (r < 0 || !w->want_seq) {
			wait_over(w, r, w->n);
			return true;
		}
		free(TAKE_PTR(w->e));
		timer_set(w->px->loop, &w->timer, seq_wait_ms(w), on_timeout, w);
	}
	if (!try_seq(w->px, w->n, &seq))
		return false;
	wait_over(w, 0, seq);
	return true;
}

static void on_space(struct watch *watch, uint32_t events)
{
	struct proxy *px = watch->owner;
	struct record_wait *w, *next;
	bool full = false;

	ring_space_clear(px->ring);
	if (!flush_notes(px))
		full = true;
	/* Callbacks may add waits (at the end) or cancel any: so from the start again after each
	 * one that was called. */
again:
	for (w = rec.waits; w; w = next) {
		next = w->next;
		if (w->e && full)
			continue;
		if (try_wait(w))
			goto again;
		if (w->e)
			full = true;
	}
}

static struct record_wait *wait_start(struct proxy *px, const struct event *e, bool want_seq,
				      bool must, record_fn fn, void *owner)
{
	struct record_wait *w;
	bool ahead = false;
	uint64_t n = 0, seq;
	int r = -EAGAIN;

	/* Nobody overtakes a record that waits for space. */
	for (w = rec.waits; w && !ahead; w = w->next)
		ahead = w->e != NULL;
	if (!ahead && flush_notes(px)) {
		r = put(px, e, &n);
		if (r != -EAGAIN && (r < 0 || !want_seq)) {
			fn(owner, r, n);
			return NULL;
		}
		if (r == 0 && try_seq(px, n, &seq)) {
			fn(owner, 0, seq);
			return NULL;
		}
	}
	w = mem_new(sizeof(*w));
	w->px = px;
	w->n = n;
	w->e = r == 0 ? NULL : keep(e);
	w->want_seq = want_seq;
	w->must = must;
	w->fn = fn;
	w->owner = owner;
	if (!rec.tail)
		rec.tail = &rec.waits;
	w->back = rec.tail;
	*rec.tail = w;
	rec.tail = &w->next;
	timer_set(px->loop, &w->timer, w->e ? px->limits.ring_wait_ms : seq_wait_ms(w), on_timeout,
		  w);
	return w;
}

struct record_wait *record_wait(struct proxy *px, const struct event *e, bool want_seq,
				record_fn fn, void *owner)
{
	return wait_start(px, e, want_seq, false, fn, owner);
}

struct record_wait *record_decision(struct proxy *px, const struct event *e, record_fn fn,
				    void *owner)
{
	return wait_start(px, e, px->sync_each, px->sync_each, fn, owner);
}

int records_start(struct proxy *px)
{
	return watch_add(px->loop, &rec.watch, ring_space_fd(px->ring), EPOLLIN, on_space, px);
}

void records_stop(void)
{
	if (rec.wake.loop)
		on_wake(&rec.wake);
	timer_del(&rec.wake);
	watch_del(&rec.watch);
	while (rec.waits)
		record_wait_cancel(rec.waits);
	while (rec.notes) {
		struct kept *k = rec.notes;

		rec.notes = k->next;
		free(k);
	}
	memset(&rec, 0, sizeof(rec));
}
