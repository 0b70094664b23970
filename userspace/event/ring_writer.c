// SPDX-License-Identifier: Apache-2.0
/*
 * The proxy's end of a ring: copies a record in, publishes it, wakes the reader if it sleeps. No
 * lock, and no system call while the reader is awake. Trusts egretd and the audit process (the ack
 * memory is theirs, read-only here), but checks their numbers before it computes with them: a
 * broken one refuses (-EIO) rather than overwrite what was not read.
 */
#include "event/ring_layout.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring_writer {
	struct ring_map map;
	int wake, space;
	uint64_t head,
		count;	/* ours; the shared ones are for the reader and for who comes after us */
	uint64_t tail;	/* as last seen */
	uint64_t woken; /* the sleep that was ended already */
	uint64_t want;
};

static void wake_reader(struct ring_writer *w)
{
	uint64_t one = 1;
	ssize_t r = write(w->wake, &one, sizeof(one));

	(void)r; /* full: it is readable */
}

/* The count that belongs to the published position. */
static int mark_count(struct ring_mark *marks, uint64_t position, uint64_t *ret)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t count = atomic_load_explicit(&marks[i].count, memory_order_relaxed);

		/* Position 0 is every fresh mark: there only count 0 is right. */
		if (atomic_load_explicit(&marks[i].position, memory_order_relaxed) == position &&
		    (!position == !count)) {
			*ret = count;
			return 0;
		}
	}
	return -EBADMSG;
}

int ring_writer_open(int data, int ack_ro, int wake, int space, struct ring_writer **ret)
{
	cleanup_close int data_fd = data, ack_fd = ack_ro, wake_fd = wake, space_fd = space;
	struct ring_writer *w;
	struct ring_map map;
	uint64_t head, count, tail;
	int r;

	r = ring_map_open(data_fd, PROT_READ | PROT_WRITE, ack_fd, PROT_READ, &map);
	if (r)
		return r;
	head = atomic_load_explicit(&map.head->head, memory_order_acquire);
	tail = atomic_load_explicit(&map.ack->tail, memory_order_acquire);
	if (map.head->magic != RING_MAGIC || head - tail > map.size ||
	    mark_count(map.head->marks, head, &count)) {
		ring_map_close(&map);
		return -EBADMSG;
	}
	w = mem_new(sizeof(*w));
	w->map = map;
	w->head = head;
	w->count = count;
	w->tail = tail;
	w->want = atomic_load_explicit(&map.head->want, memory_order_relaxed);
	w->wake = TAKE_FD(wake_fd);
	w->space = TAKE_FD(space_fd);
	/* Whoever wrote before us may have died between publishing and waking. */
	wake_reader(w);
	*ret = w;
	return 0;
}

struct ring_writer *ring_writer_free(struct ring_writer *w)
{
	if (!w)
		return NULL;
	ring_map_close(&w->map);
	close(w->wake);
	close(w->space);
	free(w);
	return NULL;
}

static void put(struct ring_writer *w, uint64_t at, const void *p, size_t n)
{
	size_t place = (size_t)(at & (w->map.size - 1)), first = w->map.size - place;

	if (first > n)
		first = n;
	memcpy(w->map.bytes + place, p, first);
	memcpy(w->map.bytes, (const uint8_t *)p + first, n - first);
}

/* 0 when `need` bytes are free; -EAGAIN, -EIO. */
static int room(struct ring_writer *w, uint64_t need)
{
	if (w->map.size - (w->head - w->tail) >= need)
		return 0;
	w->tail = atomic_load_explicit(&w->map.ack->tail, memory_order_acquire);
	if (w->head - w->tail > w->map.size)
		return -EIO;
	return w->map.size - (w->head - w->tail) >= need ? 0 : -EAGAIN;
}

/* Asks for a signal; the caller looks once more before it waits. */
static void want_space(struct ring_writer *w)
{
	atomic_store_explicit(&w->map.head->want, ++w->want, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

int ring_put(struct ring_writer *w, const struct event *e, uint64_t *ret_n)
{
	uint64_t need;
	struct ring_mark *mark;
	uint8_t head[RING_RECORD_HEAD] = { 0 };
	int r;

	if (e->n > EVENT_SIZE_MAX)
		return -EMSGSIZE;
	need = RING_RECORD_HEAD + ring_padded(e->n);
	r = room(w, need);
	if (r == -EAGAIN) {
		want_space(w);
		r = room(w, need);
	}
	if (r == -EAGAIN)
		ring_wake(w); /* it may not know yet of what fills the ring */
	if (r)
		return r;
	head[0] = (uint8_t)e->n;
	head[1] = (uint8_t)(e->n >> 8);
	put(w, w->head, head, sizeof(head));
	put(w, w->head + RING_RECORD_HEAD, e->bytes, e->n);
	w->head += need;
	w->count++;
	mark = &w->map.head->marks[w->count & 1];
	atomic_store_explicit(&mark->position, w->head, memory_order_relaxed);
	atomic_store_explicit(&mark->count, w->count, memory_order_relaxed);
	atomic_store_explicit(&w->map.head->head, w->head, memory_order_release);
	*ret_n = w->count;
	if (room(w, w->map.size / 2) == -EAGAIN)
		ring_wake(w);
	return 0;
}

void ring_wake(struct ring_writer *w)
{
	uint64_t asleep;

	atomic_thread_fence(memory_order_seq_cst);
	asleep = atomic_load_explicit(&w->map.ack->asleep, memory_order_relaxed);
	if ((asleep & 1) && asleep != w->woken) {
		w->woken = asleep;
		wake_reader(w);
	}
}

int ring_write(struct ring_writer *w, const struct event *e, uint64_t *ret_n)
{
	int r = ring_put(w, e, ret_n);

	if (r == 0)
		ring_wake(w);
	return r;
}

int ring_seq(struct ring_writer *w, uint64_t n, uint64_t *ret_seq)
{
	struct ring_ack *ack = w->map.ack;
	uint64_t count, seq;

	if (!n || n > w->count)
		return -ESTALE;
	count = atomic_load_explicit(&ack->count, memory_order_acquire);
	if (count < n) {
		want_space(w);
		count = atomic_load_explicit(&ack->count, memory_order_acquire);
		if (count < n)
			return -EAGAIN;
	}
	seq = atomic_load_explicit(&ack->seqs[n % RING_SEQS], memory_order_acquire);
	/* The slot is given to record n + RING_SEQS just before that one is counted. */
	count = atomic_load_explicit(&ack->count, memory_order_acquire);
	if (count - n >= RING_SEQS - 1)
		return -ESTALE;
	*ret_seq = seq;
	return 0;
}

int ring_space_fd(const struct ring_writer *w)
{
	return w->space;
}

void ring_space_clear(struct ring_writer *w)
{
	ring_space_drain(w->space);
}
