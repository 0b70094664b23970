/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: epoll, a binary heap of timers, one signalfd. Called by every program; it reads
 * no byte but the kernel's signalfd records. A watch that is removed while its event waits in the
 * current batch is struck from the batch, so an owner may free itself in any callback. The kernel
 * is told of descriptors only, and whose each is stands here: so one may change hands without a
 * system call.
 */
#include "base/loop.h"

#include "base/clock.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 64

struct loop {
	int epoll;
	bool stopped;
	int value;
	struct epoll_event batch[BATCH];
	int batch_n, batch_at;
	struct watch **watches; /* by descriptor */
	size_t watches_n;
	struct timer **heap; /* least `at` first */
	size_t heap_n, heap_size;
	struct watch signals;
	int signal_fd;
	void (*signal_fn)(struct loop *l, const struct signalfd_siginfo *si, void *owner);
	void *signal_owner;
};

struct loop *loop_new(void)
{
	struct loop *l = mem_new(sizeof(*l));

	l->signal_fd = -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		die("cannot make an epoll descriptor: %s", strerror(errno));
	return l;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	while (l->heap_n)
		timer_del(l->heap[0]);
	watch_del(&l->signals);
	if (l->signal_fd >= 0)
		close(l->signal_fd);
	close(l->epoll);
	free(l->watches);
	free(l->heap);
	free(l);
	return NULL;
}

void loop_stop(struct loop *l, int value)
{
	l->stopped = true;
	l->value = value;
}

/* ---- timers ---- */

static void heap_put(struct loop *l, size_t slot, struct timer *t)
{
	l->heap[slot] = t;
	t->slot = slot;
}

static void heap_up(struct loop *l, size_t slot, struct timer *t)
{
	while (slot > 0) {
		size_t up = (slot - 1) / 2;

		if (l->heap[up]->at <= t->at)
			break;
		heap_put(l, slot, l->heap[up]);
		slot = up;
	}
	heap_put(l, slot, t);
}

static void heap_down(struct loop *l, size_t slot, struct timer *t)
{
	for (;;) {
		size_t down = slot * 2 + 1;

		if (down >= l->heap_n)
			break;
		if (down + 1 < l->heap_n && l->heap[down + 1]->at < l->heap[down]->at)
			down++;
		if (t->at <= l->heap[down]->at)
			break;
		heap_put(l, slot, l->heap[down]);
		slot = down;
	}
	heap_put(l, slot, t);
}

void timer_del(struct timer *t)
{
	struct loop *l = t->loop;
	struct timer *last;

	if (!l)
		return;
	last = l->heap[--l->heap_n];
	if (last != t) {
		if (last->at < t->at)
			heap_up(l, t->slot, last);
		else
			heap_down(l, t->slot, last);
	}
	t->loop = NULL;
}

void timer_set(struct loop *l, struct timer *t, uint64_t after_ms, timer_fn fn, void *owner)
{
	uint64_t now = clock_now();

	timer_del(t);
	if (l->heap_n == l->heap_size) {
		size_t size = l->heap_size ? l->heap_size * 2 : 64;
		struct timer **heap = reallocarray(l->heap, size, sizeof(struct timer *));

		if (!heap)
			die("out of memory: %zu timers", size);
		l->heap = heap;
		l->heap_size = size;
	}
	t->loop = l;
	t->at = after_ms > UINT64_MAX - now ? UINT64_MAX : now + after_ms;
	t->fn = fn;
	t->owner = owner;
	heap_up(l, l->heap_n++, t);
}

static void run_timers(struct loop *l)
{
	uint64_t now = clock_now();

	/* Not more than stood there at the start: one that sets itself anew with 0 must not hold
	 * the loop. */
	for (size_t left = l->heap_n; left && l->heap_n && !l->stopped; left--) {
		struct timer *t = l->heap[0];

		if (t->at > now)
			break;
		timer_del(t);
		t->fn(t);
	}
}

static int wait_ms_of(const struct loop *l, int wait_ms)
{
	uint64_t now, left;

	if (!l->heap_n)
		return wait_ms;
	now = clock_now();
	left = l->heap[0]->at > now ? l->heap[0]->at - now : 0;
	if (left > INT_MAX)
		left = INT_MAX;
	return wait_ms >= 0 && (uint64_t)wait_ms < left ? wait_ms : (int)left;
}

