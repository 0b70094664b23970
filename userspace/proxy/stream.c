// SPDX-License-Identifier: Apache-2.0
/*
 * Byte streams: see stream.h. TLS reads ahead, so bytes may wait inside OpenSSL while the socket is
 * silent: a timer of zero length then calls the reader from the loop, until a read has said
 * -EAGAIN.
 */
#include "proxy/stream.h"

#include "proxy/gather.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream {
	struct loop *loop;
	int fd;
	SSL *ssl;
	struct gather *gather; /* of ssl's, once it was asked for */
	struct watch watch;
	struct timer kick;
	stream_fn on_read, on_write, on_gone;
	void *owner;
	bool read_wants_write, write_wants_read;
	bool drained; /* the last read found nothing: wait for the socket */
	bool failed;  /* TLS met a fatal error: no orderly end is possible */
	bool calling; /* callbacks run: what they free is given back behind them */
	bool freed;
};

static void stream_event(struct watch *w, uint32_t events);
static void stream_kick(struct timer *t);

struct stream *stream_new(struct loop *l, int fd, SSL *ssl)
{
	struct stream *s = mem_new(sizeof(*s));

	s->loop = l;
	s->fd = fd;
	s->ssl = ssl;
	if (ssl)
		SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return s;
}

void stream_watched(struct stream *s, struct watch *watched)
{
	watch_move(&s->watch, watched, watched->events, stream_event, s);
}

static void stream_unwatch(struct stream *s)
{
	watch_del(&s->watch);
	timer_del(&s->kick);
}

/* The memory at once, or behind the callback that is running. */
static void stream_release(struct stream *s)
{
	s->freed = true;
	if (!s->calling)
		free(s);
}

struct stream *stream_free(struct stream *s)
{
	if (!s)
		return NULL;
	stream_unwatch(s);
	/* OpenSSL forgets the session of a connection that ended without a word, as TLS 1.0 had it;
	 * many clients do that. */
	if (s->ssl && !s->failed && SSL_is_server(s->ssl))
		SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN);
	SSL_free(s->ssl);
	close(s->fd);
	stream_release(s);
	return NULL;
}

int stream_detach(struct stream *s, int *ret_fd)
{
	if (s->ssl)
		return -EINVAL;
	stream_unwatch(s);
	*ret_fd = s->fd;
	stream_release(s);
	return 0;
}

void stream_reset(struct stream *s)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void stream_keepalive(struct stream *s)
{
	int on = 1, idle = 120, between = 30, probes = 4;

	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof(between));
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* Brings the watch in line with what is wanted. With nothing wanted the watch stays as it is: most
 * often the next thing wanted is the same, and two system calls are saved. An event that comes
 * meanwhile takes it away (stream_event), or a hang-up would be reported for ever. */
static void stream_update(struct stream *s)
{
	uint32_t events = 0;

	if (s->on_read)
		events |= s->read_wants_write ? EPOLLOUT : EPOLLIN | EPOLLRDHUP;
	if (s->on_write)
		events |= s->write_wants_read ? EPOLLIN : EPOLLOUT;
	if (events && s->watch.loop)
		watch_set(&s->watch, events);
	else if (events && watch_add(s->loop, &s->watch, s->fd, events, stream_event, s))
		die("out of memory for a stream's watch");
	if (!s->on_read || !stream_has_buffered(s) || s->drained)
		timer_del(&s->kick);
	else if (!s->kick.loop)
		timer_set(s->loop, &s->kick, 0, stream_kick, s);
}

/* What an operation fails of is read off the queue of errors, so nothing of another may stand
 * there. It is empty nearly always, and to look costs a quarter of clearing it. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

static ssize_t stream_fault(struct stream *s, int ret, bool *wants_other, int other)
{
	int err = SSL_get_error(s->ssl, ret), saved = errno;
	unsigned long code;

	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE) {
		*wants_other = err == other;
		stream_update(s);
		return -EAGAIN;
	}
	if (err == SSL_ERROR_ZERO_RETURN)
		return 0;
	s->failed = true;
	code = ERR_peek_error();
	ERR_clear_error();
	if (err == SSL_ERROR_SYSCALL)
		return saved == EPIPE || !saved ? -ECONNRESET : -saved;
	return ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? -ECONNRESET : -EPROTO;
}

ssize_t stream_read(struct stream *s, void *p, size_t n)
{
	ssize_t r;
	size_t got;

	if (!s->ssl) {
		r = recv(s->fd, p, n, MSG_DONTWAIT);
		return r < 0 ? -errno : r;
	}
	forget_errors();
	errno = 0;
	r = SSL_read_ex(s->ssl, p, n, &got);
	if (r == 1) {
		s->drained = false;
		if (s->read_wants_write) {
			s->read_wants_write = false;
			stream_update(s);
		}
		return (ssize_t)got;
	}
	s->drained = true;
	return stream_fault(s, (int)r, &s->read_wants_write, SSL_ERROR_WANT_WRITE);
}

static void cork(const struct stream *s, int on)
{
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

ssize_t stream_write(struct stream *s, const void *p, size_t n)
{
	ssize_t r;
	size_t put;

	if (!n)
		return 0;
	if (!s->ssl) {
		r = send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		return r < 0 ? -errno : r;
	}
	forget_errors();
	errno = 0;
	r = SSL_write_ex(s->ssl, p, n, &put);
	if (r == 1) {
		if (s->write_wants_read) {
			s->write_wants_read = false;
			stream_update(s);
		}
		return (ssize_t)put;
	}
	r = stream_fault(s, (int)r, &s->write_wants_read, SSL_ERROR_WANT_READ);
	return r ? r : -EPIPE;
}

void stream_gather(struct stream *s)
{
	if (!s->ssl) {
		cork(s, 1);
		return;
	}
	if (!s->gather)
		s->gather = gather_new(s->ssl, s->fd);
	if (s->gather) /* else records leave one by one */
		gather_begin(s->gather);
}

