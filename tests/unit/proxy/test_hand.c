// SPDX-License-Identifier: Apache-2.0
/*
 * When a handshake's last packets leave, seen by the client's kernel: what it sends is acknowledged
 * at once, each part of it, and the ticket waits for nothing.
 */
#include "proxy/hand.h"

#include "proxy/stream.h"
#include "unit/proxy/certs.h"
#include "unit/proxy/pairs.h"
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>

static struct loop *loop;
static SSL_CTX *server_ctx, *client_ctx;
static bool over;

static void shaken(void *owner, int err, int reason, struct watch *watched)
{
	assert_int_equal(err, 0);
	over = true;
}

/* All that the client's kernel has sent is acknowledged. */
static bool heard(int fd)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
	return info.tcpi_unacked == 0;
}

static void send_some(int fd, BIO *from, int most)
{
	char c[4096];
	int n = BIO_read(from, c, most);

	assert_true(n > 0);
	assert_int_equal(send(fd, c, (size_t)n, 0), n);
}

/* Each part of the client comes when the server's hand rests: its hello, a ChangeCipherSpec as
 * GnuTLS sends it, its last message. */
static struct stream *shake(SSL **ret_client, int *ret_fd)
{
	SSL *c = SSL_new(client_ctx), *s = SSL_new(server_ctx);
	BIO *out = BIO_new(BIO_s_mem());
	int a, b;

	pair_tcp(&a, &b);
	SSL_set_bio(c, BIO_new_socket(a, BIO_NOCLOSE), out);
	SSL_set_fd(s, b);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	over = false;
	hand_start(loop, b, s, 5000, NULL, shaken, NULL);
	assert_int_equal(SSL_do_handshake(c), -1);
	send_some(a, out, 4096);
	turns(loop, 2);
	assert_int_equal(SSL_do_handshake(c), 1);
	send_some(a, out, 6);
	turns(loop, 1);
	assert_true(heard(a));
	assert_false(over);
	send_some(a, out, 4096);
	for (int i = 0; i < 100 && !over; i++)
		turns(loop, 1);
	assert_true(over);
	*ret_client = c;
	*ret_fd = a;
	return stream_new(loop, b, s);
}

/* Nothing waits for anything else: GnuTLS sends no request before it has the ticket. */
static void ticket(void **state)
{
	uint8_t got[16];
	struct stream *s;
	SSL *client;
	int fd;

	for (int i = 0; i < 8; i++) {
		s = shake(&client, &fd);
		assert_true(heard(fd));
		assert_int_equal(SSL_read(client, got, sizeof(got)), -1);
		assert_true(SSL_SESSION_is_resumable(SSL_get0_session(client)));
		stream_free(s);
		SSL_free(client);
		close(fd);
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
	SSL_CTX_set_num_tickets(server_ctx, 1);
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(ticket) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("hand", tests, setup, teardown);
}
