/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job is given to trust: the root and the intermediates under it (strictly verified), the
 * same root after the broker was killed, the PEM bundle, the truststore as Java's keytool reads it,
 * and how long all of it takes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/certs_rig.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* The intermediate that a proxy gets, verified strictly under the job's root. */
static void check_intermediate(int peer, int ca_fd)
{
	X509 *root = pem_of(ca_fd), *inter;
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	const unsigned char *p;
	struct str cert, key;
	EVP_PKEY *pkey;
	struct msg_out q;
	struct msg_in m;

	msg_begin(&q, MSG_CA_GET, 31);
	ask(peer, &q, &m);
	assert_int_equal(m.type, MSG_CA);
	assert_int_equal(msg_get(&m, TAG_CERT, &cert), 0);
	assert_int_equal(msg_get(&m, TAG_KEY, &key), 0);
	p = (const unsigned char *)cert.p;
	inter = d2i_X509(NULL, &p, (long)cert.n);
	assert_non_null(inter);
	p = (const unsigned char *)key.p;
	pkey = d2i_AutoPrivateKey(NULL, &p, (long)key.n);
	assert_non_null(pkey);
	assert_int_equal(X509_check_private_key(inter, pkey), 1);
	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(ctx, store, inter, NULL);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	assert_int_equal(X509_verify_cert(ctx), 1);
	assert_int_equal(X509_check_ca(inter), 1);
	assert_int_equal(X509_get_pathlen(inter), 0);
	assert_int_equal(X509_get_pathlen(root), -1);
	for (int i = 0; i < 2; i++) {
		X509 *x = i ? inter : root;
		int critical = 0;

		ASN1_BIT_STRING_free(X509_get_ext_d2i(x, NID_key_usage, &critical, NULL));
		assert_int_equal(critical, 1);
		assert_int_equal(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
		BASIC_CONSTRAINTS_free(X509_get_ext_d2i(x, NID_basic_constraints, &critical, NULL));
		assert_int_equal(critical, 1);
		assert_non_null(X509_get0_subject_key_id(x));
		assert_non_null(X509_get0_authority_key_id(x));
		assert_true(X509_cmp_current_time(X509_get0_notBefore(x)) < 0);
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	EVP_PKEY_free(pkey);
	X509_free(inter);
	X509_free(root);
	msg_in_done(&m);
}

static void test_job(void **state)
{
	struct opened first, again;
	struct msg_in m;
	char cn[128];
	X509 *a, *b;
	struct stat st, roots;

	broker_up(true);
	job_open(5, NULL, &first);
	check_intermediate(first.peer, first.ca);
	a = pem_of(first.ca);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(a), NID_commonName, cn,
					      sizeof(cn)) > 0);
	assert_string_equal(cn, "egret job CA j-7f3a2c91");
	/* Everything that was trusted before, and the job's root. */
	assert_int_equal(stat(ROOTS, &roots), 0);
	assert_int_equal(fstat(first.bundle, &st), 0);
	assert_true(st.st_size > roots.st_size);
	assert_true(fcntl(first.bundle, F_GET_SEALS) & F_SEAL_WRITE);
	/* A broker that was killed takes the root back from egretd. */
	broker_kill();
	broker_up(true);
	job_open(5, &first, &again);
	b = pem_of(again.ca);
	assert_int_equal(X509_cmp(a, b), 0);
	check_intermediate(again.peer, first.ca);
	X509_free(b);
	/* A proxy that was started anew: the job is opened again, its root stays, the old socket is
	 * closed. */
	opened_done(&first);
	job_open(5, NULL, &first);
	b = pem_of(first.ca);
	assert_int_equal(X509_cmp(a, b), 0);
	assert_false(recv_ms(again.peer, &m, 1000));
	check_intermediate(first.peer, again.ca);
	X509_free(a);
	X509_free(b);
	opened_done(&first);
	opened_done(&again);
	broker_down();
}

/* Another job's sealed root, or one that was touched, is refused. */
static void test_sealed_is_bound(void **state)
{
	struct opened o;
	struct msg_out q;
	struct msg_in m;

	broker_up(false);
	job_open(5, NULL, &o);
	for (int i = 0; i < 2; i++) {
		msg_begin(&q, MSG_JOB_OPEN, 20);
		msg_put_u64(&q, TAG_JOB, i ? 5 : 6);
		if (i)
			o.sealed[o.sealed_n / 2] ^= 1;
		msg_put(&q, TAG_SEALED, o.sealed, o.sealed_n);
		ask(broker.sock, &q, &m);
		assert_int_equal(m.type, MSG_FAILED);
		msg_in_done(&m);
	}
	opened_done(&o);
	broker_down();
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_job_open_is_quick(void **state)
{
	uint64_t us[101];
	struct opened o;

	broker_up(true);
	for (unsigned i = 0; i < ARRAY_SIZE(us); i++) {
		uint64_t from = clock_now_us();

		job_open(1000 + i, NULL, &o);
		us[i] = clock_now_us() - from;
		opened_done(&o);
	}
	qsort(us, ARRAY_SIZE(us), sizeof(us[0]), by_value);
	print_message("# MSG_JOB_OPEN: median %llu us, worst %llu us\n", (unsigned long long)us[50],
		      (unsigned long long)us[100]);
#ifndef EGRET_ASAN
	assert_true(us[50] < 5000);
#endif
	broker_down();
}

/* Java reads the truststore: each entry is a trusted certificate, and the password is right. */
static void test_keytool(void **state)
{
	char line[1024], path[64] = "/tmp/egret-test-p12-XXXXXX", bytes[65536];
	unsigned trusted = 0, job = 0;
	struct opened o;
	int fd, out[2], status;
	ssize_t n;
	pid_t pid;
	FILE *f;

	if (access("/usr/bin/keytool", X_OK) < 0)
		skip();
	broker_up(true);
	job_open(5, NULL, &o);
	fd = mkstemp(path);
	lseek(o.p12, 0, SEEK_SET);
	while ((n = read(o.p12, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(fd, bytes, (size_t)n), n);
	close(fd);
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(out[0]);
		execl("/usr/bin/keytool", "keytool", "-list", "-storetype", "PKCS12", "-keystore",
		      path, "-storepass", "changeit", NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	while (fgets(line, sizeof(line), f)) {
		trusted += strstr(line, "trustedCertEntry") != NULL;
		job += strncmp(line, "egret-job,", 10) == 0;
	}
	fclose(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	assert_int_equal(status, 0);
	assert_int_equal(job, 1);
	assert_true(trusted > 100);
	opened_done(&o);
	broker_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_job, test_over),
		cmocka_unit_test_teardown(test_sealed_is_bound, test_over),
		cmocka_unit_test_teardown(test_job_open_is_quick, test_over),
		cmocka_unit_test_teardown(test_keytool, test_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("trust", tests, set_up, tear_down);
}
