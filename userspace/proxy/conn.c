// SPDX-License-Identifier: Apache-2.0
/*
 * A connection's way: see conn.h. origin -> peek -> decide_connection -> session | tunnel |
 * refusal. A refusal that can be said in words is left to the session: TLS with a name is opened
 * for it, and no upstream is contacted. Everything else is a reset and an event. Hostile bytes are
 * read by peek.c, hello.c and OpenSSL only.
 */
#include "proxy/conn.h"

#include "base/clock.h"
#include "proxy/address.h"
#include "proxy/h1serve.h"
#include "proxy/h2serve.h"
#include "proxy/hand.h"
#include "proxy/leaf.h"
#include "proxy/names.h"
#include "proxy/peek.h"
#include "proxy/shape.h"
#include "proxy/sockets.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIDY_MS 1000 /* without a connection, then the heap is trimmed */
#define AUDIT_SILENT_MS \
	400 /* audit mode: a silent client may be waiting for the server's greeting */

struct conn {
	struct proxy *px;
	struct conn *prev, *next;
	int fd; /* -1 once a session or tunnel has it */
	struct origin o;
	uint64_t began_us;
	uint64_t place;	    /* upstream_client */
	enum scheme scheme; /* it was decided as */
	char *rule;	    /* of a tunnel or a refusal; or NULL */
	struct peek *peek;
	struct hand *hand;
	SSL *ssl;
	const struct hello_shape *shape; /* shape_hold; or NULL */
	struct record_wait *wait;
	struct upstream_want *want;
	struct h1serve *h1;
	struct h2serve *h2;
	struct tunnel *tunnel;
};

static struct conn *conns; /* of this process's one proxy */

void conn_reset(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

static struct conn *conn_new(struct proxy *px, int fd)
{
	struct conn *c = mem_new(sizeof(*c));

	c->px = px;
	c->fd = fd;
	c->began_us = clock_now_us();
	c->next = conns;
	if (conns)
		conns->prev = c;
	conns = c;
	px->connections++;
	return c;
}

/* Bursts of handshakes leave holes in the heap: they go back to the host when the job rests. */
static struct timer tidy;

static void on_idle(struct timer *t)
{
	struct proxy *px = t->owner;

	if (px->connections == 0)
		(void)malloc_trim(0);
}

/* Whatever it still holds is let go; a socket that is still ours is reset. */
static void conn_free(struct conn *c)
{
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		conns = c->next;
	if (c->place)
		upstream_client_gone(c->px, c->place);
	peek_cancel(c->peek);
	hand_cancel(c->hand);
	if (c->wait)
		record_wait_cancel(c->wait);
	if (c->want)
		upstream_cancel(c->want);
	SSL_free(c->ssl);
	shape_let_go(c->shape);
	free(c->rule);
	if (c->fd >= 0)
		conn_reset(c->fd);
	if (--c->px->connections == 0)
		timer_set(c->px->loop, &tidy, TIDY_MS, on_idle, c->px);
	free(c);
}

static void refuse(struct conn *c, enum reason reason, const char *message)
{
	struct event e;

	record_begin(c->px, &e, EVENT_CONNECT, VERDICT_DENY, reason, &c->o, NULL, str_of(c->rule));
	event_text(&e, FIELD_MESSAGE, str_of(message ? message : reason_sentence(reason)));
	record_note(c->px, &e);
	conn_free(c);
}

/* TLS has a word for it: the client says "unrecognized name" instead of "connection reset". */
static void refuse_name(struct conn *c, enum reason reason, const char *message)
{
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 112 };

	(void)send(c->fd, alert, sizeof(alert), MSG_DONTWAIT | MSG_NOSIGNAL);
	refuse(c, reason, message);
}

static void keep_rule(struct conn *c, struct str rule)
{
	free(c->rule);
	c->rule = rule.n ? mem_dup(rule) : NULL;
}

static enum conn_way decide(struct conn *c, enum scheme scheme, struct verdict *ret,
			    const struct policy **ret_policy)
{
	struct conn_query q = { .scheme = scheme,
				.host = { c->o.name, c->o.name_n },
				.addr = c->o.addr,
				.port = c->o.port };

	c->scheme = scheme;
	return decide_connection(c->px, &q, ret, ret_policy);
}

/* ---- passed through unopened ---- */

