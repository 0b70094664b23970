// SPDX-License-Identifier: Apache-2.0
/* Sessions towards upstreams: what was verified is resumed, by each dial of a flock, by the same
 * host and port alone, and never what was not verified. */
#include "proxy/uptls.h"

#include "unit/proxy/certs.h"
#include "unit/proxy/pairs.h"
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <cmocka.h>

static struct made_cert root, leaf;
static SSL_CTX *server;

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
	assert_int_equal(uptls_ssl(u, e.fds[0], str_of(host), NULL, port, &e.up), 0);
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_flock),
					    cmocka_unit_test(not_verified) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
