// SPDX-License-Identifier: Apache-2.0
/* Streams in clear and in TLS over real sockets: bytes, buffered bytes, orderly and broken ends,
 * stale ones, detaching, freeing inside callbacks. */
#include "proxy/stream.h"

#include "proxy/hand.h"
#include "unit/proxy/certs.h"
#include "unit/proxy/pairs.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>

static struct loop *loop;
static SSL_CTX *server_ctx, *client_ctx;
static int hands;

static void shaken(void *owner, int err, int reason)
{
	assert_int_equal(err, 0);
	hands++;
}

static void tls_pair(struct stream **ret_client, struct stream **ret_server)
{
	SSL *c = SSL_new(client_ctx), *s = SSL_new(server_ctx);
	int a, b;

	pair_tcp(&a, &b);
	SSL_set_fd(c, a);
	SSL_set_fd(s, b);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	hands = 0;
	hand_start(loop, a, c, 5000, shaken, NULL);
	hand_start(loop, b, s, 5000, shaken, NULL);
	for (int i = 0; i < 100 && hands < 2; i++)
		turns(loop, 1);
	assert_int_equal(hands, 2);
	*ret_client = stream_new(loop, a, c);
	*ret_server = stream_new(loop, b, s);
}

static void clear_pair(struct stream **ret_client, struct stream **ret_server)
{
	int a, b;

	pair_tcp(&a, &b);
	*ret_client = stream_new(loop, a, NULL);
	*ret_server = stream_new(loop, b, NULL);
}

struct reader {
	struct stream *s;
	char got[256];
	size_t n, step;
	ssize_t last;
	int calls;
};

static void on_read(void *owner)
{
	struct reader *r = owner;

	r->calls++;
	r->last = stream_read(r->s, r->got + r->n, r->step);
	if (r->last > 0)
		r->n += (size_t)r->last;
	else if (r->last != -EAGAIN)
		stream_want(r->s, NULL, NULL, NULL);
}

static void bytes(struct stream *a, struct stream *b)
{
	struct reader r = { .s = b, .step = 3 };

	assert_int_equal(stream_read(b, r.got, 8), -EAGAIN);
	stream_want(b, on_read, NULL, &r);
	assert_int_equal(stream_write(a, "0123456789abcdef", 16), 16);
	/* One record, one wake-up of the socket, and a reader that takes three bytes at a time. */
	turns(loop, 40);
	assert_int_equal(r.n, 16);
	assert_memory_equal(r.got, "0123456789abcdef", 16);
	r.calls = 0;
	turns(loop, 10);
	assert_int_equal(r.calls, 0);
	/* An orderly end. */
	assert_int_equal(stream_shutdown(a), 0);
	turns(loop, 10);
	assert_int_equal(r.last, 0);
	r.calls = 0;
	turns(loop, 10);
	assert_int_equal(r.calls, 0);
	/* The other way still works. */
	assert_int_equal(stream_write(b, "bye", 3), 3);
	turns(loop, 2);
	memset(r.got, 0, sizeof(r.got));
	assert_int_equal(stream_read(a, r.got, 8), 3);
	stream_free(a);
	stream_free(b);
}

static void in_clear(void **state)
{
	struct stream *a, *b;

	clear_pair(&a, &b);
	bytes(a, b);
}

static void in_tls(void **state)
{
	struct stream *a, *b;

	tls_pair(&a, &b);
	bytes(a, b);
}