/* ---- watches ---- */

static void watches_reach(struct loop *l, size_t fd)
{
	size_t n = l->watches_n ? l->watches_n : 64;
	struct watch **all;

	if (fd < l->watches_n)
		return;
	while (n <= fd)
		n *= 2;
	all = reallocarray(l->watches, n, sizeof(struct watch *));
	if (!all)
		die("out of memory: watches of %zu descriptors", n);
	memset(all + l->watches_n, 0, (n - l->watches_n) * sizeof(struct watch *));
	l->watches = all;
	l->watches_n = n;
}

/* No event of this descriptor, whose watch goes, is left in the batch. */
static void watch_strike(struct loop *l, int fd)
{
	for (int i = l->batch_at; i < l->batch_n; i++)
		if (l->batch[i].data.fd == fd)
			l->batch[i].data.fd = -1;
	l->watches[fd] = NULL;
}

int watch_add(struct loop *l, struct watch *w, int fd, uint32_t events, watch_fn fn, void *owner)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (w->loop)
		return -EBUSY;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	watches_reach(l, (size_t)fd);
	if (l->watches[fd]) /* its descriptor was closed before it */
		watch_strike(l, fd);
	l->watches[fd] = w;
	*w = (struct watch){ .loop = l, .fd = fd, .events = events, .fn = fn, .owner = owner };
	return 0;
}

void watch_move(struct watch *to, struct watch *from, uint32_t events, watch_fn fn, void *owner)
{
	*to = *from;
	to->fn = fn;
	to->owner = owner;
	to->loop->watches[to->fd] = to;
	from->loop = NULL;
	watch_set(to, events);
}

void watch_set(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = w->fd };

	if (!w->loop || w->events == events)
		return;
	if (epoll_ctl(w->loop->epoll, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		die("cannot change what descriptor %d waits for: %s", w->fd, strerror(errno));
	w->events = events;
}

void watch_del(struct watch *w)
{
	struct loop *l = w->loop;

	if (!l)
		return;
	w->loop = NULL;
	/* A descriptor closed before its watch is out of epoll already, and its number may be
	 * another's by now. */
	if (l->watches[w->fd] != w)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	watch_strike(l, w->fd);
}

int loop_turn(struct loop *l, int wait_ms)
{
	int n = epoll_wait(l->epoll, l->batch, BATCH, wait_ms_of(l, wait_ms));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->batch_n = n;
	for (l->batch_at = 0; l->batch_at < l->batch_n && !l->stopped;) {
		struct epoll_event ev = l->batch[l->batch_at++];
		struct watch *w = ev.data.fd < 0 ? NULL : l->watches[ev.data.fd];

		if (w)
			w->fn(w, ev.events);
	}
	l->batch_n = l->batch_at = 0;
	run_timers(l);
	return 0;
}

int loop_run(struct loop *l)
{
	l->stopped = false;
	while (!l->stopped) {
		int r = loop_turn(l, -1);

		if (r < 0)
			return r;
	}
	return l->value;
}

/* ---- signals ---- */

static void signals_ready(struct watch *w, uint32_t events)
{
	struct loop *l = w->owner;
	struct signalfd_siginfo si;

	while (!l->stopped && read(l->signal_fd, &si, sizeof(si)) == sizeof(si))
		l->signal_fn(l, &si, l->signal_owner);
}

int loop_signals(struct loop *l, const sigset_t *set,
		 void (*fn)(struct loop *l, const struct signalfd_siginfo *si, void *owner),
		 void *owner)
{
	int fd, r;

	if (l->signal_fd >= 0)
		return -EBUSY;
	fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = watch_add(l, &l->signals, fd, EPOLLIN, signals_ready, l);
	if (r == 0 && sigprocmask(SIG_BLOCK, set, NULL) < 0) {
		r = -errno;
		watch_del(&l->signals);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	l->signal_fd = fd;
	l->signal_fn = fn;
	l->signal_owner = owner;
	return 0;
}
