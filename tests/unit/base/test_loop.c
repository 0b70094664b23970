/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: removal inside a batch, timers in order and in bulk, signals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAIRS 20

static struct rig {
	struct loop *loop;
	struct watch watches[PAIRS];
	int fds[PAIRS];
	unsigned called;
} rig;

/* The first to be called removes and closes all others: none of them may be called any more. */
static void kill_others(struct watch *w, uint32_t events)
{
	rig.called++;
	for (size_t i = 0; i < PAIRS; i++) {
		if (&rig.watches[i] == w)
			continue;
		watch_del(&rig.watches[i]);
		watch_del(&rig.watches[i]);
		close(rig.fds[i]);
		memset(&rig.watches[i], 0, sizeof(rig.watches[i]));
	}
	watch_set(w, 0);
}

static void test_removed_in_batch(void **state)
{
	rig = (struct rig){ .loop = loop_new() };
	for (size_t i = 0; i < PAIRS; i++) {
		rig.fds[i] = eventfd(1, EFD_CLOEXEC);
		assert_int_equal(watch_add(rig.loop, &rig.watches[i], rig.fds[i], EPOLLIN,
					   kill_others, NULL),
				 0);
	}
	assert_int_equal(loop_turn(rig.loop, 100), 0);
	assert_int_equal(rig.called, 1);
	assert_int_equal(loop_turn(rig.loop, 1), 0);
	assert_int_equal(rig.called, 1);
	for (size_t i = 0; i < PAIRS; i++) {
		if (rig.watches[i].loop) {
			watch_del(&rig.watches[i]);
			close(rig.fds[i]);
		}
	}
	loop_free(rig.loop);
}

static void count(struct watch *w, uint32_t events)
{
	rig.called++;
}

/* A watch that moved to another descriptor inside the batch hears of the new one only. */
static void move(struct watch *w, uint32_t events)
{
	struct watch *other = w == &rig.watches[0] ? &rig.watches[1] : &rig.watches[0];

	rig.called += 100;
	watch_del(other);
	assert_int_equal(watch_add(rig.loop, other, rig.fds[2], EPOLLIN, count, NULL), 0);
	watch_del(w);
}

static void test_moved_in_batch(void **state)
{
	rig = (struct rig){ .loop = loop_new() };
	for (size_t i = 0; i < 3; i++)
		rig.fds[i] = eventfd(i < 2, EFD_CLOEXEC);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
			watch_add(rig.loop, &rig.watches[i], rig.fds[i], EPOLLIN, move, NULL), 0);
	assert_int_equal(watch_add(rig.loop, &rig.watches[0], rig.fds[2], EPOLLIN, move, NULL),
			 -EBUSY);
	assert_int_equal(loop_turn(rig.loop, 100), 0);
	assert_int_equal(loop_turn(rig.loop, 1), 0);
	assert_int_equal(rig.called, 100);
	watch_del(&rig.watches[0]);
	watch_del(&rig.watches[1]);
	for (size_t i = 0; i < 3; i++)
		close(rig.fds[i]);
	loop_free(rig.loop);
}

static void never(struct watch *w, uint32_t events)
{
	fail_msg("a watch that was moved from was called");
}

/* A descriptor goes on under another watch, and is the kernel's concern only if the events differ.
 * A watch whose descriptor was closed before it takes nothing from the next one of that number. */
static void test_handed_on(void **state)
{
	struct loop *l = loop_new();
	struct watch from = { 0 }, to = { 0 }, next = { 0 };
	int fd = eventfd(1, EFD_CLOEXEC);

	rig.called = 0;
	assert_int_equal(watch_add(l, &from, fd, EPOLLIN, never, NULL), 0);
	watch_move(&to, &from, EPOLLIN, count, NULL);
	assert_null(from.loop);
	watch_del(&from);
	assert_int_equal(loop_turn(l, 100), 0);
	assert_int_equal(rig.called, 1);
	watch_move(&from, &to, 0, never, NULL);
	assert_int_equal(loop_turn(l, 1), 0);
	close(fd);
	fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(fd, from.fd);
	assert_int_equal(watch_add(l, &next, fd, EPOLLIN, count, NULL), 0);
	watch_del(&from);
	assert_int_equal(loop_turn(l, 100), 0);
	assert_int_equal(rig.called, 2);
	watch_del(&next);
	close(fd);
	loop_free(l);
}

#define TIMERS 500
static struct timer timers[TIMERS];
static uint64_t last_at;
static unsigned fired;

static void in_order(struct timer *t)
{
	assert_true(t->at >= last_at);
	assert_null(t->loop);
	last_at = t->at;
	fired++;
}

static void test_timers_in_order(void **state)
{
	struct loop *l = loop_new();
	uint64_t from = clock_now();
	unsigned removed = 0;

	last_at = fired = 0;
	for (unsigned i = 0; i < TIMERS; i++)
		timer_set(l, &timers[i], (i * 7919) % 60, in_order, NULL);
	for (unsigned i = 0; i < TIMERS; i += 3)
		timer_set(l, &timers[i], (i * 104729) % 60, in_order, NULL);
	for (unsigned i = 0; i < TIMERS; i += 5, removed++) {
		timer_del(&timers[i]);
		timer_del(&timers[i]);
	}
	while (fired < TIMERS - removed && clock_now() - from < 2000)
		assert_int_equal(loop_turn(l, 100), 0);
	assert_int_equal(fired, TIMERS - removed);
	assert_true(clock_now() - from >= 55);
	loop_free(l);
}

static void again(struct timer *t)
{
	fired++;
	timer_set(t->owner, t, 0, again, t->owner);
}

/* A timer that sets itself anew with nothing to wait does not hold the turn. */
static void test_timer_zero(void **state)
{
	struct loop *l = loop_new();

	fired = 0;
	timer_set(l, &timers[0], 0, again, l);
	assert_int_equal(loop_turn(l, -1), 0);
	assert_int_equal(fired, 1);
	assert_int_equal(loop_turn(l, -1), 0);
	assert_int_equal(fired, 2);
	loop_free(l);
	assert_null(timers[0].loop); /* freed with a timer set: the timer knows */
}

static void on_stop(struct timer *t)
{
	loop_stop(t->owner, 7);
}

static void test_run(void **state)
{
	struct loop *l = loop_new();

	timer_set(l, &timers[0], 5, on_stop, l);
	assert_int_equal(loop_run(l), 7);
	timer_set(l, &timers[0], UINT64_MAX, on_stop, l);
	assert_int_equal(loop_turn(l, 1), 0);
	assert_int_equal(timers[0].at, UINT64_MAX);
	loop_free(l);
	assert_null(loop_free(NULL));
}

static int got;

static void on_signal(struct loop *l, const struct signalfd_siginfo *si, void *owner)
{
	got = (int)si->ssi_signo;
	loop_stop(l, 0);
}

static void test_signals(void **state)
{
	struct loop *l = loop_new();
	sigset_t set, old;

	sigprocmask(SIG_SETMASK, NULL, &old);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	assert_int_equal(loop_signals(l, &set, on_signal, NULL), 0);
	assert_int_equal(loop_signals(l, &set, on_signal, NULL), -EBUSY);
	raise(SIGUSR1);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(got, SIGUSR1);
	loop_free(l);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removed_in_batch), cmocka_unit_test(test_moved_in_batch),
		cmocka_unit_test(test_handed_on),	 cmocka_unit_test(test_timers_in_order),
		cmocka_unit_test(test_timer_zero),	 cmocka_unit_test(test_run),
		cmocka_unit_test(test_signals),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
