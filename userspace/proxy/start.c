// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a proxy: see start.h. START -> the broker's intermediate CA -> READY; then LISTEN for
 * each network namespace (listen.c), POLICY and STOP. Trusts egretd's messages for what they say,
 * still checks their form, and does not need egretd any more once it serves: when that dies, the
 * job goes on (promise P6).
 */
#include "proxy/start.h"

#include "base/log.h"
#include "base/msg.h"
#include "base/proto.h"
#include "proxy/accept.h"
#include "proxy/conn.h"
#include "proxy/creds.h"
#include "proxy/leaf.h"
#include "proxy/listen.h"
#include "proxy/names.h"
#include "proxy/policies.h"
#include "proxy/resolver.h"
#include "proxy/session.h"
#include "proxy/storm.h"
#include "proxy/told.h"
#include "proxy/upstream.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CA_WAIT_MS 10000
#define DRAIN_MS 5000
#define DRAIN_STEP_MS 20
#define LIST_MAX MSG_FIELDS_MAX /* entries of one kind in START */
#define OLD_MAX 64		/* reloads that may be remembered while connections are open */

static struct {
	struct proxy px;
	struct watch control, broker;
	struct timer timer; /* for the CA, then for the drain */
	struct timer warm;
	uint32_t start_id;
	struct resolver *resolver;
	struct policies current;
	struct policies old[OLD_MAX]; /* requests under way may still point into these */
	unsigned nold;
	uint64_t drained_ms;
	bool serving;
} self;

static void fail_start(const char *what)
{
	struct msg_out m;

	log_err("cannot start: %s", what);
	msg_begin(&m, MSG_FAILED, self.start_id);
	msg_put_str(&m, TAG_TEXT, str_of(what));
	if (msg_send(self.px.control, &m) == -EAGAIN)
		msg_out_done(&m);
	loop_stop(self.px.loop, 1);
}

static int answer(uint16_t type, uint32_t id, const char *text)
{
	struct msg_out m;
	int r;

	msg_begin(&m, type, id);
	if (text)
		msg_put_str(&m, TAG_TEXT, str_of(text));
	r = msg_send(self.px.control, &m);
	if (r == -EAGAIN)
		msg_out_done(&m);
	return r;
}

/* ---- START ---- */

static unsigned strings(const struct msg_in *m, uint16_t tag, struct str *to)
{
	unsigned n = 0;
	size_t at = 0;

	while (n < LIST_MAX && msg_each(m, tag, &at, &to[n]))
		n++;
	return n;
}

static unsigned descriptors(struct msg_in *m, uint16_t tag, int *to)
{
	struct str field;
	unsigned n = 0;
	size_t at = 0;

	while (n < MSG_FDS_MAX && msg_each(m, tag, &at, &field))
		if (!msg_take_fd_of(m, field, &to[n]))
			n++;
	return n;
}

static const char *read_limits(const struct msg_in *m, struct limits *l)
{
	struct str field, key, number;
	const char *equals;
	uint64_t value;
	size_t at = 0;

	limits_init(l);
	while (msg_each(m, TAG_LIMIT, &at, &field)) {
		equals = memchr(field.p, '=', field.n);
		if (!equals)
			return "a limit is not key=number";
		key = (struct str){ field.p, (size_t)(equals - field.p) };
		number = (struct str){ equals + 1, field.n - key.n - 1 };
		if (str_u64(number, &value) || limits_set(l, key, value))
			return "a limit is unknown or out of its range";
	}
	return NULL;
}

static const char *open_ring(struct msg_in *m, struct proxy *px)
{
	int data = -1, ack = -1, wake = -1, space = -1;

	if (msg_take_fd(m, TAG_FD_RING, &data) || msg_take_fd(m, TAG_FD_RING_ACK, &ack) ||
	    msg_take_fd(m, TAG_FD_RING_WAKE, &wake) || msg_take_fd(m, TAG_FD_RING_SPACE, &space))
		return "the ring's descriptors are missing"; /* and the process ends */
	if (ring_writer_open(data, ack, wake, space, &px->ring))
		return "the ring cannot be opened";
	if (records_start(px))
		return "the ring cannot be watched";
	told_anew(px);
	return NULL;
}

