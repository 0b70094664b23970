// SPDX-License-Identifier: Apache-2.0
/*
 * Dialling: see dial.h. connect_ms bounds all addresses together (race.c). A handshake that fails
 * is not tried at another address: what answered there is the upstream.
 */
#include "proxy/dial.h"

#include "base/clock.h"
#include "proxy/address.h"
#include "proxy/hand.h"
#include "proxy/parent.h"
#include "proxy/race.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct dial {
	struct proxy *px;
	struct loop *loop;
	struct dial_want want;
	struct race *race;
	struct watch held; /* from when it is connected until it is taken */
	struct timer taken;
	struct parent_ask *ask;
	uint64_t deadline; /* of connecting, the parent's answer included */
	int fd;
	uint8_t addr[16]; /* what was connected to, or told last */
	SSL *ssl;
	struct hand *hand;
	bool told;
	bool over; /* fn is told of the end */
	dial_fn fn;
	void *owner;
};

struct dial *dial_cancel(struct dial *d)
{
	if (!d)
		return NULL;
	if (race_cancel(d->race, d->addr))
		d->told = true;
	if (d->told && !d->over && !d->want.recorded)
		told_given_up(d->px, d->want.host, d->addr, d->want.port);
	watch_del(&d->held);
	timer_del(&d->taken);
	parent_ask_cancel(d->ask);
	hand_cancel(d->hand);
	SSL_free(d->ssl);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
	return NULL;
}

static void fail(struct dial *d, const struct upstream_fault *fault)
{
	dial_fn fn = d->fn;
	void *owner = d->owner;

	d->over = !d->want.ahead;
	dial_cancel(d);
	fn(owner, NULL, NULL, fault);
}

static void succeed(struct dial *d, struct watch *watched)
{
	struct stream *s = stream_new(d->loop, TAKE_FD(d->fd), TAKE_PTR(d->ssl));
	dial_fn fn = d->fn;
	void *owner = d->owner;
	uint8_t addr[16];

	if (watched)
		stream_watched(s, watched);
	memcpy(addr, d->addr, sizeof(addr));
	d->over = true;
	dial_cancel(d);
	fn(owner, s, addr, NULL);
}

/* Words without the C library's strerror, whose texts are not for build logs. */
static const char *words(int err)
{
	switch (-err) {
	case ECONNREFUSED:
		return "connection refused";
	case ETIMEDOUT:
		return "no answer in time";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return "no route to it";
	case ENETDOWN:
		return "the job's network namespace gives no socket";
	case ECONNRESET:
		return "connection reset";
	case EACCES:
	case EPERM:
		return "the kernel's cage refused the address";
	case EMFILE:
	case ENFILE:
		return "out of descriptors";
	default:
		return "connecting failed";
	}
}

/* The one that is dialled. */
static uint16_t port_of(const struct dial_want *w)
{
	return w->parent ? w->parent->port : w->port;
}

static void connect_failed(struct dial *d, int err)
{
	struct upstream_fault f = { .reason = REASON_CONNECT };
	char addr[46], others[48] = "";

	if (err == -ENOLINK) {
		f.reason = REASON_AUDIT_DOWN;
		(void)snprintf(f.text, sizeof(f.text), "could not record the connection");
		fail(d, &f);
		return;
	}
	if (err == -ETIMEDOUT)
		f.reason = REASON_TIMEOUT;
	else if (err == -EPERM || err == -EACCES)
		f.reason = REASON_ADDRESS;
	else if (err == -EMFILE || err == -ENFILE)
		f.reason = REASON_LIMIT;
	address_text(d->addr, addr);
	if (d->want.n > 1)
		(void)snprintf(others, sizeof(others), " (none of its %u addresses answered)",
			       d->want.n);
	(void)snprintf(f.text, sizeof(f.text), "%s%s port %u: %s%s",
		       d->want.parent ? "the parent proxy " : "", addr, port_of(&d->want),
		       words(err), others);
	fail(d, &f);
}

/* What people meet, in words that say whose fault it is; the rest in OpenSSL's. */
static void tls_fault(const struct dial *d, int reason, char *to, size_t n)
{
	const char *lost = uptls_lost(d->ssl), *text;

	if (lost) {
		(void)snprintf(to, n, "the server %s", lost);
		return;
	}
	switch (reason) {
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_UNSUPPORTED_PROTOCOL:
		(void)snprintf(to, n, "the server speaks no TLS 1.2 or newer");
		return;
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
		(void)snprintf(to, n, "the server speaks none of the protocols that ALPN offered");
		return;
	case SSL_R_WRONG_VERSION_NUMBER:
		(void)snprintf(to, n, "the server does not speak TLS on this port");
		return;
	case SSL_R_EXCESSIVE_MESSAGE_SIZE:
		(void)snprintf(to, n, "its certificates pass limits.chain_bytes (%llu)",
			       (unsigned long long)d->px->limits.chain_bytes);
		return;
	default:
		text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
		(void)snprintf(to, n, "TLS: %s", text ? text : "the handshake failed");
	}
}

