// SPDX-License-Identifier: Apache-2.0
/* Relays over real sockets, in clear and with TLS on both sides: what was read before, both ways,
 * half-close, a torn end, a slow side, idle, cut. */
#include "proxy/relay.h"

#include "base/clock.h"
#include "unit/proxy/tls_pair.h"
#include <errno.h>

static struct relay_end ended;
static int ends;

struct rig {
	struct stream *job, *upstream; /* the ends that the relay does not hold */
	struct relay *r;
};

static void on_end(void *owner, const struct relay_end *end)
{
	ended = *end;
	ends++;
	assert_ptr_equal(owner, &ends);
}

static struct rig rig_make(bool tls, uint64_t idle)
{
	struct stream *a, *b;
	struct rig r;

	pair(tls, &r.job, &a);
	pair(tls, &b, &r.upstream);
	ends = 0;
	r.r = relay_start(loop, a, b, STR("early"), STR("greeting"), idle, on_end, &ends);
	return r;
}

static void rig_done(struct rig *r)
{
	stream_free(r->job);
	stream_free(r->upstream);
}

static void expect(struct stream *s, const char *want)
{
	size_t n = strlen(want), got = 0;
	char text[64];
	ssize_t k;

	for (int i = 0; i < 200 && got < n; i++) {
		k = stream_read(s, text + got, n - got);
		if (k > 0)
			got += (size_t)k;
		else
			assert_int_equal(k, -EAGAIN);
		turns(loop, 1);
	}
	assert_int_equal(got, n);
	assert_memory_equal(text, want, n);
}

/* What reading says once nothing more comes. */
static ssize_t end_of(struct stream *s)
{
	ssize_t k = -EAGAIN;
	char c;

	for (int i = 0; i < 200 && k == -EAGAIN; i++) {
		turns(loop, 1);
		k = stream_read(s, &c, 1);
	}
	return k;
}

static void both_ways(bool tls)
{
	struct rig r = rig_make(tls, 60000);

	expect(r.upstream, "early");
	expect(r.job, "greeting");
	assert_int_equal(stream_write(r.job, "hello", 5), 5);
	expect(r.upstream, "hello");
	assert_int_equal(stream_write(r.upstream, "world", 5), 5);
	expect(r.job, "world");
	/* The job ends its side; the answer still comes. */
	assert_int_equal(stream_shutdown(r.job), 0);
	assert_int_equal(end_of(r.upstream), 0);
	assert_int_equal(ends, 0);
	assert_int_equal(stream_write(r.upstream, "late", 4), 4);
	expect(r.job, "late");
	assert_int_equal(stream_shutdown(r.upstream), 0);
	assert_int_equal(end_of(r.job), 0);
	turns(loop, 10);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.err, 0);
	assert_int_equal(ended.out, 10);
	assert_int_equal(ended.in, 17);
	rig_done(&r);
}

static void in_clear(void **state)
{
	both_ways(false);
}

static void in_tls(void **state)
{
	both_ways(true);
}

/* TLS that ends without saying so: what came before arrives, and the other side sees the same. */
static void torn(void **state)
{
	struct rig r = rig_make(true, 60000);

	expect(r.upstream, "early");
	expect(r.job, "greeting");
	assert_int_equal(stream_write(r.upstream, "last words", 10), 10);
	assert_int_equal(shutdown(stream_fd(r.upstream), SHUT_WR), 0);
	turns(loop, 20);
	expect(r.job, "last words");
	assert_int_equal(end_of(r.job), -ECONNRESET);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.err, -ECONNRESET);
	assert_int_equal(ended.in, 18);
	rig_done(&r);
}

/* 16 MiB to a side that reads slowly: all arrive, in order, and the fast side waits. */
static void slow_side(void **state)
{
	static uint8_t chunk[65536], got[65536];
	const size_t total = 16u << 20;
	struct rig r = rig_make(true, 60000);
	size_t put = 0, taken = 0, k;
	ssize_t n = 0;

	expect(r.upstream, "early");
	while (n != -EAGAIN) { /* nobody reads: it must come to an end */
		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = (uint8_t)((put + i) * 31 >> 3);
		n = stream_write(r.job, chunk, sizeof(chunk));
		put += n > 0 ? (size_t)n : 0;
		turns(loop, 2);
		assert_true(put < total);
	}
	while (taken < total) {
		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = (uint8_t)((put + i) * 31 >> 3);
		k = total - put < sizeof(chunk) ? total - put : sizeof(chunk);
		n = k ? stream_write(r.job, chunk, k) : 0;
		put += n > 0 ? (size_t)n : 0;
		turns(loop, 1);
		n = stream_read(r.upstream, got, 1 + taken % sizeof(got));
		for (ssize_t i = 0; i < n; i++)
			if (got[i] != (uint8_t)((taken + (size_t)i) * 31 >> 3))
				fail_msg("another byte at %zu", taken + (size_t)i);
		taken += n > 0 ? (size_t)n : 0;
	}
	relay_cut(r.r, &ended);
	assert_int_equal(ended.err, -ECANCELED);
	assert_int_equal(ended.out, total + 5);
	assert_int_equal(ends, 0);
	rig_done(&r);
}

/* With nothing to read and nobody to write to, the loop sleeps. */
static void no_spin(void **state)
{
	struct rig r = rig_make(true, 60000);
	uint64_t before;

	turns(loop, 20);
	assert_int_equal(stream_shutdown(r.upstream), 0);
	turns(loop, 20);
	before = clock_now();
	assert_true(loop_turn(loop, 100) >= 0);
	assert_true(clock_now() - before >= 90);
	relay_cut(r.r, &ended);
	rig_done(&r);
}

static void idle(void **state)
{
	struct rig r = rig_make(true, 60);

	for (int i = 0; i < 50 && !ends; i++)
		(void)!loop_turn(loop, 20);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.err, -ETIMEDOUT);
	rig_done(&r);
}

/* A broken side breaks the other. */
static void resets(void **state)
{
	struct rig r = rig_make(false, 60000);

	expect(r.upstream, "early");
	expect(r.job, "greeting");
	stream_reset(r.job);
	r.job = stream_free(r.job);
	turns(loop, 20);
	assert_int_equal(ends, 1);
	assert_int_equal(ended.err, -ECONNRESET);
	assert_true(end_of(r.upstream) <= 0);
	rig_done(&r);
}

static int setup(void **state)
{
	pair_setup();
	return 0;
}

static int teardown(void **state)
{
	pair_teardown();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(in_clear), cmocka_unit_test(in_tls),
					    cmocka_unit_test(torn),	cmocka_unit_test(slow_side),
					    cmocka_unit_test(no_spin),	cmocka_unit_test(idle),
					    cmocka_unit_test(resets) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
