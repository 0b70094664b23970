// SPDX-License-Identifier: Apache-2.0
/* ClientHello parser: a hello written by hand in every form that peers have tripped over, and
 * OpenSSL's own, in pieces. */
#include "proxy/hello.h"
#include "proxy/peek.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct made {
	uint8_t p[70000];
	size_t n;
};

static void add(struct made *m, const void *p, size_t n)
{
	assert_true(m->n + n <= sizeof(m->p));
	memcpy(m->p + m->n, p, n);
	m->n += n;
}

static void add16(struct made *m, unsigned v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	add(m, b, 2);
}

static void add_sni(struct made *exts, const void *name, size_t n)
{
	add16(exts, 0);
	add16(exts, (unsigned)n + 5);
	add16(exts, (unsigned)n + 3);
	add(exts, "", 1);
	add16(exts, (unsigned)n);
	add(exts, name, n);
}

/* The message in records of at most `record` bytes. */
static void hello(struct made *out, const struct made *exts, size_t record)
{
	static struct made body, message;
	uint8_t head[4];

	body.n = message.n = out->n = 0;
	add16(&body, 0x0303);
	add(&body, "0123456789abcdef0123456789abcdef", 32);
	add(&body, "", 1);
	add16(&body, 2);
	add16(&body, 0x1301);
	add(&body, "\1\0", 2);
	add16(&body, (unsigned)exts->n);
	add(&body, exts->p, exts->n);
	head[0] = 1;
	head[1] = (uint8_t)(body.n >> 16);
	head[2] = (uint8_t)(body.n >> 8);
	head[3] = (uint8_t)body.n;
	add(&message, head, 4);
	add(&message, body.p, body.n);
	for (size_t at = 0; at < message.n; at += record) {
		size_t n = message.n - at < record ? message.n - at : record;

		add(out, "\x16\x03\x01", 3);
		add16(out, (unsigned)n);
		add(out, message.p + at, n);
	}
}

static struct made exts, wire;

static void names(void **state)
{
	static const struct {
		const char *sni;
		size_t n;
		enum hello_state want;
		const char *canonical;
	} rows[] = {
		{ "api.shop.test", 13, HELLO_DONE, "api.shop.test" },
		{ "API.Shop.TEST", 13, HELLO_DONE, "api.shop.test" },
		{ "api.shop.test.", 14, HELLO_DONE, "api.shop.test" },
		{ "api\0.shop.test", 14, HELLO_BAD, NULL },
		{ "198.51.100.7", 12, HELLO_BAD, NULL },
		{ "2001:db8::1", 11, HELLO_BAD, NULL },
		{ "a..b", 4, HELLO_BAD, NULL },
		{ "", 0, HELLO_BAD, NULL },
		{ "a b", 3, HELLO_BAD, NULL },
		{ "-", 1, HELLO_BAD, NULL },
		{ "a/b.test", 8, HELLO_BAD, NULL },
	};
	struct hello h;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		exts.n = 0;
		add_sni(&exts, rows[i].sni, rows[i].n);
		hello(&wire, &exts, 16384);
		assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), rows[i].want);
		if (rows[i].want == HELLO_DONE)
			assert_string_equal(h.sni, rows[i].canonical);
		else
			assert_non_null(h.fault);
	}
	exts.n = 0;
	memset(wire.p, 'a', 300);
	{
		char big[300];

		memset(big, 'a', sizeof(big));
		add_sni(&exts, big, sizeof(big));
	}
	hello(&wire, &exts, 16384);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_BAD);
	exts.n = 0;
	hello(&wire, &exts, 16384);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_DONE);
	assert_int_equal(h.sni_n, 0);
}

/* Every prefix of a good hello is "more", in one record, in 1-byte records and in odd ones. */
static void pieces(void **state)
{
	static const size_t records[] = { 16384, 1, 7, 100 };
	struct hello h;
	unsigned looks;

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		exts.n = 0;
		add_sni(&exts, "api.shop.test", 13);
		hello(&wire, &exts, records[i]);
		for (size_t n = 0; n < wire.n; n++) {
			assert_int_equal(hello_parse(wire.p, n, 65536, &h), HELLO_MORE);
			assert_true(h.more > 0 && n + h.more <= wire.n);
		}
		/* Who waits for as much as is said to be missing looks seldom. */
		looks = 0;
		for (size_t n = 1; n < wire.n; n += h.more, looks++)
			assert_int_equal(hello_parse(wire.p, n, 65536, &h), HELLO_MORE);
		assert_true(looks < 50);
		assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_DONE);
		assert_string_equal(h.sni, "api.shop.test");
		/* What follows the hello is not looked at. */
		add(&wire, "xyz", 3);
		assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_DONE);
	}
}

