/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records without data: past the bound the watched side's read ends, from KeyUpdates of a client
 * and of a server; below it, or with data between them, nothing happens.
 */
#include "proxy/storm.h"

#include "unit/proxy/certs.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct made_cert leaf;

struct ends {
	SSL_CTX *ctx[2];
	SSL *watched, *other;
};

static void step(SSL *a, SSL *b)
{
	for (int i = 0; i < 10; i++) {
		(void)SSL_do_handshake(a);
		(void)SSL_do_handshake(b);
	}
	ERR_clear_error();
}

/* Two ends of one connection in memory; the watched one is the server, or the client. */
static void open_ends(struct ends *e, bool server, int version)
{
	SSL_CTX *s = SSL_CTX_new(TLS_server_method()), *c = SSL_CTX_new(TLS_client_method());
	SSL *ss, *cs;
	BIO *a, *b;

	assert_int_equal(SSL_CTX_use_certificate(s, leaf.cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(s, leaf.key), 1);
	SSL_CTX_set_max_proto_version(s, version);
	SSL_CTX_set_options(server ? s : c, SSL_OP_NO_RENEGOTIATION);
	storm_watch(server ? s : c);
	ss = SSL_new(s);
	cs = SSL_new(c);
	assert_int_equal(BIO_new_bio_pair(&a, 1 << 20, &b, 1 << 20), 1);
	SSL_set_bio(ss, a, a);
	SSL_set_bio(cs, b, b);
	SSL_set_accept_state(ss);
	SSL_set_connect_state(cs);
	step(cs, ss);
	assert_true(SSL_is_init_finished(ss) && SSL_is_init_finished(cs));
	*e = (struct ends){ { s, c }, server ? ss : cs, server ? cs : ss };
	/* The tickets are not part of it. */
	assert_int_equal(SSL_write(e->other, "x", 1), 1);
	assert_int_equal(SSL_read(e->watched, &(char){ 0 }, 1), 1);
}

static void close_ends(struct ends *e)
{
	SSL_free(e->watched);
	SSL_free(e->other);
	SSL_CTX_free(e->ctx[0]);
	SSL_CTX_free(e->ctx[1]);
	ERR_clear_error();
}

static void update(struct ends *e, int n)
{
	for (int i = 0; i < n; i++) {
		assert_int_equal(SSL_key_update(e->other, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(e->other), 1);
	}
}

/* What a read of the watched side says when nothing but those is there. */
static int reading(struct ends *e)
{
	char c;
	int r = SSL_read(e->watched, &c, 1);

	r = SSL_get_error(e->watched, r);
	ERR_clear_error();
	return r;
}

static void key_updates(void **state)
{
	struct ends e;

	(void)state;
	for (int server = 0; server < 2; server++) {
		open_ends(&e, server, TLS1_3_VERSION);
		/* As many as are borne, with data behind them, many times. */
		for (int i = 0; i < 10; i++) {
			char c = 0;

			update(&e, STORM_RECORDS);
			assert_int_equal(reading(&e), SSL_ERROR_WANT_READ);
			assert_int_equal(SSL_write(e.other, "y", 1), 1);
			assert_int_equal(SSL_read(e.watched, &c, 1), 1);
			assert_int_equal(c, 'y');
		}
		update(&e, STORM_RECORDS + 100);
		assert_int_not_equal(reading(&e), SSL_ERROR_WANT_READ);
		assert_true(SSL_get_shutdown(e.watched) & SSL_RECEIVED_SHUTDOWN);
		/* And data that comes late is not read any more. */
		assert_int_equal(SSL_write(e.other, "z", 1), 1);
		assert_int_not_equal(reading(&e), SSL_ERROR_NONE);
		close_ends(&e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_updates),
	};

	leaf = cert_make(&(struct cert_form)LEAF_FORM("storm.test", "DNS:storm.test"), NULL);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
