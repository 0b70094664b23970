// SPDX-License-Identifier: Apache-2.0
/* Sessions towards upstreams: what was verified is resumed, by each dial of a flock, by the same
 * host and port alone, and never what was not verified. A client certificate is shown where its
 * credential says, and what was agreed with it is nobody else's. */
#include "proxy/uptls.h"

#include "unit/proxy/certs.h"
#include "unit/proxy/pairs.h"
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <cmocka.h>

static struct made_cert root, leaf;
static SSL_CTX *server;
static struct client_cert *shown;

static struct uptls *trusting(const struct made_cert *ca)
{
	int fd = memfd_create("root", MFD_CLOEXEC);
	BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);

	assert_int_equal(PEM_write_bio_X509(bio, ca->cert), 1);
	BIO_free(bio);
	return uptls_new(&fd, 1, 65536);
}

struct ends {
	SSL *up, *far;
	int fds[2];
};

static struct ends dial(struct uptls *u, const char *host, uint16_t port)
{
	struct ends e;

	pair_tcp(&e.fds[0], &e.fds[1]);
	assert_int_equal(uptls_ssl(u, e.fds[0], str_of(host), NULL, port, shown, &e.up), 0);
	e.far = SSL_new(server);
	SSL_set_fd(e.far, e.fds[1]);
	SSL_set_accept_state(e.far);
	return e;
}

/* Until both ends are done; what the server says behind it, its tickets, lies unread. */
static bool shake(struct ends *e)
{
	int a = 0, b = 0;

	for (int i = 0; i < 100 && (a != 1 || b != 1); i++) {
		a = SSL_do_handshake(e->up);
		b = SSL_do_handshake(e->far);
	}
	return a == 1 && b == 1;
}

static void read_tickets(struct ends *e)
{
	char c;

	for (int i = 0; i < 3; i++)
		assert_true(SSL_read(e->up, &c, 1) <= 0);
}

static void hang_up(struct ends *e)
{
	/* Quietly, or OpenSSL calls the session a bad one. */
	SSL_set_quiet_shutdown(e->up, 1);
	SSL_shutdown(e->up);
	SSL_free(e->up);
	SSL_free(e->far);
	close(e->fds[0]);
	close(e->fds[1]);
}

static bool resumed(struct uptls *u, const char *host, uint16_t port)
{
	struct ends e = dial(u, host, port);
	bool is;

	assert_true(shake(&e));
	assert_true(uptls_verified(e.up));
	is = SSL_session_reused(e.up);
	hang_up(&e);
	return is;
}

static void a_flock(void **state)
{
	struct uptls *u = trusting(&root);
	struct ends e = dial(u, "api.test", 443);
	(void)state;

	assert_true(shake(&e));
	assert_false(SSL_session_reused(e.up));
	/* No ticket was read yet: nothing to resume. */
	assert_false(resumed(u, "api.test", 443));
	read_tickets(&e);
	hang_up(&e);
	/* One ticket, and nobody reads the next one. */
	for (int i = 0; i < 5; i++)
		assert_true(resumed(u, "api.test", 443));
	assert_false(resumed(u, "api.test", 8443));
	assert_false(resumed(u, "other.test", 443));
	uptls_free(u);
}

static void not_verified(void **state)
{
	static const struct cert_form form = CA_FORM("another");
	struct made_cert another = cert_make(&form, NULL);
	struct uptls *u = trusting(&another);
	struct ends e;
	(void)state;

	for (int i = 0; i < 2; i++) {
		e = dial(u, "api.test", 443);
		assert_false(shake(&e));
		assert_false(uptls_verified(e.up));
		assert_false(SSL_session_reused(e.up));
		assert_string_not_equal(uptls_why(e.up), "");
		hang_up(&e);
	}
	uptls_free(u);
	cert_free(&another);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

	return poll(&p, 1, 0) == 1;
}

static int low(int fd)
{
	socklen_t n = sizeof(int);
	int bytes;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &n), 0);
	return bytes;
}

static struct ends shaken(struct uptls *u)
{
	struct ends e = dial(u, "api.test", 443);

	assert_true(shake(&e));
	read_tickets(&e);
	return e;
}

/* A record of the largest size and a small one, as the far end seals them. */
static size_t sealed(struct ends *e, char *to, size_t room)
{
	static const char data[16384];
	BIO *b = BIO_new(BIO_s_mem());
	size_t n;

	BIO_up_ref(b);
	SSL_set0_wbio(e->far, b);
	assert_int_equal(SSL_write(e->far, data, sizeof(data)), sizeof(data));
	assert_int_equal(SSL_write(e->far, data, 100), 100);
	n = (size_t)BIO_read(b, to, (int)room);
	BIO_free(b);
	return n;
}

static void whole_records(void **state)
{
	static char wire[20000], got[16384];
	const size_t first = 5 + 16384 + 17;
	struct uptls *u = trusting(&root);
	struct ends e = shaken(u);
	size_t n = sealed(&e, wire, sizeof(wire));
	(void)state;

	assert_int_equal(n, first + 5 + 100 + 17);
	assert_int_equal(low(e.fds[0]), 1);
	assert_int_equal(send(e.fds[1], wire, 1000, 0), 1000);
	assert_true(readable(e.fds[0]));
	assert_true(SSL_read(e.up, got, sizeof(got)) <= 0);
	assert_int_equal(low(e.fds[0]), first - 1000);
	assert_int_equal(send(e.fds[1], wire + 1000, first - 1001, 0), first - 1001);
	assert_false(readable(e.fds[0]));
	/* Its last byte, and the head of the next, which a packet completes. */
	assert_int_equal(send(e.fds[1], wire + first - 1, 6, 0), 6);
	assert_true(readable(e.fds[0]));
	assert_int_equal(SSL_read(e.up, got, sizeof(got)), sizeof(got));
	assert_int_equal(low(e.fds[0]), 1);
	assert_true(SSL_read(e.up, got, sizeof(got)) <= 0);
	assert_int_equal(send(e.fds[1], wire + first + 5, n - first - 5, 0), n - first - 5);
	assert_true(readable(e.fds[0]));
	assert_int_equal(SSL_read(e.up, got, sizeof(got)), 100);
	hang_up(&e);
	uptls_free(u);
}

