// SPDX-License-Identifier: Apache-2.0
/* One TLS handshake: see hand.h. Bytes of the peer are OpenSSL's to judge; the deadline is for all
 * of it, not for each byte. */
#include "proxy/hand.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

#define READS (EPOLLIN | EPOLLRDHUP)

struct hand {
	int fd;
	SSL *ssl;
	struct watch watch;
	struct timer deadline;
	hand_fn fn;
	void *owner;
};

struct hand *hand_cancel(struct hand *h)
{
	if (!h)
		return NULL;
	watch_del(&h->watch);
	timer_del(&h->deadline);
	free(h);
	return NULL;
}

static void hand_end(struct hand *h, int err, int reason)
{
	hand_fn fn = h->fn;
	void *owner = h->owner;
	struct watch watched;

	watch_move(&watched, &h->watch, h->watch.events, h->watch.fn, NULL);
	hand_cancel(h);
	fn(owner, err, reason, &watched);
	watch_del(&watched);
}

/* A part of the client's last message has come (GnuTLS sends its ChangeCipherSpec by itself), and
 * there is nothing to answer: our kernel would acknowledge it 40 ms later, and a client without
 * TCP_NODELAY keeps the rest for as long. 2: now, and as before from now on (the kernel's
 * tcp_sock_set_quickack). */
static void acknowledge(int fd)
{
	int now = 2;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof(now));
}

static void hand_step(struct hand *h, uint32_t events)
{
	/* Server of TLS 1.3, before the client's last message. The ticket behind it leaves at once:
	 * GnuTLS waits for it, up to 60 ms, before it sends a request. */
	bool last = SSL_get_state(h->ssl) == TLS_ST_EARLY_DATA;
	unsigned long code;
	int r, saved;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(h->ssl);
	saved = errno;
	if (r == 1) {
		hand_end(h, 0, 0);
		return;
	}
	r = SSL_get_error(h->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE) {
		watch_set(&h->watch, r == SSL_ERROR_WANT_READ ? READS : EPOLLOUT);
		if (last)
			acknowledge(h->fd);
		if (!(events & (EPOLLHUP | EPOLLERR)))
			return;
		r = SSL_ERROR_SYSCALL; /* nothing more will come: do not be called for ever */
		saved = ECONNRESET;
	}
	code = ERR_peek_error();
	ERR_clear_error();
	if (r == SSL_ERROR_SYSCALL || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		hand_end(h, saved && saved != EPIPE ? -saved : -ECONNRESET, 0);
	else
		hand_end(h, -EPROTO, ERR_GET_REASON(code));
}

static void hand_late(struct timer *t)
{
	hand_end(t->owner, -ETIMEDOUT, 0);
}

static void hand_event(struct watch *w, uint32_t events)
{
	hand_step(w->owner, events);
}

void hand_go(struct hand *h)
{
	hand_step(h, 0);
}

struct hand *hand_start(struct loop *l, int fd, SSL *ssl, uint64_t ms, struct watch *watched,
			hand_fn fn, void *owner)
{
	uint32_t events = SSL_is_server(ssl) ? READS : EPOLLOUT;
	struct hand *h = mem_new(sizeof(*h));

	h->fd = fd;
	h->ssl = ssl;
	h->fn = fn;
	h->owner = owner;
	if (watched && watched->loop)
		watch_move(&h->watch, watched, events, hand_event, h);
	else if (watch_add(l, &h->watch, fd, events, hand_event, h))
		die("out of memory for a handshake's watch");
	timer_set(l, &h->deadline, ms, hand_late, h);
	return h;
}
