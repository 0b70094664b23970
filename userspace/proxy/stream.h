/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream on a non-blocking socket, in clear or in TLS, towards the job (server side) or
 * towards an upstream (client side). The http rooms read and write streams and never see OpenSSL.
 * Hostile bytes: all that is read.
 */
#ifndef EGRET_PROXY_STREAM_H
#define EGRET_PROXY_STREAM_H

#include "base/loop.h"
#include <openssl/types.h>
#include <sys/types.h>

struct stream;
typedef void (*stream_fn)(void *owner);

/* Takes over fd. ssl is NULL in clear; else a handshaken or handshaking SSL bound to fd, owned by
 * the stream. */
struct stream *stream_new(struct loop *l, int fd, SSL *ssl);
/* Behind stream_new: its socket is watched already and is moved from there, or only removed. */
void stream_watched(struct stream *s, struct watch *watched);
struct stream *stream_free(struct stream *s); /* closes at once: with pending unread data the peer
						 sees a reset. NULL */
void stream_reset(struct stream *s);	      /* SO_LINGER{1,0}: the next free sends RST */

/* Gives the descriptor back and frees the stream; only in clear, where nothing is ever held back.
 * -EINVAL under TLS: then nothing happens. */
int stream_detach(struct stream *s, int *ret_fd) MUST_CHECK;

/* >0 bytes; 0: the peer ended its side in order (TLS: close_notify, or a plain FIN after a complete
 * message: the caller judges); -EAGAIN; -ECONNRESET, -EPROTO (TLS fault), -errno. */
ssize_t stream_read(struct stream *s, void *p, size_t n);
ssize_t stream_write(struct stream *s, const void *p, size_t n);
/* What is written from here on leaves by stream_send, which the same turn of the loop must call. Of
 * that: 0; -EAGAIN: the socket did not take all. The rest leaves before what is written next, and
 * by stream_flush, for which on_write is to be asked for until it says 0; -errno. */
void stream_gather(struct stream *s);
int stream_send(struct stream *s) MUST_CHECK;
int stream_flush(struct stream *s) MUST_CHECK;
/* Ends our side: close_notify and shutdown(SHUT_WR). 0, -EAGAIN, -errno. */
int stream_shutdown(struct stream *s) MUST_CHECK;

/* The kernel asks the peer for a sign of life now and then: for connections that may rest for
 * hours.
 */
void stream_keepalive(struct stream *s);

/* Calls on_read when reading is worth a try and on_write when writing is; TLS's own needs (a read
 * that wants to write) are handled inside. Pass NULL to stop asking. Buffered TLS bytes count as
 * readable: on_read is then called from the loop, never from inside stream_want. Either callback
 * may free the stream. */
void stream_want(struct stream *s, stream_fn on_read, stream_fn on_write, void *owner);
/* Neither for now, but on_gone once the peer has reset the connection, or has ended it within TLS
 * without a word. An end in order says nothing: who half-closes still reads. It may free the
 * stream. Bytes that come meanwhile stay where they are, and nothing is told from then on. */
void stream_want_gone(struct stream *s, stream_fn on_gone, void *owner);

int stream_fd(
	const struct stream *s); /* borrowed; for splice in tunnels, only valid use when in clear */
SSL *stream_ssl(const struct stream *s); /* NULL in clear */
bool stream_has_buffered(
	const struct stream *s); /* bytes already read off the socket but not yet by us */
/* Is there an unexpected byte or an end on an idle pooled connection? true: do not reuse. */
bool stream_is_stale(struct stream *s);

#endif