static void tunnel_event(struct conn *c, enum event_verdict v, enum reason reason,
			 const char *message, const struct tunnel_end *end)
{
	struct event e;

	record_begin(c->px, &e, EVENT_CONNECT_END, v, reason, &c->o, NULL, str_of(c->rule));
	if (message)
		event_text(&e, FIELD_MESSAGE, str_of(message));
	if (end) {
		event_num(&e, FIELD_BYTES_OUT, end->out);
		event_num(&e, FIELD_BYTES_IN, end->in);
	}
	event_num(&e, FIELD_TIME_TOTAL, clock_now_us() - c->began_us);
	record_note(c->px, &e);
}

static void tunnel_ended(void *owner, const struct tunnel_end *end)
{
	struct conn *c = owner;

	tunnel_event(c, VERDICT_NONE, end->err == -ETIMEDOUT ? REASON_TIMEOUT : REASON_NONE, NULL,
		     end);
	conn_free(c);
}

static void tunnel_dialled(void *owner, struct upstream *u, const struct upstream_fault *fault)
{
	struct conn *c = owner;
	struct stream *s;
	int fd, r;

	c->want = NULL;
	if (!u) {
		tunnel_event(c, VERDICT_NONE, fault->reason, fault->text, NULL);
		conn_free(c);
		return;
	}
	s = upstream_take(c->px, u);
	stream_keepalive(s);
	r = stream_detach(s, &fd);
	if (r) {
		stream_free(s);
	} else {
		r = tunnel_start(c->px->loop, c->fd, fd, c->px->limits.tunnel_idle_ms, tunnel_ended,
				 c, &c->tunnel);
		if (r)
			close(fd);
	}
	if (r) {
		tunnel_event(c, VERDICT_NONE, REASON_LIMIT, "out of descriptors", NULL);
		conn_free(c);
		return;
	}
	c->fd = -1;
}

static void tunnel_recorded(void *owner, int err, uint64_t n)
{
	struct conn *c = owner;
	struct upstream_ask ask = { .host = { c->o.name, c->o.name_n },
				    .addr = c->o.name_n ? NULL : c->o.addr,
				    .port = c->o.port,
				    .netns = sockets_from(c->o.netns),
				    .fresh = true,
				    .recorded = true };

	c->wait = NULL;
	if (err)
		conn_free(c); /* the audit is down: no record, no connection */
	else
		c->want = upstream_get(c->px, &ask, tunnel_dialled, c);
}

static void pass(struct conn *c, enum event_kind kind, const struct verdict *v,
		 const struct policy *decided, const struct hello *hello)
{
	struct record_wait *wait;
	struct event e;

	keep_rule(c, v->rule);
	record_begin(c->px, &e, kind, v->verdict, v->reason, &c->o, decided, v->rule);
	if (hello) {
		event_text(&e, FIELD_TLS_SNI, (struct str){ hello->sni, hello->sni_n });
		if (hello->alpn)
			event_text(&e, FIELD_TLS_ALPN, str_of(hello->alpn_first));
	}
	wait = record_decision(c->px, &e, tunnel_recorded, c);
	if (wait)
		c->wait = wait;
}

/* ---- opened ---- */

static void session_over(void *owner)
{
	struct conn *c = owner;

	c->h1 = NULL;
	c->h2 = NULL;
	conn_free(c);
}

static void open_session(struct conn *c, bool tls, struct watch *watched)
{
	bool h2 = tls && leaf_chose_h2(c->ssl);
	struct stream *s = stream_new(c->px->loop, TAKE_FD(c->fd), TAKE_PTR(c->ssl));

	stream_watched(s, watched);
	if (h2)
		c->h2 = h2serve_start(c->px, s, &c->o, session_over, c);
	else
		c->h1 = h1serve_start(c->px, s, tls, &c->o, session_over, c);
}

static bool is_rejection(int reason)
{
	switch (reason) {
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
		return true;
	default:
		return false;
	}
}

static void client_rejected(struct conn *c, enum reason reason)
{
	struct event e;
	uint32_t slot;
	bool fresh;

	record_begin(c->px, &e, EVENT_TLS_CLIENT_REJECTED, VERDICT_NONE, reason, &c->o, NULL,
		     STR(""));
	event_text(&e, FIELD_MESSAGE, str_of(reason_sentence(REASON_CLIENT_REJECTED)));
	record_note(c->px, &e);
	if (proxy_audits(c->px) && c->o.name_n &&
	    !names_add(c->px->names, (struct str){ c->o.name, c->o.name_n }, &slot, &fresh))
		names_mark(c->px->names, slot);
	conn_free(c);
}

