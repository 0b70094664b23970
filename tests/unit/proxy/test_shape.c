// SPDX-License-Identifier: Apache-2.0
/* The shape of our ClientHello: whatever a client offers, what OpenSSL then writes is read back and
 * has the client's order, holds nothing that we would not use, and never goes under TLS 1.2. */
#include "proxy/shape.h"
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The hello that a context like uptls.c's writes in this shape. */
static struct hello written_for(const struct hello_shape *shape, enum shape_h2 how)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	struct hello h = { 0 };
	SSL *ssl;
	char *p;
	long n;

	assert_non_null(ctx);
	SSL_CTX_set_security_level(ctx, 2);
	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION), 1);
	ssl = SSL_new(ctx);
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	if (shape)
		shape_apply(ssl, shape);
	assert_int_equal(shape_alpn(ssl, shape, how), 0);
	assert_int_equal(SSL_do_handshake(ssl), -1);
	n = BIO_get_mem_data(out, &p);
	assert_int_equal(hello_parse((const uint8_t *)p, (size_t)n, 65536, &h), HELLO_DONE);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return h;
}

static struct hello written(const struct hello_shape *shape)
{
	return written_for(shape, SHAPE_H2_FOLLOW);
}

#define SAME(list, ...)                                                  \
	do {                                                             \
		static const uint16_t want_[] = { __VA_ARGS__ };         \
		assert_int_equal(h.shape.n##list, ARRAY_SIZE(want_));    \
		assert_memory_equal(h.shape.list, want_, sizeof(want_)); \
	} while (0)

static void test_order(void **state)
{
	static const struct hello_shape shape = {
		.version = 0x0304,
		.ciphers = { 0x1303, 0x1301, 0xcca8, 0xc02f, 0xc02b, 0x0005, 0xfafa },
		.nciphers = 7, /* RC4 and nonsense fall out */
		.groups = { 0x11ec, 0x0018, 0x001d, 0x0017 },
		.ngroups = 4, /* one that this OpenSSL may not have */
		.signatures = { 0x0804, 0x0403, 0x0201, 0x0401 },
		.nsignatures = 4, /* SHA-1 falls out */
	};
	struct hello h = written(&shape);
	(void)state;

	/* Behind the suites stands the renegotiation signal of RFC 5746. */
	SAME(ciphers, 0x1303, 0x1301, 0xcca8, 0xc02f, 0xc02b, 0x00ff);
	SAME(groups, 0x0018, 0x001d, 0x0017);
	SAME(signatures, 0x0804, 0x0403, 0x0401);
	assert_int_equal(h.shape.version, 0x0304);
}

static void test_versions(void **state)
{
	struct hello_shape shape = { .version = 0x0303 };
	struct hello h = written(&shape);
	(void)state;

	assert_int_equal(h.shape.version, 0x0303);
	shape.version = 0x0301;
	h = written(&shape);
	assert_int_equal(h.shape.version, 0x0303);
	shape.version = 0x0304;
	h = written(&shape);
	assert_int_equal(h.shape.version, 0x0304);
}

/* Nothing that we know: as if no client had been asked. */
static void test_nothing(void **state)
{
	static const struct hello_shape shape = { .version = 0x0304,
						  .ciphers = { 0x0001, 0x0005 },
						  .nciphers = 2,
						  .groups = { 0xffff },
						  .ngroups = 1,
						  .signatures = { 0x0201 },
						  .nsignatures = 1 };
	struct hello plain = written(NULL), h = written(&shape);
	(void)state;

	plain.shape.nalpn = plain.shape.alpn[0] = 0; /* test_alpn's */
	assert_memory_equal(&h.shape, &plain.shape, sizeof(h.shape));
	assert_true(h.shape.nciphers > 3 && h.shape.ngroups > 2 && h.shape.nsignatures > 3);
}

static void alpn_is(const uint8_t *offered, unsigned n, enum shape_h2 how, const uint8_t *want,
		    unsigned want_n)
{
	struct hello_shape shape = { .version = 0x0304, .nalpn = n };
	struct hello h;

	if (n)
		memcpy(shape.alpn, offered, n);
	h = written_for(&shape, how);
	assert_int_equal(h.alpn, want_n > 0);
	assert_int_equal(h.shape.nalpn, want_n);
	if (want_n)
		assert_memory_equal(h.shape.alpn, want, want_n);
	assert_int_equal(shape_offers_h2(&shape, how), want_n && memchr(want, ALPN_H2, want_n));
}

#define LIST(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void test_alpn(void **state)
{
	struct hello h;
	(void)state;

	alpn_is(NULL, 0, SHAPE_H2_FOLLOW, NULL, 0);
	alpn_is(LIST(ALPN_HTTP11), SHAPE_H2_FOLLOW, LIST(ALPN_HTTP11));
	alpn_is(LIST(ALPN_HTTP10, ALPN_HTTP11), SHAPE_H2_FOLLOW, LIST(ALPN_HTTP10, ALPN_HTTP11));
	alpn_is(LIST(ALPN_H2, ALPN_HTTP11), SHAPE_H2_FOLLOW, LIST(ALPN_H2, ALPN_HTTP11));
	alpn_is(LIST(ALPN_HTTP11, ALPN_H2), SHAPE_H2_FOLLOW, LIST(ALPN_HTTP11, ALPN_H2));
	alpn_is(LIST(ALPN_H2), SHAPE_H2_FOLLOW, LIST(ALPN_H2, ALPN_HTTP11));
	/* What HTTP/2 cannot carry, and a server that speaks nothing else. */
	alpn_is(LIST(ALPN_H2, ALPN_HTTP11), SHAPE_H2_NEVER, LIST(ALPN_HTTP11));
	alpn_is(LIST(ALPN_H2), SHAPE_H2_NEVER, LIST(ALPN_HTTP11));
	alpn_is(LIST(ALPN_HTTP11), SHAPE_H2_ALWAYS, LIST(ALPN_H2, ALPN_HTTP11));
	alpn_is(NULL, 0, SHAPE_H2_ALWAYS, LIST(ALPN_H2));
	/* No client to follow. */
	h = written(NULL);
	assert_int_equal(h.shape.nalpn, 1);
	assert_int_equal(h.shape.alpn[0], ALPN_HTTP11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_alpn),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
