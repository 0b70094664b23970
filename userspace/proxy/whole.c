// SPDX-License-Identifier: Apache-2.0
/*
 * Whole records: see whole.h. The bound of the socket's wake-ups (SO_RCVLOWAT) is never above what
 * the record under way lacks: between records it is 1, so that an alert or an answer wakes at once.
 * The kernel wakes all the same when a window is full, and for ends and errors.
 */
#include "proxy/whole.h"

#include "base/bytes.h"
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

#define HEAD 5
#define PACKET 1400u	  /* what one packet brings is not worth the call */
#define RECORD_MAX 18432u /* of TLS 1.2, sealed; OpenSSL refuses one that says more */

struct whole {
	int fd;
	int low; /* the socket's bound */
	uint8_t head[HEAD];
	unsigned head_n;
	unsigned left; /* of the record under way */
};

static void follow(struct whole *w, const uint8_t *p, size_t n)
{
	size_t k;

	while (n) {
		if (w->left) {
			k = n < w->left ? n : w->left;
			w->left -= (unsigned)k;
		} else {
			k = 1;
			w->head[w->head_n++] = *p;
			if (w->head_n == HEAD) {
				w->left = (unsigned)w->head[3] << 8 | w->head[4];
				w->head_n = 0;
			}
		}
		p += k;
		n -= k;
	}
}

static void wake_at(struct whole *w, int bytes)
{
	if (bytes != w->low && !setsockopt(w->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)))
		w->low = bytes;
}

static int on_read(BIO *b, char *p, int n)
{
	struct whole *w = BIO_get_data(b);
	bool lacks;
	ssize_t r;

	BIO_clear_retry_flags(b);
	r = n > 0 ? recv(w->fd, p, (size_t)n, MSG_DONTWAIT) : 0;
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(b);
	if (r == 0)
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
	if (r <= 0)
		return (int)r;
	follow(w, (const uint8_t *)p, (size_t)r);
	lacks = r < n && w->left > PACKET && w->left <= RECORD_MAX;
	wake_at(w, lacks ? (int)w->left : 1);
	return (int)r;
}

static long on_ctrl(BIO *b, int cmd, long num, void *p)
{
	return cmd == BIO_CTRL_EOF && BIO_test_flags(b, BIO_FLAGS_IN_EOF);
}

static int on_free(BIO *b)
{
	free(BIO_get_data(b));
	return 1;
}

static const BIO_METHOD *method(void)
{
	static BIO_METHOD *m;

	if (m)
		return m;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "whole");
	if (m && BIO_meth_set_read(m, on_read) == 1 && BIO_meth_set_ctrl(m, on_ctrl) == 1 &&
	    BIO_meth_set_destroy(m, on_free) == 1)
		return m;
	BIO_meth_free(m);
	m = NULL;
	return NULL;
}

int whole_new(SSL *ssl, int fd)
{
	const BIO_METHOD *m = method();
	BIO *b = m ? BIO_new(m) : NULL;
	struct whole *w;

	if (!b)
		return -ENOMEM;
	w = mem_new(sizeof(*w));
	w->fd = fd;
	w->low = 1;
	BIO_set_data(b, w);
	BIO_set_init(b, 1);
	SSL_set0_rbio(ssl, b);
	return 0;
}
