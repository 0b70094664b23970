/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstream connections that speak HTTP/2: which one a request gets, who is asked whether he is
 * still there and how often, who is given up, and how many rest at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "proxy/h2pool.h"
#include "proxy/proxy.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct h2pool_times times = { .rest = 300, .quiet = 600, .answer = 900, .doubt = 50 };
static const struct h2_limits limits = { .header_bytes = 16384,
					 .header_count = 100,
					 .buffer_bytes = 16384,
					 .window = 65535,
					 .lanes = 10,
					 .idle_frames = 1000 };

static struct {
	struct proxy px;
	struct h2pool *pool;
	struct pool_key key;
	struct peer {
		struct h2 *h2;
		int fd;
		struct h2_lane *lane;
		unsigned pings;
		bool deaf, answers, ended;
	} peers[4];
	unsigned n, gone;
} rig;

static void on_opened(void *owner, struct h2_lane *l)
{
	((struct peer *)owner)->lane = l;
}

static void on_kick(void *owner)
{
}

static int setup(void **state)
{
	memset(&rig, 0, sizeof(rig));
	rig.px.loop = loop_new();
	limits_init(&rig.px.limits);
	rig.px.limits.upstream_idle = 1;
	rig.pool = h2pool_new(&rig.px, &times);
	rig.key = (struct pool_key){ .host = "a.test", .host_n = 6, .port = 443, .tls = true };
	return 0;
}

static int teardown(void **state)
{
	h2pool_free(rig.pool);
	for (unsigned i = 0; i < rig.n; i++) {
		if (rig.peers[i].lane)
			h2_lane_close(rig.peers[i].lane);
		h2_free(rig.peers[i].h2);
		close(rig.peers[i].fd);
	}
	loop_free(rig.px.loop);
	return 0;
}

static struct peer *connects(void)
{
	static const struct h2_calls calls = { on_opened, NULL, on_kick };
	static const uint8_t addr[16];
	struct peer *p = &rig.peers[rig.n++];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	p->fd = fds[1];
	p->h2 = h2_new(true, &limits, &calls, p);
	h2pool_add(rig.pool, stream_new(rig.px.loop, fds[0], NULL), &rig.key, addr);
	return p;
}

/* Counts PINGs that came; those that are an answer have flags. */
static void count(struct peer *p, const char *b, size_t n)
{
	size_t at = n > 24 && !memcmp(b, "PRI ", 4) ? 24 : 0;

	while (at + 9 <= n) {
		const unsigned char *f = (const unsigned char *)b + at;

		if (f[3] == 6 && !f[4])
			p->pings++;
		at += 9 + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]);
	}
}

static void turn_ms(unsigned ms)
{
	uint64_t end = clock_now() + ms;

	do {
		assert_true(loop_turn(rig.px.loop, 2) >= 0);
		for (unsigned i = 0; i < rig.n; i++) {
			struct peer *p = &rig.peers[i];
			char bytes[4096];
			ssize_t r = recv(p->fd, bytes, sizeof(bytes), 0);
			struct buf b;

			p->ended = p->ended || r == 0;
			if (r <= 0)
				continue;
			count(p, bytes, (size_t)r);
			if (p->deaf)
				continue;
			assert_int_equal(h2_feed(p->h2, bytes, (size_t)r), 0);
			if (p->answers && p->lane) {
				struct head ok = { .status = 200 };

				assert_int_equal(h2_lane_answer(p->lane, &ok, true), 0);
				p->lane = h2_lane_close(p->lane);
			}
			buf_init(&b, 1 << 16);
			while (h2_pull(p->h2, &b))
				;
			if (b.n)
				(void)!send(p->fd, b.p, b.n, MSG_NOSIGNAL);
			buf_done(&b);
		}
	} while (clock_now() < end);
}

/* Until it is true; a machine that is busy takes its time. */
#define until(x)                                          \
	do {                                              \
		for (int i_ = 0; i_ < 2000 && !(x); i_++) \
			turn_ms(5);                       \
		assert_true(x);                           \
	} while (0)

static void on_gone(void *owner)
{
	rig.gone++;
}

static struct pooled *asks(void)
{
	struct head h = { .is_request = true, .method = STR("GET") };
	struct pooled *c = h2pool_take(rig.pool, &rig.key);

	if (!c)
		return NULL;
	assert_int_equal(
		h2_lane_request(c->u.lane, &h, STR("https"), STR("a.test"), STR("/"), true, false),
		0);
	h2_lane_want(c->u.lane, NULL, NULL, on_gone, NULL);
	return c;
}

static void test_dead(void **state)
{
	struct peer *p = connects();
	struct pooled *c;

	p->answers = true;
	c = asks();
	until(h2_lane_heard(c->u.lane));
	pooled_free(c);
	turn_ms(320); /* it rests */
	assert_int_equal(p->pings, 0);
	p->deaf = true;
	rig.gone = 0;
	c = asks();
	assert_true(c->u.reused);
	until(p->pings == 1);
	assert_int_equal(rig.gone, 0);
	/* In doubt: nobody else is sent there. */
	turn_ms(60);
	assert_null(asks());
	until(rig.gone == 1);
	assert_int_equal(p->pings, 1);
	assert_int_equal(h2_lane_state(c->u.lane), -ECONNRESET);
	pooled_free(c);
	until(p->ended);
}

/* Who is only slow is asked once, however long it takes. */
static void test_slow(void **state)
{
	struct peer *p = connects();
	struct pooled *c = asks();

	turn_ms(50);
	assert_int_equal(p->pings, 0);
	until(p->pings == 1);
	turn_ms(1600); /* past the time for an answer, and past another silence */
	assert_int_equal(p->pings, 1);
	assert_int_equal(rig.gone, 0);
	assert_int_equal(h2_lane_state(c->u.lane), -EAGAIN);
	pooled_free(c);
	/* At rest nobody asks; the next request does. */
	turn_ms(320);
	assert_int_equal(p->pings, 1);
	p->answers = true;
	p->lane = h2_lane_close(p->lane);
	c = asks();
	until(h2_lane_heard(c->u.lane));
	assert_int_equal(p->pings, 2);
	pooled_free(c);
}

static void test_at_rest(void **state)
{
	struct pooled *c;

	connects();
	turn_ms(5);
	connects();
	turn_ms(5);
	c = asks();
	assert_non_null(c);
	connects();
	connects();
	until(rig.peers[0].ended);
	/* Of the two that rested the older one is gone; the busy one counts for nothing. */
	assert_true(rig.peers[0].ended && !rig.peers[1].ended && !rig.peers[2].ended);
	assert_false(rig.peers[3].ended);
	assert_int_equal(h2_lane_state(c->u.lane), -EAGAIN);
	pooled_free(c);
}

/* Of one network namespace, and gone with it. */
static void test_netns(void **state)
{
	struct pool_key here = rig.key;
	struct pooled *c;

	rig.key.netns = 7;
	connects();
	assert_null(h2pool_take(rig.pool, &here));
	c = h2pool_take(rig.pool, &rig.key);
	assert_non_null(c);
	pooled_free(c);
	h2pool_leave(rig.pool, 0);
	turn_ms(20);
	assert_false(rig.peers[0].ended);
	h2pool_leave(rig.pool, 7);
	until(rig.peers[0].ended);
	assert_null(h2pool_take(rig.pool, &rig.key));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_dead), T(test_slow), T(test_at_rest),
					    T(test_netns) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