static void extensions(void **state)
{
	struct hello h;

	exts.n = 0;
	add16(&exts, 0x0a0a); /* GREASE */
	add16(&exts, 0);
	add16(&exts, 43);
	add16(&exts, 7);
	add(&exts, "\6\x1a\x1a\x03\x04\x03\x03", 7);
	add16(&exts, 16);
	add16(&exts, 14);
	add(&exts, "\0\x0c\2h2\x08http/1.1", 14);
	add16(&exts, 0xfe0d);
	add16(&exts, 1);
	add(&exts, "x", 1);
	hello(&wire, &exts, 16384);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_DONE);
	assert_int_equal(h.shape.version, 0x0304);
	assert_true(h.alpn && h.ech);
	assert_int_equal(h.shape.nalpn, 2);
	assert_memory_equal(h.shape.alpn, ((uint8_t[]){ ALPN_H2, ALPN_HTTP11 }), 2);
	assert_string_equal(h.alpn_first, "h2");

	/* The same extension twice, lengths that lie, names that contradict. */
	exts.n = 0;
	add_sni(&exts, "a.test", 6);
	add_sni(&exts, "b.test", 6);
	hello(&wire, &exts, 16384);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_BAD);
	exts.n = 0;
	add16(&exts, 0);
	add16(&exts, 500);
	add(&exts, "x", 1);
	hello(&wire, &exts, 16384);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_BAD);
	exts.n = 0;
	add16(&exts, 16);
	add16(&exts, 3);
	add(&exts, "\0\1\0", 3);
	hello(&wire, &exts, 16384);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_BAD);
}

static void bounds(void **state)
{
	static char padding[30000];
	struct hello h;

	exts.n = 0;
	add_sni(&exts, "api.shop.test", 13);
	add16(&exts, 21);
	add16(&exts, sizeof(padding));
	add(&exts, padding, sizeof(padding));
	hello(&wire, &exts, 16384);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_DONE);
	assert_int_equal(hello_parse(wire.p, wire.n, 20000, &h), HELLO_BAD);
	assert_int_equal(hello_parse(wire.p, 16, 20000, &h), HELLO_BAD); /* known from its length */
	/* Records that are all heads. */
	wire.n = 0;
	add(&wire, "\x16\x03\x01\0\0", 5);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_BAD);
	wire.n = 0;
	add(&wire, "\x16\x03\x01\0\1\1\x17\x03\x01\0\1\1", 12);
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_BAD);
	wire.n = 0;
	add(&wire, "\x16\x03\x01\0\4\2\0\0\0", 9); /* a ServerHello */
	assert_int_equal(hello_parse(wire.p, wire.n, 65536, &h), HELLO_BAD);
}

static void first_bytes(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		enum peek_kind want;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n", 16, PEEK_HTTP },
		{ "G", 1, PEEK_SLOW },
		{ "GET", 3, PEEK_SLOW },
		{ "GET ", 4, PEEK_SLOW },
		{ "GET http://a/", 13, PEEK_HTTP },
		{ "GET htt", 7, PEEK_SLOW },
		{ "GET httx", 8, PEEK_OTHER },
		{ "OPTIONS *", 9, PEEK_HTTP },
		{ "CONNECT a:1", 11, PEEK_HTTP },
		{ "M-SEARCH /", 10, PEEK_HTTP },
		{ "patch /x", 8, PEEK_HTTP },
		{ "EHLO mail.test", 14, PEEK_OTHER },
		{ "SSH-2.0-x", 9, PEEK_OTHER },
		{ "\x16\x03", 2, PEEK_SLOW },
		{ "\x16\x04\x01", 3, PEEK_OTHER },
		{ "\x80\x2e\x01", 3, PEEK_OTHER },
		{ "\0", 1, PEEK_OTHER },
		{ " ", 1, PEEK_OTHER },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 40, PEEK_OTHER },
	};
	struct hello h;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(peek_judge((const uint8_t *)rows[i].p, rows[i].n, 65536, &h),
				 rows[i].want);
}

static void openssl(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	struct hello h;
	char *p;
	long n;

	SSL_set_bio(ssl, in, out);
	SSL_set_tlsext_host_name(ssl, "Registry.Shop.test");
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl);
	n = BIO_get_mem_data(out, &p);
	assert_int_equal(hello_parse((uint8_t *)p, (size_t)n, 65536, &h), HELLO_DONE);
	assert_string_equal(h.sni, "registry.shop.test");
	assert_int_equal(h.shape.version, 0x0304);
	assert_false(h.alpn);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),       cmocka_unit_test(pieces),
		cmocka_unit_test(extensions),  cmocka_unit_test(bounds),
		cmocka_unit_test(first_bytes), cmocka_unit_test(openssl),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