static void broken_ends(void **state)
{
	struct stream *a, *b;
	struct reader r = { .step = 16 };
	int fd;

	/* TLS without close_notify is a truncation. */
	tls_pair(&a, &b);
	shutdown(stream_fd(a), SHUT_WR);
	r.s = b;
	stream_want(b, on_read, NULL, &r);
	turns(loop, 10);
	assert_int_equal(r.last, -ECONNRESET);
	stream_free(a);
	stream_free(b);

	/* A reset, in clear and in TLS. */
	clear_pair(&a, &b);
	stream_reset(a);
	stream_free(a);
	turns(loop, 2);
	assert_int_equal(stream_read(b, r.got, 8), -ECONNRESET);
	assert_true(stream_write(b, "x", 1) < 0);
	stream_free(b);
	tls_pair(&a, &b);
	stream_reset(a);
	stream_free(a);
	turns(loop, 2);
	assert_int_equal(stream_read(b, r.got, 8), -ECONNRESET);
	stream_free(b);

	/* Garbage inside TLS. */
	tls_pair(&a, &b);
	assert_int_equal(send(stream_fd(a), "garbage in place of a record", 28, 0), 28);
	turns(loop, 2);
	assert_int_equal(stream_read(b, r.got, 8), -EPROTO);
	stream_free(a);
	stream_free(b);

	clear_pair(&a, &b);
	fd = stream_fd(b);
	{
		int out = -1;

		assert_int_equal(stream_detach(b, &out), 0);
		assert_int_equal(out, fd);
		assert_int_equal(stream_write(a, "x", 1), 1);
		turns(loop, 2);
		assert_int_equal(recv(out, r.got, 8, MSG_DONTWAIT), 1);
		close(out);
	}
	stream_free(a);
	tls_pair(&a, &b);
	assert_int_equal(stream_detach(b, &fd), -EINVAL);
	stream_free(a);
	stream_free(b);
}

static void stale(void **state)
{
	struct stream *a, *b;

	for (int tls = 0; tls < 2; tls++) {
		(tls ? tls_pair : clear_pair)(&a, &b);
		turns(loop, 5);
		assert_false(stream_is_stale(a)); /* the server's session tickets are no data */
		assert_false(stream_is_stale(b));
		assert_int_equal(stream_write(b, "x", 1), 1);
		turns(loop, 2);
		assert_true(stream_is_stale(a));
		stream_free(a);
		stream_free(b);
		(tls ? tls_pair : clear_pair)(&a, &b);
		stream_free(b);
		turns(loop, 2);
		assert_true(stream_is_stale(a));
		stream_free(a);
	}
}

static int freed;

static void free_self(void *owner)
{
	stream_free(owner);
	freed++;
}

static void freed_inside(void **state)
{
	struct stream *a, *b;

	freed = 0;
	tls_pair(&a, &b);
	stream_want(b, free_self, free_self, b);
	assert_int_equal(stream_write(a, "x", 1), 1);
	turns(loop, 5);
	assert_int_equal(freed, 1);
	stream_free(a);
}

struct writer {
	struct stream *s;
	size_t left;
};

static void on_write(void *owner)
{
	static const char chunk[40000];
	struct writer *w = owner;
	ssize_t n = stream_write(w->s, chunk, w->left < sizeof(chunk) ? w->left : sizeof(chunk));

	if (n > 0)
		w->left -= (size_t)n;
	if (!w->left)
		stream_want(w->s, NULL, NULL, NULL);
}

static void bulk(void **state)
{
	static char sink[30000];
	struct stream *a, *b;
	struct writer w;
	size_t got = 0;
	ssize_t n;

	for (int tls = 0; tls < 2; tls++) {
		(tls ? tls_pair : clear_pair)(&a, &b);
		w = (struct writer){ a, 8u << 20 };
		got = 0;
		stream_want(a, NULL, on_write, &w);
		for (int i = 0; i < 20000 && got < 8u << 20; i++) {
			turns(loop, 1);
			while ((n = stream_read(b, sink, sizeof(sink))) > 0)
				got += (size_t)n;
			assert_int_equal(n, -EAGAIN);
		}
		assert_int_equal(got, 8u << 20);
		stream_free(a);
		stream_free(b);
	}
}

static int setup(void **state)
{
	static const struct cert_form form = LEAF_FORM("x", "DNS:x.test");
	struct made_cert m = cert_make(&form, NULL);

	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	server_ctx = SSL_CTX_new(TLS_server_method());
	client_ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_use_certificate(server_ctx, m.cert);
	SSL_CTX_use_PrivateKey(server_ctx, m.key);
	SSL_CTX_set_read_ahead(server_ctx, 1);
	SSL_CTX_set_read_ahead(client_ctx, 1);
	cert_free(&m);
	return 0;
}

static int teardown(void **state)
{
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_clear),	cmocka_unit_test(in_tls),
		cmocka_unit_test(broken_ends),	cmocka_unit_test(stale),
		cmocka_unit_test(freed_inside), cmocka_unit_test(bulk)
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
