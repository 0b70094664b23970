// SPDX-License-Identifier: Apache-2.0
/*
 * The audit process's end of a ring. The other end is a proxy that may be taken over: of the shared
 * memory only `head`, `want` and the record's bytes are read, each once, into private memory, and
 * checked there. A head that is not where a whole number of records after our own position could
 * end, a length out of range or a record of bad form is -EBADMSG, for ever: the ring is not read
 * again. Nothing here waits, loops on shared memory, or reads a descriptor that the proxy holds.
 *
 * Our own position is kept in the ack memory, which no proxy can write, so an audit process that
 * starts anew goes on there.
 */
#include "event/ring_layout.h"
#include "event/rows.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Read but not acknowledged: where each record ended, in order. */
#define RING_PENDING 1024u

struct ring_reader {
	struct ring_map map;
	int wake, space;
	uint64_t read;	 /* position behind the last record handed out */
	uint64_t count;	 /* records acknowledged */
	uint64_t seen;	 /* head as last loaded and checked */
	uint64_t asleep; /* odd: told the writer that we wait */
	uint64_t wanted; /* the `want` that was answered */
	uint64_t ends[RING_PENDING];
	uint64_t pending; /* records handed out and not acknowledged */
	bool bad;
};

int ring_reader_open(int data, int ack, int wake, int space, struct ring_reader **ret)
{
	cleanup_close int data_fd = data, ack_fd = ack, wake_fd = wake, space_fd = space;
	struct ring_reader *r;
	struct ring_map map;
	uint64_t tail, count = 0;
	unsigned i;
	int err;

	err = ring_map_open(data_fd, PROT_READ, ack_fd, PROT_READ | PROT_WRITE, &map);
	if (err)
		return err;
	tail = atomic_load_explicit(&map.ack->tail, memory_order_relaxed);
	for (i = 0; i < 2; i++) {
		count = atomic_load_explicit(&map.ack->marks[i].count, memory_order_relaxed);
		if (atomic_load_explicit(&map.ack->marks[i].position, memory_order_relaxed) ==
			    tail &&
		    (!tail == !count))
			break;
	}
	if (i == 2) {
		ring_map_close(&map);
		return -EBADMSG;
	}
	r = mem_new(sizeof(*r));
	r->map = map;
	r->wake = TAKE_FD(wake_fd);
	r->space = TAKE_FD(space_fd);
	r->read = r->seen = tail;
	r->count = count;
	/* A forerunner may have died between the two stores of ring_acked, or while it slept. */
	atomic_store_explicit(&map.ack->count, count, memory_order_release);
	r->asleep = atomic_load_explicit(&map.ack->asleep, memory_order_relaxed);
	r->asleep += r->asleep & 1;
	atomic_store_explicit(&map.ack->asleep, r->asleep, memory_order_release);
	*ret = r;
	return 0;
}

struct ring_reader *ring_reader_free(struct ring_reader *r)
{
	if (!r)
		return NULL;
	ring_map_close(&r->map);
	close(r->wake);
	close(r->space);
	free(r);
	return NULL;
}

int ring_wake_fd(const struct ring_reader *r)
{
	return r->wake;
}

static void set_asleep(struct ring_reader *r, bool asleep)
{
	if ((r->asleep & 1) == asleep)
		return;
	atomic_store_explicit(&r->map.ack->asleep, ++r->asleep, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void ring_wake_clear(struct ring_reader *r)
{
	set_asleep(r, false);
}

static int broken(struct ring_reader *r)
{
	r->bad = true;
	return -EBADMSG;
}

/* Loads head. 0 when there is something to read, -EAGAIN, -EBADMSG. */
static int look(struct ring_reader *r)
{
	uint64_t head = atomic_load_explicit(&r->map.head->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&r->map.ack->tail, memory_order_relaxed);

	/* Neither behind what it showed before, nor past what we gave back, nor between two
	 * records. */
	if (head - r->read > r->map.size || head - tail > r->map.size || head < r->seen ||
	    (head & 7))
		return broken(r);
	r->seen = head;
	return head == r->read ? -EAGAIN : 0;
}

static void get(const struct ring_reader *r, uint64_t at, void *to, size_t n)
{
	size_t place = (size_t)(at & (r->map.size - 1)), first = r->map.size - place;

	if (first > n)
		first = n;
	memcpy(to, r->map.bytes + place, first);
	memcpy((uint8_t *)to + first, r->map.bytes, n - first);
}

int ring_read(struct ring_reader *r, struct event *to)
{
	uint8_t head[RING_RECORD_HEAD];
	uint64_t there;
	uint32_t n;
	int err;

	if (r->bad)
		return -EBADMSG;
	if (r->pending == RING_PENDING)
		return 0; /* acknowledge first; the writer waits meanwhile */
	if (r->seen == r->read) {
		err = look(r);
		if (err == -EAGAIN) {
			/* Say that we sleep, then look once more: a writer that did not see it has
			 * published by now. */
			set_asleep(r, true);
			err = look(r);
		}
		if (err == -EAGAIN)
			return 0;
		if (err)
			return err;
	}
	set_asleep(r, false);
	there = r->seen - r->read;
	get(r, r->read, head, sizeof(head));
	n = load_le16(head);
	if (load_le16(head + 2) || load_le16(head + 4) || load_le16(head + 6) ||
	    n < EVENT_HEAD_SIZE || n > EVENT_SIZE_MAX || RING_RECORD_HEAD + ring_padded(n) > there)
		return broken(r);
	get(r, r->read + RING_RECORD_HEAD, to->bytes, n);
	if (event_check(to->bytes, n))
		return broken(r);
	to->n = n;
	to->fields = load_le16(to->bytes + 6);
	r->read += RING_RECORD_HEAD + ring_padded(n);
	r->ends[(r->count + r->pending) % RING_PENDING] = r->read;
	r->pending++;
	return 1;
}

void ring_acked(struct ring_reader *r, uint64_t seq)
{
	struct ring_ack *ack = r->map.ack;
	uint64_t end, want;
	struct ring_mark *mark;

	if (!r->pending)
		die("ring: a record was acknowledged that was never read");
	end = r->ends[r->count % RING_PENDING];
	r->pending--;
	r->count++;
	atomic_store_explicit(&ack->seqs[r->count % RING_SEQS], seq, memory_order_release);
	mark = &ack->marks[r->count & 1];
	atomic_store_explicit(&mark->position, end, memory_order_relaxed);
	atomic_store_explicit(&mark->count, r->count, memory_order_relaxed);
	atomic_store_explicit(&ack->tail, end, memory_order_release);
	atomic_store_explicit(&ack->count, r->count, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	want = atomic_load_explicit(&r->map.head->want, memory_order_relaxed);
	if (want != r->wanted) {
		r->wanted = want;
		ring_space_signal(r->space);
	}
}

uint64_t ring_count(const struct ring_reader *r)
{
	return r->count;
}

uint64_t ring_taken(const struct ring_reader *r)
{
	return r->read;
}

uint64_t ring_written(struct ring_reader *r)
{
	if (r->bad || look(r) == -EBADMSG)
		return r->read; /* ring_read says so */
	return r->seen;
}