static void handshaken(void *owner, int err, int reason, struct watch *watched)
{
	struct conn *c = owner;
	const char *text;

	c->hand = NULL;
	if (!err) {
		open_session(c, true, watched);
	} else if (err == -EPROTO && is_rejection(reason)) {
		client_rejected(c, REASON_CLIENT_REJECTED);
	} else if (err == -EPROTO) {
		text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
		refuse(c, REASON_BAD_HELLO, text);
	} else if (err == -ETIMEDOUT) {
		refuse(c, REASON_TIMEOUT, "the TLS handshake took too long");
	} else {
		/* Some clients only hang up when they do not like a certificate. */
		client_rejected(c, REASON_CLIENT_LOST);
	}
}

/* refused: only words will be said, and HTTP/1.1 has a place for them that every client prints. */
static void open_tls(struct conn *c, bool refused, struct watch *watched)
{
	struct str name = { c->o.name, c->o.name_n };
	bool h2 = !refused && upstreams_speaks(c->px->upstreams, name, c->o.port) != SPEAKS_H1;

	if (leaves_ssl(c->px->leaves, name, c->o.record.addr, &c->ssl) ||
	    SSL_set_fd(c->ssl, c->fd) != 1) {
		refuse(c, REASON_BAD_HELLO, "no certificate could be made for this name");
		return;
	}
	if (h2)
		leaf_prefer_h2(c->ssl);
	c->hand = hand_start(c->px->loop, c->fd, c->ssl, c->px->limits.handshake_ms, watched,
			     handshaken, c);
	hand_go(c->hand); /* the ClientHello lies in the socket */
}

/* ---- decided ---- */

/* In audit mode: did a client of this name not trust our CA before? */
static bool passed_by_mark(const struct conn *c)
{
	uint32_t slot;

	return proxy_audits(c->px) && c->o.name_n &&
	       !names_find(c->px->names, (struct str){ c->o.name, c->o.name_n }, &slot) &&
	       names_marked(c->px->names, slot);
}

static void decide_tls(struct conn *c, const struct hello *hello, struct watch *watched)
{
	struct str sni = { hello->sni, hello->sni_n };
	const struct policy *decided = NULL;
	struct verdict v = { 0 };
	enum conn_way way;

	if (c->o.name_n && sni.n && !str_eq(sni, (struct str){ c->o.name, c->o.name_n })) {
		refuse_name(c, REASON_HOST_MISMATCH,
			    "the TLS server name is another than the one connected to");
		return;
	}
	if (!c->o.name_n && sni.n) {
		memcpy(c->o.name, sni.p, sni.n + 1);
		c->o.name_n = sni.n;
	}
	way = decide(c, SCHEME_HTTPS, &v, &decided);
	if (way == CONN_OPEN && passed_by_mark(c)) {
		v.verdict = VERDICT_WOULD_DENY;
		v.reason = REASON_CLIENT_REJECTED;
		way = CONN_PASS;
	}
	if (way == CONN_REFUSE && !c->o.name_n) {
		keep_rule(c, v.rule);
		refuse(c, REASON_NO_NAME, NULL);
	} else if (way != CONN_PASS) {
		c->o.shape = c->shape = shape_hold(&hello->shape);
		open_tls(c, way == CONN_REFUSE, watched);
	} else if (!sni.n && c->o.name_n) {
		refuse(c, REASON_NO_NAME,
		       "TLS is passed unopened only with a server name to check");
	} else if (hello->ech) {
		refuse_name(c, REASON_BAD_HELLO,
			    "the server name is encrypted (ECH), so it cannot be checked");
	} else {
		watch_del(watched);
		pass(c, EVENT_TLS_PASSTHROUGH, &v, decided, hello);
	}
}

/* A deny that names a rule is said as such; PROTOCOL and the like only where the bytes are to
 * blame. */
static enum reason denied_by(const struct verdict *v, enum reason other)
{
	return v->reason == REASON_DENY_RULE || v->reason == REASON_NARROWED ? v->reason : other;
}

static void decide_other(struct conn *c, enum reason reason)
{
	const struct policy *decided = NULL;
	struct verdict v = { 0 };

	if (decide(c, SCHEME_TCP, &v, &decided) == CONN_PASS) {
		pass(c, EVENT_CONNECT, &v, decided, NULL);
		return;
	}
	keep_rule(c, v.rule);
	refuse(c, denied_by(&v, reason), NULL);
}

static void peeked(void *owner, enum peek_kind kind, const struct hello *hello,
		   struct watch *watched)
{
	struct conn *c = owner;

	c->peek = NULL;
	switch (kind) {
	case PEEK_TLS:
		decide_tls(c, hello, watched);
		return;
	case PEEK_HTTP:
		open_session(c, false, watched);
		return;
	case PEEK_BAD_HELLO:
		refuse(c, REASON_BAD_HELLO, hello->fault);
		return;
	case PEEK_ENDED:
		conn_free(c);
		return;
	case PEEK_OTHER:
		watch_del(watched);
		decide_other(c, c->o.name_n ? REASON_PROTOCOL : REASON_NO_NAME);
		return;
	case PEEK_SILENT:
	case PEEK_SLOW:
		watch_del(watched);
		decide_other(c, REASON_TIMEOUT);
		return;
	}
}