static const char *open_names(struct msg_in *m, struct proxy *px, const struct str *ranges,
			      unsigned n)
{
	struct address_block v4 = { .prefix = 0 }, v6 = { .prefix = 0 }, b;
	bool have4 = false, have6 = false;
	int fd = -1, r;

	for (unsigned i = 0; i < n; i++) {
		if (address_block_parse(ranges[i], &b))
			return "a synthetic range is not a CIDR";
		if (address_is_v4(b.addr)) {
			v4 = b;
			have4 = true;
		} else {
			v6 = b;
			have6 = true;
		}
	}
	if (!have4 || !have6)
		return "there must be one synthetic IPv4 range and one IPv6 range";
	if (msg_take_fd(m, TAG_FD_NAMES, &fd))
		fd = -1;
	r = names_new(&v4, &v6, px->limits.names, fd, &px->names);
	if (r == -EINVAL)
		return "a synthetic range is too small or too large";
	return r ? "the table of synthetic names cannot be read" : NULL;
}

static const char *open_upstreams(struct msg_in *m, struct proxy *px, struct str *synthetic,
				  unsigned nsynthetic)
{
	static struct str nameservers[LIST_MAX], hosts[LIST_MAX], allow[LIST_MAX], local[LIST_MAX],
		except[LIST_MAX];
	int roots[MSG_FDS_MAX];
	struct upstream_setup s = { .root_fds = roots,
				    .nameservers = nameservers,
				    .hosts = hosts,
				    .allow_private = allow,
				    .local = local,
				    .no_proxy = except,
				    .synthetic = synthetic,
				    .nsynthetic = nsynthetic };

	s.nroots = descriptors(m, TAG_FD_ROOTS, roots);
	s.nnameservers = strings(m, TAG_NAMESERVER, nameservers);
	s.nhosts = strings(m, TAG_HOSTS, hosts);
	s.nallow_private = strings(m, TAG_ALLOW_PRIVATE, allow);
	s.nlocal = strings(m, TAG_LOCAL_ADDR, local);
	s.nno_proxy = strings(m, TAG_NO_PROXY, except);
	if (msg_get(m, TAG_PARENT, &s.parent))
		s.parent.n = 0;
	return upstreams_new(px, &s, &px->upstreams)
		       ? "nameservers, hosts, address ranges or the parent proxy are malformed"
		       : NULL;
}

static const char *open_resolver(const struct msg_in *m, struct proxy *px)
{
	struct str search[LIST_MAX];

	if (resolver_new(px, search, strings(m, TAG_SEARCH, search), &self.resolver))
		return "the resolver cannot be made";
	return NULL;
}

static void adopt(const struct policies *s)
{
	memcpy(self.px.policies, s->list, sizeof(self.px.policies));
	self.px.npolicies = s->n;
	self.current = *s;
}

static const char *read_start(struct msg_in *m, struct proxy *px)
{
	uint64_t flags;
	struct str ranges[LIST_MAX];
	unsigned nranges = strings(m, TAG_SYNTHETIC, ranges);
	struct policies s;
	const char *why;

	if (msg_get_u64(m, TAG_JOB, &px->job) || msg_take_fd(m, TAG_FD_RECORDS, &px->records) ||
	    msg_take_fd(m, TAG_FD_BROKER, &px->broker))
		return "the job, its records or its broker are missing";
	if (!msg_get_u64(m, TAG_FLAGS, &flags))
		px->sync_each = flags & PROXY_SYNC_EACH;
	why = read_limits(m, &px->limits);
	if (!why && policies_take(m, &s, &why) == 0) {
		adopt(&s);
		why = open_ring(m, px);
	}
	if (!why)
		why = open_names(m, px, ranges, nranges);
	if (!why)
		why = open_upstreams(m, px, ranges, nranges);
	if (!why && s.creds.p && creds_new(px, s.creds, &px->creds))
		why = "the credentials are malformed";
	if (!why)
		why = open_resolver(m, px);
	return why;
}

