/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathered records: see gather.h. The buffer is the process's one, since only the stream whose turn
 * it is gathers. What the socket did not take is kept with the stream, and all streams together
 * keep little more than KEPT_MAX: past it none gathers, and OpenSSL holds one record of each, as
 * ever.
 */
#include "proxy/gather.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Records of the largest size, sealed; together less than what malloc maps anew each time. */
#define PIECE ((size_t)7 * 16709)
#define KEPT_MAX ((size_t)4 << 20) /* of a job's proxy */

struct gather {
	int fd;
	char *kept; /* from kept_at on not sent; nothing is gathered while there is any */
	size_t kept_n, kept_at;
};

static char piece[PIECE];
static size_t piece_n, piece_at; /* up to piece_at it is sent */
static struct gather *at_work;	 /* or NULL */
static size_t kept_total;

size_t gather_kept(void)
{
	return kept_total;
}

/* Sends from *at on. 0: all; -EAGAIN; -errno. */
static int put(int fd, const char *p, size_t n, size_t *at)
{
	while (*at < n) {
		ssize_t r = send(fd, p + *at, n - *at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r < 0)
			return -errno;
		*at += (size_t)r;
	}
	return 0;
}

static void forget_kept(struct gather *g)
{
	kept_total -= g->kept_n;
	free(g->kept);
	g->kept = NULL;
	g->kept_n = g->kept_at = 0;
}

static int send_kept(struct gather *g)
{
	int r;

	if (!g->kept)
		return 0;
	r = put(g->fd, g->kept, g->kept_n, &g->kept_at);
	if (r != -EAGAIN)
		forget_kept(g);
	return r;
}

static int send_piece(struct gather *g)
{
	int r = put(g->fd, piece, piece_n, &piece_at);

	if (r == 0)
		piece_n = piece_at = 0;
	return r;
}

/* -EAGAIN: nothing was taken. */
static int take(struct gather *g, const char *p, size_t n)
{
	size_t at = 0;
	int r = send_kept(g);

	if (r == 0 && at_work == g && n <= PIECE) {
		r = n > PIECE - piece_n ? send_piece(g) : 0;
		if (r < 0)
			return r;
		memcpy(piece + piece_n, p, n);
		piece_n += n;
		return (int)n;
	}
	if (r == 0)
		r = put(g->fd, p, n, &at);
	return at ? (int)at : r;
}

static int on_write(BIO *b, const char *p, int n)
{
	int r = n > 0 ? take(BIO_get_data(b), p, (size_t)n) : 0;

	BIO_clear_retry_flags(b);
	if (r >= 0)
		return r;
	if (r == -EAGAIN)
		BIO_set_retry_write(b);
	errno = -r;
	return -1;
}

static long on_ctrl(BIO *b, int cmd, long num, void *p)
{
	return cmd == BIO_CTRL_FLUSH; /* nothing else is asked that has an answer */
}

static int on_free(BIO *b)
{
	struct gather *g = BIO_get_data(b);

	if (!g)
		return 1;
	if (at_work == g) {
		at_work = NULL;
		piece_n = piece_at = 0;
	}
	forget_kept(g);
	free(g);
	return 1;
}

static const BIO_METHOD *method(void)
{
	static BIO_METHOD *m;

	if (m)
		return m;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gather");
	if (m && BIO_meth_set_write(m, on_write) == 1 && BIO_meth_set_ctrl(m, on_ctrl) == 1 &&
	    BIO_meth_set_destroy(m, on_free) == 1)
		return m;
	BIO_meth_free(m);
	m = NULL;
	return NULL;
}

struct gather *gather_new(SSL *ssl, int fd)
{
	const BIO_METHOD *m = method();
	BIO *b = m ? BIO_new(m) : NULL;
	struct gather *g;

	if (!b)
		return NULL;
	g = mem_new(sizeof(*g));
	g->fd = fd;
	BIO_set_data(b, g);
	BIO_set_init(b, 1);
	SSL_set0_wbio(ssl, b);
	return g;
}

void gather_begin(struct gather *g)
{
	if (!at_work && kept_total < KEPT_MAX)
		at_work = g;
}

int gather_end(struct gather *g)
{
	int r;

	if (at_work != g)
		return gather_flush(g);
	at_work = NULL;
	if (!piece_n)
		return send_kept(g);
	r = send_piece(g);
	if (r == -EAGAIN) {
		g->kept_n = piece_n - piece_at;
		g->kept = malloc(g->kept_n);
		if (!g->kept)
			die("out of memory for %zu bytes that a socket did not take", g->kept_n);
		memcpy(g->kept, piece + piece_at, g->kept_n);
		kept_total += g->kept_n;
	}
	piece_n = piece_at = 0;
	return r;
}

int gather_flush(struct gather *g)
{
	return at_work == g ? 0 : send_kept(g);
}