static void handshaken(void *owner, int err, int reason, struct watch *watched)
{
	struct upstream_fault f = { .reason = REASON_UPSTREAM_TLS };
	struct dial *d = owner;
	const char *why;

	d->hand = NULL;
	if (!err) {
		succeed(d, watched);
		return;
	}
	why = uptls_why(d->ssl);
	if (*why) {
		f.reason = REASON_CERTIFICATE;
		(void)snprintf(f.text, sizeof(f.text), "%s", why);
	} else if (err == -ETIMEDOUT) {
		f.reason = REASON_TIMEOUT;
		(void)snprintf(f.text, sizeof(f.text), "the TLS handshake took too long");
	} else if (err == -EPROTO) {
		tls_fault(d, reason, f.text, sizeof(f.text));
		f.alpn = reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL;
	} else {
		f.lost = true;
		(void)snprintf(f.text, sizeof(f.text), "the server ended the TLS handshake");
	}
	fail(d, &f);
}

/* The way to the upstream stands: now TLS, if it is to be spoken. */
static void reached(struct dial *d)
{
	struct upstream_fault f = { .reason = REASON_UPSTREAM_TLS };
	struct watch *held = d->held.loop ? &d->held : NULL;

	if (!d->want.tls) {
		succeed(d, held);
		return;
	}
	if (uptls_ssl(d->want.tls, d->fd, d->want.host, d->addr, d->want.port, d->want.cert,
		      &d->ssl) ||
	    shape_alpn(d->ssl, d->want.shape, d->want.h2)) {
		(void)snprintf(f.text, sizeof(f.text), "TLS could not be set up");
		fail(d, &f);
		return;
	}
	if (d->want.shape)
		shape_apply(d->ssl, d->want.shape);
	d->hand = hand_start(d->loop, d->fd, d->ssl, d->want.handshake_ms, held, handshaken, d);
}

static uint64_t left(const struct dial *d)
{
	uint64_t now = clock_now();

	return now < d->deadline ? d->deadline - now : 0;
}

static void answered(void *owner, int err, const char *why)
{
	struct upstream_fault f = { .reason = err == -ETIMEDOUT ? REASON_TIMEOUT : REASON_CONNECT };
	struct dial *d = owner;

	d->ask = NULL;
	if (!err) {
		reached(d);
		return;
	}
	(void)snprintf(f.text, sizeof(f.text), "the parent proxy %s", why);
	fail(d, &f);
}

/* Nothing was said to it: it ended, or speaks first, which is not for us. */
static void on_held(struct watch *w, uint32_t events)
{
	struct upstream_fault f = { .reason = REASON_UPSTREAM_LOST, .lost = true };
	struct dial *d = w->owner;

	(void)snprintf(f.text, sizeof(f.text), "the server ended the connection");
	fail(d, &f);
}

static void on_taken(struct timer *t)
{
	reached(t->owner);
}

static void connected(void *owner, int err, int fd, const uint8_t addr[16])
{
	struct dial *d = owner;
	int on = 1;

	d->race = NULL;
	d->told = err != -ENOLINK;
	memcpy(d->addr, addr, sizeof(d->addr));
	if (err) {
		connect_failed(d, err);
		return;
	}
	d->fd = fd;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (d->want.hold) {
		if (watch_add(d->loop, &d->held, fd, EPOLLIN | EPOLLRDHUP, on_held, d))
			die("out of memory for a dial's watch");
	} else if (d->want.parent) {
		d->ask = parent_ask_start(d->loop, fd, d->want.host, d->want.port, left(d),
					  answered, d);
	} else {
		reached(d);
	}
}

struct dial *dial_start(struct proxy *px, const struct dial_want *want, dial_fn fn, void *owner)
{
	struct dial *d = mem_new(sizeof(*d));
	struct race_want race = { .addrs = want->addrs,
				  .n = want->n,
				  .port = port_of(want),
				  .netns = want->netns,
				  .what = { want->host, want->port, want->recorded },
				  .ms = want->connect_ms };

	d->px = px;
	d->loop = px->loop;
	d->want = *want;
	d->fd = -1;
	d->deadline = clock_now() + want->connect_ms;
	d->fn = fn;
	d->owner = owner;
	d->race = race_start(px, &race, connected, d);
	return d;
}

struct dial *dial_take(struct dial *d, const struct dial_want *want, dial_fn fn, void *owner)
{
	struct dial_want old = d->want;

	d->want = *want;
	memcpy(d->want.addrs, old.addrs, sizeof(old.addrs));
	d->want.n = old.n;
	d->fn = fn;
	d->owner = owner;
	if (d->race)
		race_host(d->race, want->host);
	else
		timer_set(d->loop, &d->taken, 0, on_taken, d);
	return d;
}
