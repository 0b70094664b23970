// SPDX-License-Identifier: Apache-2.0
/* Tunnels between real TCP sockets on loopback: bytes both ways, half-close, reset, a slow side,
 * idle, cut. */
#include "proxy/tunnel.h"

#include "base/clock.h"
#include "unit/proxy/pairs.h"
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop *loop;
static struct tunnel_end ended;
static int ends;

static void on_end(void *owner, const struct tunnel_end *end)
{
	ended = *end;
	ends++;
	assert_ptr_equal(owner, &ends);
}

struct rig {
	int job, a, b, upstream;
	struct tunnel *t;
};

static struct rig rig_make(uint64_t idle)
{
	struct rig r;

	pair_tcp(&r.job, &r.a);
	pair_tcp(&r.b, &r.upstream);
	ends = 0;
	assert_int_equal(tunnel_start(loop, r.a, r.b, idle, on_end, &ends, &r.t), 0);
	return r;
}

static void rig_done(struct rig *r)
{
	close(r->job);
	close(r->upstream);
}

static void both_ways(void **state)
{
	struct rig r = rig_make(60000);
	char got[64];

	assert_int_equal(send(r.job, "hello", 5, 0), 5);
	assert_int_equal(send(r.upstream, "220 greeting", 12, 0), 12);
	turns(loop, 20);
	assert_int_equal(recv(r.upstream, got, sizeof(got), MSG_DONTWAIT), 5);
	assert_int_equal(recv(r.job, got, sizeof(got), MSG_DONTWAIT), 12);
	/* The job ends its side; the answer still comes. */
	shutdown(r.job, SHUT_WR);
	turns(loop, 20);
	assert_int_equal(recv(r.upstream, got, sizeof(got), MSG_DONTWAIT), 0);
	assert_int_equal(ends, 0);
	assert_int_equal(send(r.upstream, "late", 4, 0), 4);
	turns(loop, 20);
	assert_int_equal(recv(r.job, got, sizeof(got), MSG_DONTWAIT), 4);
	shutdown(r.upstream, SHUT_WR);
	turns(loop, 20);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.err, 0);
	assert_int_equal(ended.out, 5);
	assert_int_equal(ended.in, 16);
	assert_int_equal(recv(r.job, got, sizeof(got), MSG_DONTWAIT), 0);
	rig_done(&r);
}

static void resets(void **state)
{
	for (int side = 0; side < 2; side++) {
		struct rig r = rig_make(60000);
		char c;

		pair_reset(side ? r.upstream : r.job);
		turns(loop, 20);
		assert_int_equal(ends, 1);
		assert_int_equal(ended.err, -ECONNRESET);
		assert_int_equal(recv(side ? r.job : r.upstream, &c, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, ECONNRESET);
		close(side ? r.job : r.upstream);
	}
}

/* 32 MiB to a side that reads slowly: all arrive, in order. */
static void bulk_through(struct rig *r)
{
	static uint8_t chunk[65536], got[65536];
	const size_t total = 32u << 20;
	size_t put = 0, taken = 0;
	ssize_t n;

	while (taken < total) {
		if (put < total) {
			for (size_t i = 0; i < sizeof(chunk); i++)
				chunk[i] = (uint8_t)((put + i) * 31 >> 3);
			n = send(r->job, chunk,
				 total - put < sizeof(chunk) ? total - put : sizeof(chunk),
				 MSG_DONTWAIT);
			if (n > 0)
				put += (size_t)n;
			if (put == total)
				shutdown(r->job, SHUT_WR);
		}
		turns(loop, 2);
		n = recv(r->upstream, got, 1 + taken % sizeof(got), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], (uint8_t)((taken + (size_t)i) * 31 >> 3));
		if (n > 0)
			taken += (size_t)n;
	}
	shutdown(r->upstream, SHUT_WR);
	turns(loop, 20);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.out, total);
	rig_done(r);
}

static void bulk(void **state)
{
	struct rig r = rig_make(60000);

	bulk_through(&r);
}

/* With nothing to read and nobody to write to, the loop sleeps. */
static void no_spin(void **state)
{
	struct rig r = rig_make(60000);
	uint64_t before;
	static char chunk[65536];

	while (send(r.job, chunk, sizeof(chunk), MSG_DONTWAIT) > 0)
		turns(loop, 2);
	shutdown(r.upstream, SHUT_WR);
	turns(loop, 20);
	before = clock_now();
	assert_true(loop_turn(loop, 100) >= 0);
	assert_true(clock_now() - before >= 90);
	tunnel_cut(r.t, &ended);
	assert_int_equal(ended.err, -ECANCELED);
	assert_int_equal(ends, 0);
	rig_done(&r);
}

/* What a server said before it reset the connection is what a client without us could read. */
static void last_words(void **state)
{
	static char chunk[30000];
	struct rig r = rig_make(60000);
	size_t got = 0;
	ssize_t n = 0;

	assert_int_equal(send(r.upstream, chunk, sizeof(chunk), 0), sizeof(chunk));
	pair_reset(r.upstream);
	for (int i = 0; i < 100 && !ends; i++)
		(void)!loop_turn(loop, 20);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.err, -ECONNRESET);
	assert_int_equal(ended.in, sizeof(chunk));
	while ((n = recv(r.job, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	assert_int_equal(got, sizeof(chunk));
	assert_int_equal(n, -1);
	assert_int_equal(errno, ECONNRESET);
	close(r.job);
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Tunnels that rest hold no pipe, and what is kept for the next is bounded. */
static void pipes_of_many(void **state)
{
	enum { MANY = 100 };
	struct rig r[MANY];
	unsigned before;
	char c;

	before = descriptors() + 4 * MANY;
	for (int i = 0; i < MANY; i++)
		r[i] = rig_make(60000);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++)
			assert_int_equal(send(r[i].job, "x", 1, 0), 1);
		turns(loop, 20);
		for (int i = 0; i < MANY; i++)
			assert_int_equal(recv(r[i].upstream, &c, 1, MSG_DONTWAIT), 1);
		assert_in_range(descriptors(), before, before + 32);
	}
	for (int i = 0; i < MANY; i++) {
		tunnel_cut(r[i].t, &ended);
		assert_int_equal(ended.out, 2);
		rig_done(&r[i]);
	}
}

/* Every descriptor is taken: bytes go by memory. In a process of its own, for the limit stays. */
static void without_pipes(void **state)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct rlimit l = { 0 };
		struct rig r;

		loop = loop_new();
		r = rig_make(60000);
		setrlimit(RLIMIT_NOFILE, &l);
		if (dup(0) >= 0)
			_exit(2);
		bulk_through(&r);
		_exit(ends == 1 && ended.err == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void idle(void **state)
{
	struct rig r = rig_make(60);

	for (int i = 0; i < 20 && !ends; i++)
		(void)!loop_turn(loop, 20);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.err, -ETIMEDOUT);
	rig_done(&r);
}

static int setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_pipes), /* first: no pipe is kept yet */
		cmocka_unit_test(both_ways),	 cmocka_unit_test(resets),
		cmocka_unit_test(bulk),		 cmocka_unit_test(no_spin),
		cmocka_unit_test(last_words),	 cmocka_unit_test(pipes_of_many),
		cmocka_unit_test(idle)
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