/* ---- the CA ---- */

static void serve(struct msg_in *ca)
{
	struct proxy *px = &self.px;
	struct secret key = { 0 };
	struct str cert, raw, more;
	size_t at = 0;
	int r = -EBADMSG;

	if (ca->type == MSG_CA && !msg_get(ca, TAG_CERT, &cert) && !msg_get(ca, TAG_KEY, &raw) &&
	    !secret_dup(raw.p, raw.n, &key))
		r = leaves_new(cert, &key, px->limits.leaf_cache, &px->leaves);
	secret_done(&key);
	while (!r && msg_each(ca, TAG_CHAIN, &at, &more))
		r = leaves_chain(px->leaves, more);
	if (r) {
		fail_start("the broker gave no usable intermediate CA");
		return;
	}
	/* What the job has leased already comes unasked. */
	if (creds_listen(px->creds))
		log_warn("the broker's socket cannot be listened to");
	session_on_connect(conn_inside);
	storm_start(px);
	self.serving = true;
	if (answer(MSG_PROXY_READY, self.start_id, NULL))
		log_warn("egretd is gone; the job is served on");
}

static void on_broker(struct watch *w, uint32_t events)
{
	struct msg_in m;
	int r;

	r = msg_recv(w->fd, &m);
	if (r == -EAGAIN)
		return;
	/* From here on the socket is the credentials' (creds.c). */
	watch_del(w);
	timer_del(&self.timer);
	if (r) {
		fail_start("the broker is gone");
		return;
	}
	serve(&m);
	msg_in_done(&m);
}

static void on_no_ca(struct timer *t)
{
	fail_start("the broker did not answer in time");
}

static void start(struct msg_in *m)
{
	struct proxy *px = &self.px;
	struct msg_out ask;
	const char *why;
	int r;

	self.start_id = m->id;
	why = read_start(m, px);
	if (why) {
		fail_start(why);
		return;
	}
	msg_begin(&ask, MSG_CA_GET, 1);
	r = msg_send(px->broker, &ask);
	if (r == -EAGAIN)
		msg_out_done(&ask);
	if (!r)
		r = watch_add(px->loop, &self.broker, px->broker, EPOLLIN, on_broker, NULL);
	if (r)
		fail_start("the broker cannot be asked");
	else
		timer_set(px->loop, &self.timer, CA_WAIT_MS, on_no_ca, NULL);
}

/* ---- later words ---- */

static void answered(const struct msg_in *m, const char *why)
{
	(void)answer(why ? MSG_FAILED : MSG_OK, m->id, why);
}

static bool same_creds(const struct pack *a, const struct pack *b)
{
	if (!a->p || !b->p)
		return !a->p && !b->p;
	return a->n == b->n && !memcmp(a->p, b->p, a->n);
}

/* All of it or nothing, between two turns of the loop: no request is judged by a mixture. */
static void reload(struct msg_in *m)
{
	struct credentials *creds = NULL, *before = self.px.creds;
	struct proxy *px = &self.px;
	struct policies s;
	const char *why = "the message is malformed";
	bool swap;

	if (!px->connections) {
		while (self.nold)
			policies_done(&self.old[--self.nold]);
	}
	if (self.nold == OLD_MAX) {
		(void)answer(MSG_FAILED, m->id, "too many reloads while connections are open");
		return;
	}
	if (policies_take(m, &s, &why)) {
		(void)answer(MSG_FAILED, m->id, why);
		return;
	}
	swap = !same_creds(&s.creds, &self.current.creds);
	if (swap && s.creds.p && creds_new(px, s.creds, &creds)) {
		policies_done(&s);
		(void)answer(MSG_FAILED, m->id, "the credentials are malformed");
		return;
	}
	if (swap) {
		/* Requests under way hold indexes into the old ones. */
		conns_end_sessions(px);
		creds_adopt(creds, before);
		px->creds = creds;
		creds_free(before);
	}
	self.old[self.nold++] = self.current;
	adopt(&s);
	upstreams_forget(px->upstreams);
	conns_judge(px);
	(void)answer(MSG_OK, m->id, NULL);
}