/* In the midst of a record an end and a reset are seen at once, and neither is a clean one. */
static void ends_within(void **state)
{
	static char wire[20000], got[16384];
	struct uptls *u = trusting(&root);
	(void)state;

	for (int reset = 0; reset < 2; reset++) {
		struct ends e = shaken(u);

		assert_true(sealed(&e, wire, sizeof(wire)) > 2000);
		assert_int_equal(send(e.fds[1], wire, 1000, 0), 1000);
		assert_true(SSL_read(e.up, got, sizeof(got)) <= 0);
		assert_false(readable(e.fds[0]));
		if (reset)
			pair_reset(TAKE_FD(e.fds[1]));
		else
			shutdown(e.fds[1], SHUT_WR);
		assert_true(readable(e.fds[0]));
		assert_int_equal(SSL_get_error(e.up, SSL_read(e.up, got, sizeof(got))),
				 reset ? SSL_ERROR_SYSCALL : SSL_ERROR_SSL);
		hang_up(&e);
	}
	uptls_free(u);
}

/* What was looked at ahead gives nobody trust or a session, and disturbs no dial. */
static void warmed(void **state)
{
	struct uptls *u = trusting(&root);
	long before = SSL_CTX_sess_accept_good(server);
	SSL *ssl = SSL_new(server);
	(void)state;

	SSL_set_accept_state(ssl);
	uptls_warm(u, ssl);
	assert_int_equal(SSL_CTX_sess_accept_good(server), before + 1);
	assert_false(resumed(u, "api.test", 443));
	uptls_free(u);
}

static struct str pem(BIO *to)
{
	char *p;
	long n = BIO_get_mem_data(to, &p);

	return (struct str){ p, (size_t)n };
}

static struct client_cert *client_cert(const struct made_cert *cert, EVP_PKEY *key)
{
	BIO *chain = BIO_new(BIO_s_mem()), *keys = BIO_new(BIO_s_mem());
	struct client_cert *c = NULL;

	PEM_write_bio_X509(chain, cert->cert);
	PEM_write_bio_X509(chain, root.cert);
	PEM_write_bio_PrivateKey(keys, key, NULL, NULL, 0, NULL, NULL);
	if (client_cert_read(pem(chain), pem(keys), &c) < 0)
		c = NULL;
	BIO_free(chain);
	BIO_free(keys);
	return c;
}

static void client_certificate(void **state)
{
	static const struct cert_form form = { .cn = "robot", .eku = "clientAuth" };
	struct made_cert robot = cert_make(&form, &root), other = cert_make(&form, &root);
	struct uptls *u = trusting(&root);
	struct client_cert *one = client_cert(&robot, robot.key);
	struct client_cert *two = client_cert(&other, other.key);
	struct ends e;
	char byte;
	(void)state;

	assert_non_null(one);
	assert_non_null(two);
	assert_null(client_cert(&robot, other.key));
	assert_int_equal(client_cert_read(STR("x"), STR("y"), &(struct client_cert *){ NULL }),
			 -74);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(server), root.cert);
	SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_session_id_context(server, (const uint8_t *)"t", 1);

	/* Without one the server ends it, and says why. */
	e = dial(u, "api.test", 443);
	assert_false(shake(&e));
	assert_true(SSL_read(e.up, &byte, 1) <= 0);
	assert_string_equal(uptls_lost(e.up), "demands a client certificate, and egret has none");
	hang_up(&e);

	shown = one;
	e = dial(u, "api.test", 443);
	assert_true(shake(&e));
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(e.far), robot.cert), 0);
	read_tickets(&e);
	hang_up(&e);
	assert_true(resumed(u, "api.test", 443));
	/* Its session is for itself: not for another one, not for none. */
	shown = two;
	e = dial(u, "api.test", 443);
	assert_true(shake(&e));
	assert_false(SSL_session_reused(e.up));
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(e.far), other.cert), 0);
	hang_up(&e);
	shown = NULL;
	e = dial(u, "api.test", 443);
	assert_false(shake(&e));
	assert_false(SSL_session_reused(e.up));
	hang_up(&e);

	SSL_CTX_set_verify(server, SSL_VERIFY_NONE, NULL);
	client_cert_free(one);
	client_cert_free(two);
	uptls_free(u);
	cert_free(&robot);
	cert_free(&other);
}

static int setup(void **state)
{
	static const struct cert_form ca = CA_FORM("root"),
				      form = LEAF_FORM("x", "DNS:api.test,DNS:other.test");

	root = cert_make(&ca, NULL);
	leaf = cert_make(&form, &root);
	server = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_min_proto_version(server, TLS1_3_VERSION);
	SSL_CTX_set_num_tickets(server, 1);
	return SSL_CTX_use_certificate(server, leaf.cert) == 1 &&
			       SSL_CTX_use_PrivateKey(server, leaf.key) == 1
		       ? 0
		       : -1;
}

static int teardown(void **state)
{
	SSL_CTX_free(server);
	cert_free(&root);
	cert_free(&leaf);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flock),	 cmocka_unit_test(not_verified),
		cmocka_unit_test(whole_records), cmocka_unit_test(ends_within),
		cmocka_unit_test(warmed),	 cmocka_unit_test(client_certificate)
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
