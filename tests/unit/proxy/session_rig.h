/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session in this process: the job on one socket pair, the origin on another, a real ring with a
 * reader that numbers, a broker that leases one secret. Upstreams are made here instead of
 * upstream.c. For tests/unit/proxy/test_session*.c.
 */
#ifndef SESSION_RIG_H
#define SESSION_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/msg.h"
#include "base/proto.h"
#include "policy/compile.h"
#include "proxy/creds.h"
#include "proxy/h1serve.h"
#include "proxy/session.h"
#include "proxy/upstream.h"
#include "sigv4/sigv4.h"
#include "unit/print.h"

#define SECRET "s3cr3t/value+0123456789"
#define FIRST_SEQ 48213

static struct {
	struct proxy px;
	struct ring_fds ring;
	struct ring_reader *reader;
	uint64_t seq;
	bool deaf; /* the audit process reads nothing */
	int broker;
	bool broker_refuses;
	unsigned leases_asked;
	const char *secret; /* instead of SECRET, and until then (wall, us) */
	uint64_t expires;
	struct compiled compiled;
	int pack;
	struct h1serve *served;
	struct origin where; /* it is borrowed */
	bool over;	     /* done was called */
	int client;	     /* the job's end, -1 when closed */
	int origin[8];	     /* the origins' ends, in order of dialling */
	unsigned dialled, reused, ahead;
	struct upstream *idle;
	struct h2 *h2; /* origins speak HTTP/2, on this connection */
	enum reason dial_fault;
	unsigned dial_ms; /* a dial takes so long */
	bool unverified;
	char events[65536];
	struct upstream_ask last_ask;
	char last_host[256], last_credential[128], ahead_credential[128];
	unsigned connects;
} rig;

/* ---- upstreams ---- */

struct upstream_want {
	struct timer timer;
	struct upstream_ask ask;
	upstream_fn fn;
	void *owner;
};