static void on_drained(struct timer *t)
{
	struct proxy *px = &self.px;

	self.drained_ms += DRAIN_STEP_MS;
	if (px->connections && self.drained_ms < DRAIN_MS) {
		timer_set(px->loop, t, DRAIN_STEP_MS, on_drained, NULL);
		return;
	}
	conns_stop(px, true);
	loop_stop(px->loop, 0);
}

static void stop(void)
{
	struct proxy *px = &self.px;

	if (px->stopping)
		return;
	px->stopping = true;
	accept_stop();
	conns_stop(px, false);
	timer_set(px->loop, &self.timer, 0, on_drained, NULL);
}

/* The broker was started anew. Leases that are out are used until they expire. */
static void change_broker(struct msg_in *m)
{
	int fd;

	if (!self.serving) {
		loop_stop(self.px.loop,
			  1); /* the CA was asked of the old one: egretd starts us again */
		return;
	}
	if (msg_take_fd(m, TAG_FD_BROKER, &fd))
		return;
	creds_broker_changed(self.px.creds);
	close(self.px.broker);
	self.px.broker = fd;
}

/* A job's first requests find a process that has done all of it once. Behind the answer that the
 * job waits for: it has to start, and has no connection yet. */
static void on_warm(struct timer *t)
{
	struct proxy *px = &self.px;
	static const uint8_t addr[16];
	SSL *ssl;

	if (!px->connections && !leaves_ssl(px->leaves, STR("egret.invalid"), addr, &ssl))
		upstreams_warm(px->upstreams, ssl);
}

static void serve_there(struct msg_in *m)
{
	static bool warmed;

	if (!warmed && !self.px.stopping)
		timer_set(self.px.loop, &self.warm, 0, on_warm, NULL);
	warmed = true;
	if (self.px.stopping)
		answered(m, "the proxy is stopping");
	else
		answered(m, listen_add(&self.px, self.resolver, m));
}

static void on_control(struct watch *w, uint32_t events)
{
	struct msg_in m;
	int r;

	r = msg_recv(w->fd, &m);
	if (r == -EAGAIN)
		return;
	if (r) {
		watch_del(w);
		if (!self.serving)
			loop_stop(self.px.loop, 1); /* nobody is left to start us */
		return;
	}
	if (m.type == MSG_PROXY_START && !self.px.ring && !self.start_id)
		start(&m);
	else if (m.type == MSG_PROXY_POLICY && self.serving)
		reload(&m);
	else if (m.type == MSG_PROXY_LISTEN && self.serving)
		serve_there(&m);
	else if (m.type == MSG_PROXY_UNLISTEN && self.serving)
		answered(&m, listen_remove(&self.px, self.resolver, &m));
	else if (m.type == MSG_PROXY_SERVICES && self.serving)
		answered(&m, listen_services(self.resolver, &m));
	else if (m.type == MSG_PROXY_BROKER)
		change_broker(&m);
	else if (m.type == MSG_STOP && self.serving)
		stop();
	else if (m.type == MSG_STOP)
		loop_stop(self.px.loop, 0);
	else
		log_warn("a message of type %u that cannot be here was dropped", m.type);
	msg_in_done(&m);
}

int proxy_serve(struct loop *l, int control)
{
	struct proxy *px = &self.px;
	int r;

	px->loop = l;
	px->control = control;
	px->broker = px->records = -1;
	r = watch_add(l, &self.control, control, EPOLLIN, on_control, NULL);
	if (r)
		return 1;
	r = loop_run(l);
	return r < 0 ? 1 : r;
}