/* A tcp:// rule needs no look at the bytes, and the server may speak first. */
static void begin(struct conn *c)
{
	const struct limits *l = &c->px->limits;
	const struct policy *decided = NULL;
	uint64_t silent_ms = l->peek_ms;
	struct verdict v = { 0 };

	if (decide(c, SCHEME_TCP, &v, &decided) == CONN_PASS) {
		if (v.verdict == VERDICT_ALLOW) {
			pass(c, EVENT_CONNECT, &v, decided, NULL);
			return;
		}
		silent_ms = AUDIT_SILENT_MS;
	}
	if (c->o.name_n && decide(c, SCHEME_HTTPS, &v, &decided) == CONN_OPEN &&
	    v.verdict == VERDICT_ALLOW)
		c->place = upstream_client(
			c->px, (struct str){ c->o.name, c->o.name_n }, c->o.port,
			sockets_from(c->o.netns),
			decide_named(c->px, (struct str){ c->o.name, c->o.name_n }));
	c->peek = peek_start(c->px->loop, c->fd, silent_ms, l->peek_ms, l->hello_bytes, peeked, c);
}

void conn_start(struct proxy *px, uint64_t netns, int fd, const struct egret_record *record)
{
	struct conn *c = conn_new(px, fd);
	struct str name;

	c->o.record = *record;
	c->o.netns = netns;
	c->o.port = record->port;
	if (names_owns(px->names, record->addr)) {
		c->o.synthetic = true;
		if (names_of(px->names, record->addr, &name)) {
			refuse(c, REASON_NO_NAME,
			       "the address is of egret's own range, and no name was ever given "
			       "it");
			return;
		}
		memcpy(c->o.name, name.p, name.n);
		c->o.name_n = name.n;
	} else {
		c->o.addr = c->o.record.addr;
	}
	begin(c);
}

void conn_inside(struct proxy *px, int fd, const struct origin *o)
{
	struct conn *c = conn_new(px, fd);

	c->o = *o;
	c->o.shape = NULL;
	c->o.explicit_proxy = true;
	if (o->addr) {
		memcpy(c->o.record.addr, o->addr, sizeof(c->o.record.addr));
		c->o.addr = c->o.record.addr;
	}
	begin(c);
}

void conns_judge(struct proxy *px)
{
	const struct policy *decided;
	struct conn *c, *next;
	struct tunnel_end end;
	struct verdict v;

	for (c = conns; c; c = next) {
		next = c->next;
		if (c->h1) {
			h1serve_judge(c->h1); /* may end it, and c with it */
			continue;
		}
		if (!c->tunnel || decide(c, c->scheme, &v, &decided) == CONN_PASS ||
		    passed_by_mark(c))
			continue;
		tunnel_cut(TAKE_PTR(c->tunnel), &end);
		tunnel_event(c, VERDICT_DENY, denied_by(&v, REASON_NO_RULE),
			     "the policy was changed and does not pass it any more", &end);
		conn_free(c);
	}
}

void conns_end_sessions(struct proxy *px)
{
	struct conn *c, *next;

	for (c = conns; c; c = next) {
		next = c->next;
		if (c->h1)
			h1serve_stop(c->h1, true);
		else if (c->h2)
			h2serve_stop(c->h2, true);
	}
}

/* at_once: also what could still end well. */
static void conn_stop(struct conn *c, bool at_once)
{
	struct tunnel_end end;

	if (c->h1) {
		h1serve_stop(c->h1, at_once);
	} else if (c->h2) {
		h2serve_stop(c->h2, at_once);
	} else if (c->tunnel) {
		if (!at_once)
			return;
		tunnel_cut(TAKE_PTR(c->tunnel), &end);
		tunnel_event(c, VERDICT_NONE, REASON_SHUTDOWN, NULL, &end);
		conn_free(c);
	} else {
		conn_free(c);
	}
}

void conns_stop(struct proxy *px, bool at_once)
{
	struct conn *c, *next;

	for (c = conns; c; c = next) {
		next = c->next;
		conn_stop(c, at_once);
	}
}

void conns_leave(struct proxy *px, uint64_t netns)
{
	struct conn *c, *next;

	for (c = conns; c; c = next) {
		next = c->next;
		if (c->o.netns == netns)
			conn_stop(c, true);
	}
}