static void upstream_ready(struct timer *t)
{
	struct upstream_want *w = t->owner;
	upstream_fn fn = w->fn;
	void *owner = w->owner;
	bool tls = w->ask.tls, fresh = w->ask.fresh, by_h2 = w->ask.h2;
	struct upstream_fault f = { .reason = rig.dial_fault, .text = "connection refused" };
	struct upstream *u;
	int fds[2];

	free(w);
	if (rig.dial_fault) {
		fn(owner, NULL, &f);
		return;
	}
	if (rig.idle && !fresh) {
		u = rig.idle;
		rig.idle = NULL;
		u->reused = true;
		rig.reused++;
		fn(owner, u, NULL);
		return;
	}
	if (rig.h2 && by_h2) {
		u = mem_new(sizeof(*u));
		u->lane = h2_open(rig.h2);
		u->verified = tls;
		u->reused = rig.dialled++ > 0;
		fn(owner, u, NULL);
		return;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	u = mem_new(sizeof(*u));
	u->stream = stream_new(rig.px.loop, fds[0], NULL);
	u->verified = tls && !rig.unverified;
	u->addr[10] = u->addr[11] = 0xff;
	u->addr[12] = 198;
	assert_true(rig.dialled < ARRAY_SIZE(rig.origin));
	rig.origin[rig.dialled++] = fds[1];
	fn(owner, u, NULL);
}

void upstream_recorded(struct proxy *px, struct upstream *u, const struct hello_shape *shape)
{
}

void upstream_ahead(struct proxy *px, const struct upstream_ask *ask)
{
	rig.ahead++;
	snprintf(rig.ahead_credential, sizeof(rig.ahead_credential), "%.*s",
		 STR_ARG(ask->credential));
}

struct upstream_want *upstream_get(struct proxy *px, const struct upstream_ask *ask, upstream_fn fn,
				   void *owner)
{
	struct upstream_want *w = mem_new(sizeof(*w));

	w->ask = *ask;
	w->fn = fn;
	w->owner = owner;
	rig.last_ask = *ask;
	snprintf(rig.last_host, sizeof(rig.last_host), "%.*s", STR_ARG(ask->host));
	snprintf(rig.last_credential, sizeof(rig.last_credential), "%.*s",
		 STR_ARG(ask->credential));
	timer_set(px->loop, &w->timer, rig.dial_ms, upstream_ready, w);
	return w;
}

void upstream_cancel(struct upstream_want *w)
{
	timer_del(&w->timer);
	free(w);
}

static void upstream_close(struct upstream *u)
{
	if (u->lane)
		h2_lane_close(u->lane);
	else
		stream_free(u->stream);
	free(u);
}

void upstream_put(struct proxy *px, struct upstream *u, bool reusable)
{
	if (!u->lane)
		stream_want(u->stream, NULL, NULL, NULL);
	if (u->lane || !reusable || rig.idle)
		upstream_close(u);
	else
		rig.idle = u;
}

void upstream_want(struct upstream *u, stream_fn on_read, stream_fn on_write, void *owner)
{
	if (u->lane)
		h2_lane_want(u->lane, on_read, on_write, NULL, owner);
	else
		stream_want(u->stream, on_read, on_write, owner);
}

struct stream *upstream_take(struct proxy *px, struct upstream *u)
{
	struct stream *s = u->stream;

	free(u);
	return s;
}

/* ---- audit and broker ---- */

static void audit_read(void)
{
	static struct event e;

	while (!rig.deaf && ring_read(rig.reader, &e) == 1) {
		size_t n = strlen(rig.events);
		unsigned kind = e.bytes[0] | e.bytes[1] << 8, reason = e.bytes[4] | e.bytes[5] << 8;

		assert_int_equal(event_check(e.bytes, e.n), 0);
		snprintf(rig.events + n, sizeof(rig.events) - n, "%s:%s:%s ", event_kind_name(kind),
			 event_verdict_name(e.bytes[2]), reason_word(reason));
		ring_acked(rig.reader, rig.seq++);
	}
}

/* Of provider aws: what signs for one day, region and service. */
static void put_signer(struct msg_out *m, struct str scope)
{
	uint8_t key[SIGV4_KEY];

	assert_int_equal(sigv4_key(str_of(rig.secret ? rig.secret : SECRET), scope, key), 0);
	msg_put(m, TAG_VALUE, key, sizeof(key));
	msg_put_str(m, TAG_ACCESS_KEY, STR("ASIARIG"));
	msg_put_str(m, TAG_SESSION, STR("rig-session"));
}

static void broker_answer(void)
{
	struct msg_out m;
	struct msg_in q;
	struct str scope;
	uint64_t index;

	for (;; msg_in_done(&q)) {
		if (rig.broker < 0 || msg_recv(rig.broker, &q) < 0)
			return;
		if (q.type != MSG_CRED_USED)
			break;
	}
	assert_int_equal(q.type, MSG_CRED_GET);
	assert_int_equal(msg_get_u64(&q, TAG_INDEX, &index), 0);
	rig.leases_asked++;
	if (rig.broker_refuses) {
		msg_begin(&m, MSG_FAILED, q.id);
		msg_put_u64(&m, TAG_INDEX, index);
		msg_put_str(&m, TAG_TEXT, STR("there is no secret \"gh\""));
	} else {
		msg_begin(&m, MSG_CRED, q.id);
		msg_put_u64(&m, TAG_INDEX, index);
		if (msg_get_str(&q, TAG_SCOPE, SIGV4_SCOPE_MAX, &scope) == 0)
			put_signer(&m, scope);
		else
			msg_put_str(&m, TAG_VALUE, str_of(rig.secret ? rig.secret : SECRET));
		msg_put_str(&m, TAG_LEASE, STR("L1"));
		msg_put_u64(&m, TAG_EXPIRES, rig.expires);
		msg_put_u64(&m, TAG_STATIC, 1);
	}
	assert_int_equal(msg_send(rig.broker, &m), 0);
	msg_in_done(&q);
}

/* ---- turning ---- */

static void turn(void)
{
	for (int i = 0; i < 12; i++) {
		assert_true(loop_turn(rig.px.loop, 0) >= 0);
		audit_read();
		broker_answer();
	}
}

/* Turns for so long, for what only time brings. */
__attribute__((unused)) static void turn_ms(unsigned ms)
{
	uint64_t end = clock_now() + ms;

	do {
		assert_true(loop_turn(rig.px.loop, 5) >= 0);
		audit_read();
		broker_answer();
	} while (clock_now() < end);
}

static void put_bytes(int fd, const char *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
	turn();
}

#define say(fd, text) put_bytes(fd, text, strlen(text))

#define DATE_ADDED "\r\ndate: "
#define DATE_LINE (strlen(DATE_ADDED) + 29)

/* All that is there but the Date that egret adds, which no test can foresee; NULL-terminated;
 * "<end>" and "<reset>" at the end if so. */
static const char *hear(int fd)
{
	static char text[1 << 20];
	size_t n = 0;
	ssize_t r = -1;

	turn();
	while (n + 32 < sizeof(text) && (r = recv(fd, text + n, sizeof(text) - n - 32, 0)) > 0) {
		n += (size_t)r;
		turn();
	}
	text[n] = 0;
	for (char *d; (d = strcasestr(text, DATE_ADDED)) && d + DATE_LINE <= text + n;
	     n -= DATE_LINE)
		memmove(d, d + DATE_LINE, (size_t)(text + n + 1 - (d + DATE_LINE)));
	if (r == 0)
		copy(text + n, "<end>");
	else if (r < 0 && errno != EAGAIN)
		copy(text + n, "<reset>");
	return text;
}

/* ---- making and ending ---- */

static void on_done(void *owner)
{
	rig.over = true;
	rig.served = NULL;
}

static void job_connects_as(bool tls, const struct origin *o)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	rig.where = *o;
	rig.client = fds[1];
	rig.over = false;
	rig.served = h1serve_start(&rig.px, stream_new(rig.px.loop, fds[0], NULL), tls, &rig.where,
				   on_done, NULL);
}

