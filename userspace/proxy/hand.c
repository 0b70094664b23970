// SPDX-License-Identifier: Apache-2.0
/* One TLS handshake: see hand.h. Bytes of the peer are OpenSSL's to judge; the deadline is for all
 * of it, not for each byte. */
#include "proxy/hand.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

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

	hand_cancel(h);
	fn(owner, err, reason);
}

static void hand_step(struct watch *w, uint32_t events)
{
	struct hand *h = w->owner;
	unsigned long code;
	int r, saved;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(h->ssl);
	if (r == 1) {
		hand_end(h, 0, 0);
		return;
	}
	saved = errno;
	r = SSL_get_error(h->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE) {
		watch_set(w, r == SSL_ERROR_WANT_READ ? EPOLLIN | EPOLLRDHUP : EPOLLOUT);
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

struct hand *hand_start(struct loop *l, int fd, SSL *ssl, uint64_t ms, hand_fn fn, void *owner)
{
	struct hand *h = mem_new(sizeof(*h));

	h->fd = fd;
	h->ssl = ssl;
	h->fn = fn;
	h->owner = owner;
	if (watch_add(l, &h->watch, fd, SSL_is_server(ssl) ? EPOLLIN | EPOLLRDHUP : EPOLLOUT,
		      hand_step, h))
		die("out of memory for a handshake's watch");
	timer_set(l, &h->deadline, ms, hand_late, h);
	return h;
}