int stream_send(struct stream *s)
{
	if (!s->ssl)
		cork(s, 0);
	return s->gather ? gather_end(s->gather) : 0;
}

int stream_flush(struct stream *s)
{
	return s->gather ? gather_flush(s->gather) : 0;
}

int stream_shutdown(struct stream *s)
{
	int r;

	if (s->ssl && !s->failed) {
		forget_errors();
		r = SSL_shutdown(s->ssl);
		if (r < 0) {
			r = SSL_get_error(s->ssl, r);
			forget_errors();
			if (r == SSL_ERROR_WANT_WRITE)
				return -EAGAIN;
		}
	}
	return shutdown(s->fd, SHUT_WR) ? -errno : 0;
}

void stream_want(struct stream *s, stream_fn on_read, stream_fn on_write, void *owner)
{
	s->on_read = on_read;
	s->on_write = on_write;
	s->on_gone = NULL;
	s->owner = owner;
	stream_update(s);
}

void stream_want_gone(struct stream *s, stream_fn on_gone, void *owner)
{
	stream_want(s, NULL, NULL, owner);
	s->on_gone = on_gone;
}

/* Calls the reader, then the writer; either may free the stream or change what is wanted. */
static void stream_call(struct stream *s, bool readable, bool writable)
{
	s->calling = true;
	if (readable && s->on_read)
		s->on_read(s->owner);
	if (!s->freed && writable && s->on_write)
		s->on_write(s->owner);
	s->calling = false;
	if (s->freed)
		free(s);
	else
		stream_update(s);
}

/* The peer's side has ended: not in order? */
static bool stream_torn(struct stream *s)
{
	char c;
	ssize_t r;
	int err;

	if (!s->ssl)
		return recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno != EAGAIN;
	forget_errors();
	r = SSL_peek(s->ssl, &c, 1);
	err = SSL_get_error(s->ssl, (int)r);
	forget_errors();
	return err == SSL_ERROR_SSL || err == SSL_ERROR_SYSCALL;
}

static void stream_unwanted(struct stream *s, uint32_t events)
{
	watch_del(&s->watch);
	if (!s->on_gone ||
	    !(events & (EPOLLHUP | EPOLLERR) || (events & EPOLLRDHUP && stream_torn(s))))
		return;
	s->calling = true;
	s->on_gone(s->owner);
	s->calling = false;
	if (s->freed)
		free(s);
}

static void stream_event(struct watch *w, uint32_t events)
{
	struct stream *s = w->owner;
	bool in = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	bool out = events & (EPOLLOUT | EPOLLHUP | EPOLLERR);

	if (!s->on_read && !s->on_write) {
		stream_unwanted(s, events);
		return;
	}
	if (in)
		s->drained = false;
	stream_call(s, s->read_wants_write ? out : in, s->write_wants_read ? in : out);
}

static void stream_kick(struct timer *t)
{
	stream_call(t->owner, true, false);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

SSL *stream_ssl(const struct stream *s)
{
	return s->ssl;
}

bool stream_has_buffered(const struct stream *s)
{
	return s->ssl && SSL_has_pending(s->ssl);
}

bool stream_is_stale(struct stream *s)
{
	char c;
	ssize_t r;
	int err;

	if (!s->ssl) {
		r = recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
		return r >= 0 || errno != EAGAIN;
	}
	/* Session tickets come when they like: reading them is not a byte of data. */
	forget_errors();
	r = SSL_peek(s->ssl, &c, 1);
	if (r > 0)
		return true;
	err = SSL_get_error(s->ssl, (int)r);
	forget_errors();
	s->drained = err == SSL_ERROR_WANT_READ;
	return !s->drained;
}