static void job_connects(bool tls, const char *name, uint16_t port)
{
	struct origin o = { .synthetic = true, .port = port };

	o.name_n = strlen(name);
	memcpy(o.name, name, o.name_n);
	o.record.pid = 812;
	memcpy(o.record.comm, "gh", 3);
	job_connects_as(tls, &o);
}

static void job_leaves(void)
{
	if (rig.client >= 0)
		close(rig.client);
	rig.client = -1;
	if (rig.served)
		h1serve_stop(rig.served, true);
	turn();
	assert_true(rig.over);
}

static int rig_up_with(const char *policy, const char *credential)
{
	struct source src[2] = { { SOURCE_POLICY, STR("p.json"), str_of(policy) },
				 { SOURCE_CREDENTIAL, STR("c.json"), str_of(credential) } };
	struct pack pack;
	int broker[2];

	memset(&rig, 0, sizeof(rig));
	rig.client = -1;
	rig.seq = FIRST_SEQ;
	rig.px.loop = loop_new();
	limits_init(&rig.px.limits);
	assert_int_equal(policy_compile(src, 2, 0, &rig.compiled), 0);
	assert_int_equal(policy_open(rig.compiled.policies[0], &rig.px.policies[0]), 0);
	rig.px.npolicies = 1;
	assert_int_equal(ring_create(65536, &rig.ring), 0);
	assert_int_equal(ring_writer_open(dup(rig.ring.data), dup(rig.ring.ack_ro),
					  dup(rig.ring.wake), dup(rig.ring.space), &rig.px.ring),
			 0);
	assert_int_equal(ring_reader_open(dup(rig.ring.data), dup(rig.ring.ack), dup(rig.ring.wake),
					  dup(rig.ring.space), &rig.reader),
			 0);
	assert_int_equal(msg_pair(broker), 0);
	rig.px.broker = broker[0];
	rig.broker = broker[1];
	assert_int_equal(pack_write(rig.compiled.credentials, rig.compiled.ncredentials, &rig.pack),
			 0);
	{
		static char bytes[65536];
		ssize_t n = pread(rig.pack, bytes, sizeof(bytes), 0);

		assert_true(n > 0);
		assert_int_equal(pack_open(bytes, (size_t)n, &pack), 0);
	}
	assert_int_equal(creds_new(&rig.px, pack, &rig.px.creds), 0);
	assert_int_equal(records_start(&rig.px), 0);
	return 0;
}

static int rig_down(void)
{
	if (rig.served || rig.client >= 0)
		job_leaves();
	if (rig.idle)
		upstream_close(rig.idle);
	for (unsigned i = 0; !rig.h2 && i < rig.dialled; i++)
		close(rig.origin[i]);
	creds_free(rig.px.creds);
	close(rig.px.broker);
	if (rig.broker >= 0)
		close(rig.broker);
	close(rig.pack);
	records_stop();
	compiled_done(&rig.compiled);
	ring_writer_free(rig.px.ring);
	ring_reader_free(rig.reader);
	ring_fds_done(&rig.ring);
	loop_free(rig.px.loop);
	return 0;
}

#endif
