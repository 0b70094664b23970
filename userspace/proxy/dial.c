// SPDX-License-Identifier: Apache-2.0
/*
 * Dialling: see dial.h. connect_ms bounds all addresses together; with several, each but the last
 * gets its share of what is left. A handshake that fails is not tried at the next address: what
 * answered there is the upstream.
 */
#include "proxy/dial.h"

#include "base/clock.h"
#include "proxy/address.h"
#include "proxy/hand.h"
#include "proxy/told.h"
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
	unsigned at; /* the address being tried */
	int fd;
	int err; /* of the last address */
	struct watch watch;
	struct timer timer;
	uint64_t deadline;
	SSL *ssl;
	struct hand *hand;
	struct record_wait *wait;
	unsigned told; /* addresses */
	bool over;     /* fn is told of the end */
	dial_fn fn;
	void *owner;
};

static void next_address(struct timer *t);

static void drop_socket(struct dial *d)
{
	watch_del(&d->watch);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

struct dial *dial_cancel(struct dial *d)
{
	if (!d)
		return NULL;
	timer_del(&d->timer);
	record_wait_cancel(d->wait);
	if (d->told && !d->over && !d->want.recorded)
		told_given_up(d->px, d->want.host, d->want.addrs[d->told - 1], d->want.port);
	hand_cancel(d->hand);
	SSL_free(d->ssl);
	drop_socket(d);
	free(d);
	return NULL;
}

static void fail(struct dial *d, const struct upstream_fault *fault)
{
	dial_fn fn = d->fn;
	void *owner = d->owner;

	d->over = true;
	dial_cancel(d);
	fn(owner, NULL, NULL, fault);
}

static void succeed(struct dial *d)
{
	struct stream *s = stream_new(d->loop, TAKE_FD(d->fd), TAKE_PTR(d->ssl));
	dial_fn fn = d->fn;
	void *owner = d->owner;
	uint8_t addr[16];

	memcpy(addr, d->want.addrs[d->at], sizeof(addr));
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

static void connect_failed(struct dial *d)
{
	struct upstream_fault f = { .reason = REASON_CONNECT };
	char addr[46];

	if (d->err == -ETIMEDOUT)
		f.reason = REASON_TIMEOUT;
	else if (d->err == -EPERM || d->err == -EACCES)
		f.reason = REASON_ADDRESS;
	else if (d->err == -EMFILE || d->err == -ENFILE)
		f.reason = REASON_LIMIT;
	address_text(d->want.addrs[d->want.n - 1], addr);
	(void)snprintf(f.text, sizeof(f.text), "%s port %u: %s", addr, d->want.port, words(d->err));
	fail(d, &f);
}

static void handshaken(void *owner, int err, int reason)
{
	struct upstream_fault f = { .reason = REASON_UPSTREAM_TLS };
	struct dial *d = owner;
	const char *why, *text;

	d->hand = NULL;
	if (!err) {
		succeed(d);
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
		text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
		(void)snprintf(f.text, sizeof(f.text), "TLS: %s",
			       text ? text : "the handshake failed");
	} else {
		(void)snprintf(f.text, sizeof(f.text), "the server ended the TLS handshake");
	}
	fail(d, &f);
}

static void connected(struct dial *d)
{
	struct upstream_fault f = { .reason = REASON_UPSTREAM_TLS };
	int on = 1;

	watch_del(&d->watch);
	timer_del(&d->timer);
	(void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!d->want.tls) {
		succeed(d);
		return;
	}
	if (uptls_ssl(d->want.tls, d->fd, d->want.host, d->want.addrs[d->at], d->want.port,
		      d->want.h2, &d->ssl)) {
		(void)snprintf(f.text, sizeof(f.text), "TLS could not be set up");
		fail(d, &f);
		return;
	}
	d->hand = hand_start(d->loop, d->fd, d->ssl, d->want.handshake_ms, handshaken, d);
}

static void try_next(struct dial *d, int err)
{
	drop_socket(d);
	d->err = err;
	d->at++;
	timer_set(d->loop, &d->timer, 0, next_address, d);
}

static void on_writable(struct watch *w, uint32_t events)
{
	struct dial *d = w->owner;
	socklen_t n = sizeof(int);
	int err = 0;

	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &err, &n))
		err = errno;
	if (err)
		try_next(d, -err);
	else
		connected(d);
}

static void on_slow(struct timer *t)
{
	try_next(t->owner, -ETIMEDOUT);
}

static int start_connect(struct dial *d)
{
	const uint8_t *addr = d->want.addrs[d->at];
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(d->want.port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(d->want.port) };
	bool v4 = address_is_v4(addr);

	memcpy(&a4.sin_addr, addr + 12, 4);
	memcpy(&a6.sin6_addr, addr, 16);
	if (v4 ? connect(d->fd, (struct sockaddr *)&a4, sizeof(a4))
	       : connect(d->fd, (struct sockaddr *)&a6, sizeof(a6)))
		return -errno;
	return 0;
}

/* Told: now it may be dialled. */
static void on_told(void *owner, int err, uint64_t n)
{
	struct dial *d = owner;
	uint64_t now = clock_now();
	int r;

	d->wait = NULL;
	if (err) {
		struct upstream_fault f = { .reason = REASON_AUDIT_DOWN };

		(void)snprintf(f.text, sizeof(f.text), "could not record the connection");
		fail(d, &f);
		return;
	}
	d->told = d->at + 1;
	r = now >= d->deadline ? -ETIMEDOUT : start_connect(d);
	if (!r) {
		connected(d);
	} else if (r == -EINPROGRESS) {
		if (watch_add(d->loop, &d->watch, d->fd, EPOLLOUT, on_writable, d))
			die("out of memory for a dial's watch");
		timer_set(d->loop, &d->timer, (d->deadline - now) / (d->want.n - d->at), on_slow,
			  d);
	} else {
		try_next(d, r);
	}
}

static void next_address(struct timer *t)
{
	struct dial *d = t->owner;
	struct record_wait *w;

	if (d->at == d->want.n || clock_now() >= d->deadline) {
		if (d->at < d->want.n && !d->err)
			d->err = -ETIMEDOUT;
		connect_failed(d);
		return;
	}
	d->fd = socket(address_is_v4(d->want.addrs[d->at]) ? AF_INET : AF_INET6,
		       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0) {
		try_next(d, -errno);
		return;
	}
	/* May answer at once, and the dial may be gone then. */
	w = told_dial(d->px, d->fd, d->want.host, d->want.addrs[d->at], d->want.port,
		      d->want.recorded, on_told, d);
	if (w)
		d->wait = w;
}

struct dial *dial_start(struct proxy *px, const struct dial_want *want, dial_fn fn, void *owner)
{
	struct dial *d = mem_new(sizeof(*d));

	d->px = px;
	d->loop = px->loop;
	d->want = *want;
	d->fd = -1;
	d->err = want->n ? 0 : -EHOSTUNREACH;
	d->fn = fn;
	d->owner = owner;
	d->deadline = clock_now() + want->connect_ms;
	timer_set(px->loop, &d->timer, 0, next_address, d);
	return d;
}
