/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.mode root: one root for images, a CA of each job under it, intermediates under that; the same
 * root after a restart, jobs that outlive a change of the mode, and a file that is damaged or gone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/certs_rig.h"
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static X509 *der_of(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	X509 *x = d2i_X509(NULL, &p, (long)s.n);

	assert_non_null(x);
	return x;
}

static X509 *told(void)
{
	struct msg_out q;
	struct msg_in m;
	X509 *x = NULL;
	int fd;

	msg_begin(&q, MSG_CA_ROOT, 77);
	ask(broker.sock, &q, &m);
	assert_int_equal(m.id, 77);
	if (m.type == MSG_OK) {
		assert_int_equal(msg_take_fd(&m, TAG_FD_CA, &fd), 0);
		x = pem_of(fd);
		close(fd);
	}
	msg_in_done(&m);
	return x;
}

static int verify(X509 *root, X509 *cert, X509 *between)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	int r;

	if (between)
		sk_X509_push(chain, between);
	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(ctx, store, cert, chain);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	r = X509_verify_cert(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_free(chain);
	return r;
}

/* What a proxy is given verifies under the job's FD_CA with the chain, and only with it. Returns
 * the job's CA, or NULL when that is the root. */
static X509 *intermediate(const struct opened *o)
{
	X509 *root = pem_of(o->ca), *inter, *between = NULL;
	struct str cert, more;
	struct msg_out q;
	struct msg_in m;
	size_t at = 0;

	msg_begin(&q, MSG_CA_GET, 31);
	ask(o->peer, &q, &m);
	assert_int_equal(m.type, MSG_CA);
	assert_int_equal(msg_get(&m, TAG_CERT, &cert), 0);
	inter = der_of(cert);
	if (msg_each(&m, TAG_CHAIN, &at, &more)) {
		between = der_of(more);
		assert_int_equal(verify(root, inter, NULL), 0);
		assert_int_equal(X509_get_pathlen(between), 1);
		assert_int_equal(X509_get_pathlen(root), 2);
		assert_false(msg_each(&m, TAG_CHAIN, &at, &more));
	}
	assert_int_equal(X509_get_pathlen(inter), 0);
	assert_int_equal(verify(root, inter, between), 1);
	msg_in_done(&m);
	X509_free(inter);
	X509_free(root);
	return between;
}

/* Days that a certificate is still good for. */
static int days(X509 *x)
{
	int d = -1, s;

	assert_int_equal(ASN1_TIME_diff(&d, &s, NULL, X509_get0_notAfter(x)), 1);
	return d;
}

static void one_root(void **state)
{
	struct opened a, b, again;
	X509 *root, *back, *ca_a, *ca_b;
	char cn[64];

	assert_int_equal(broker_try(true, BROKER_CA_ROOT), MSG_OK);
	root = told();
	assert_non_null(root);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(root), NID_commonName, cn,
					      sizeof(cn)) > 0);
	assert_int_equal(strncmp(cn, "egret root CA ", 14), 0);
	assert_true(days(root) > 3640);
	job_open(5, NULL, &a);
	job_open(6, NULL, &b);
	back = pem_of(a.ca);
	assert_int_equal(X509_cmp(root, back), 0);
	X509_free(back);
	ca_a = intermediate(&a);
	ca_b = intermediate(&b);
	assert_non_null(ca_a);
	assert_int_not_equal(X509_cmp(ca_a, ca_b), 0);
	assert_true(days(ca_a) < 8);
	X509_free(ca_b);
	/* Killed, and back: the root of the disk, the job's CA of egretd. */
	broker_kill();
	assert_int_equal(broker_try(true, BROKER_CA_ROOT), MSG_OK);
	back = told();
	assert_int_equal(X509_cmp(root, back), 0);
	X509_free(back);
	job_open(5, &a, &again);
	ca_b = intermediate(&again);
	assert_int_equal(X509_cmp(ca_a, ca_b), 0);
	X509_free(ca_b);
	opened_done(&again);
	broker_kill();
	/* The mode is changed: the job goes on as it was, new ones stand for themselves. */
	broker_up(true);
	assert_null(told());
	job_open(5, &a, &again);
	back = pem_of(again.ca);
	assert_int_equal(X509_cmp(root, back), 0);
	X509_free(back);
	X509_free(intermediate(&again));
	opened_done(&b);
	job_open(7, NULL, &b);
	assert_null(intermediate(&b));
	X509_free(root);
	X509_free(ca_a);
	opened_done(&a);
	opened_done(&b);
	opened_done(&again);
	broker_down();
}

static void damaged_or_gone(void **state)
{
	struct opened o;
	struct msg_out q;
	struct msg_in m;
	char byte = 0;
	int fd;

	assert_int_equal(broker_try(false, BROKER_CA_ROOT), MSG_OK);
	job_open(5, NULL, &o);
	broker_kill();
	fd = openat(store_fd, ".ca-root", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && pread(fd, &byte, 1, 100) == 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
	/* Never another root in silence. */
	assert_int_equal(broker_try(false, BROKER_CA_ROOT), MSG_FAILED);
	broker_kill();
	close(fd);
	assert_int_equal(unlinkat(store_fd, ".ca-root", 0), 0);
	assert_int_equal(broker_try(false, BROKER_CA_ROOT), MSG_OK);
	/* A job under the root that was: it would trust nothing of what it is shown. */
	msg_begin(&q, MSG_JOB_OPEN, 20);
	msg_put_u64(&q, TAG_JOB, 5);
	msg_put(&q, TAG_SEALED, o.sealed, o.sealed_n);
	ask(broker.sock, &q, &m);
	assert_int_equal(m.type, MSG_FAILED);
	msg_in_done(&m);
	opened_done(&o);
	broker_down();
	assert_int_equal(broker_try(false, 1u << 20), MSG_FAILED);
	broker_kill();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(one_root, test_over),
		cmocka_unit_test_teardown(damaged_or_gone, test_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("root", tests, set_up, tear_down);
}
