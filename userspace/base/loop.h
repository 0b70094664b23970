/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One epoll loop a process, no threads, no locks. Watches and timers are embedded in the objects
 * that own them; the loop never frees them. Removing a watch or timer inside any callback is safe,
 * also one whose event is already in the current batch: it will not be called.
 */
#ifndef EGRET_BASE_LOOP_H
#define EGRET_BASE_LOOP_H

#include "base/bytes.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

struct loop;
struct watch;
struct timer;

typedef void (*watch_fn)(struct watch *w,
			 uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, EPOLLRDHUP */
typedef void (*timer_fn)(struct timer *t);

struct watch {
	struct loop *loop; /* NULL when not in a loop */
	int fd;		   /* borrowed */
	uint32_t events;
	watch_fn fn;
	void *owner;
};

struct timer {
	struct loop *loop; /* NULL when not set */
	uint64_t at;	   /* clock_now() value */
	size_t slot;	   /* place in the heap */
	timer_fn fn;
	void *owner;
};

struct loop *loop_new(void);
struct loop *loop_free(struct loop *l);	 /* NULL; accepts NULL */
int loop_run(struct loop *l) MUST_CHECK; /* until loop_stop: its value; or -errno */
void loop_stop(struct loop *l, int value);
/* One turn, waiting at most wait_ms (-1: until something happens). For tests and start-up
 * handshakes. */
int loop_turn(struct loop *l, int wait_ms) MUST_CHECK;

/* events are epoll's; level-triggered unless EPOLLET is among them. 0 or -errno. */
int watch_add(struct loop *l, struct watch *w, int fd, uint32_t events, watch_fn fn,
	      void *owner) MUST_CHECK;
void watch_set(struct watch *w,
	       uint32_t events); /* change what is waited for; no system call when equal */
void watch_del(struct watch *w); /* idempotent; does not close */
/* The descriptor of `from`, which is watched, goes on under `to`, which is not: no system call when
 * the events are equal. `from` is in no loop then. */
void watch_move(struct watch *to, struct watch *from, uint32_t events, watch_fn fn, void *owner);

void timer_set(struct loop *l, struct timer *t, uint64_t after_ms, timer_fn fn,
	       void *owner);	 /* also resets a set one */
void timer_del(struct timer *t); /* idempotent */

/* Blocks the signals and delivers them here, by signalfd. One set a loop. */
int loop_signals(struct loop *l, const sigset_t *set,
		 void (*fn)(struct loop *l, const struct signalfd_siginfo *si, void *owner),
		 void *owner) MUST_CHECK;

#endif
