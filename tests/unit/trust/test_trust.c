/* SPDX-License-Identifier: Apache-2.0 */
/* The trust library: environments and combined bundles. */
#include "trust/trust.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static const char *get(char **env, const char *name)
{
	size_t n = strlen(name);
	const char *found = NULL;

	for (; *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=') {
			assert_null(found); /* once */
			found = *env + n + 1;
		}
	return found;
}

static const char *extend(void *owner, const char *name, const char *file)
{
	unsigned *calls = owner;

	++*calls;
	assert_string_equal(file, "/opt/own.pem");
	return !strcmp(name, "PIP_CERT") ? NULL : "/run/egret/own.pem";
}

static void environment_is_made(void **state)
{
	char *env[] = { "PATH=/bin",
			"HTTPS_proxy=http://a:1",
			"HTTPS_PROXY_X=kept",
			"SSL_CERT_FILE=/opt/own.pem",
			"PIP_CERT=/opt/own.pem",
			"CURL_CA_BUNDLE=/etc/ssl/cert.pem",
			"NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
			"GIT_SSL_CAINFO=",
			"npm_config_cafile=/x",
			"JAVA_TOOL_OPTIONS=-Xmx1g",
			"TOKEN=old",
			"DENO_TLS_CA_STORE=mozilla",
			"noequals",
			NULL };
	char *more[] = { "TOKEN=placeholder", "EGRET_JOB=j-1", NULL };
	struct arena a;
	unsigned calls = 0;
	struct trust_how how = { false, extend, &calls };
	static const struct trust_how nothing;
	char **got, want[512];

	arena_init(&a, 1 << 20);
	got = trust_environment(&a, env, more, &how);
	assert_string_equal(got[0], "PATH=/bin");
	assert_string_equal(got[1], "HTTPS_PROXY_X=kept");
	assert_string_equal(got[2], "noequals");
	assert_null(get(got, "HTTPS_proxy"));
	assert_null(get(got, "npm_config_cafile"));
	assert_string_equal(get(got, "SSL_CERT_FILE"), "/run/egret/own.pem");
	assert_string_equal(get(got, "PIP_CERT"), TRUST_BUNDLE);
	assert_string_equal(get(got, "CURL_CA_BUNDLE"), TRUST_BUNDLE);
	assert_string_equal(get(got, "GIT_SSL_CAINFO"), TRUST_BUNDLE);
	assert_string_equal(get(got, "NODE_EXTRA_CA_CERTS"), TRUST_BUNDLE);
	assert_string_equal(get(got, "DENO_CERT"), TRUST_CA);
	assert_string_equal(get(got, "DENO_TLS_CA_STORE"), "system,mozilla");
	assert_string_equal(get(got, "TOKEN"), "placeholder");
	assert_string_equal(get(got, "EGRET_JOB"), "j-1");
	snprintf(want, sizeof(want), "-Xmx1g %s", trust_java_options);
	assert_string_equal(get(got, "JAVA_TOOL_OPTIONS"), want);
	assert_int_equal(calls, 2);
	assert_null(get(got, "GIT_SSL_CAPATH"));

	/* Made a second time of its own result: nothing is said twice. */
	got = trust_environment(&a, got, more, &nothing);
	assert_string_equal(get(got, "JAVA_TOOL_OPTIONS"), want);
	assert_string_equal(get(got, "DENO_CERT"), TRUST_CA);
	assert_int_equal(calls, 2);

	/* Where the job's CA is all that clients meet: nothing else is named but what was set. */
	how.own_ca = true;
	got = trust_environment(&a, env, more, &how);
	assert_string_equal(get(got, "SSL_CERT_FILE"), "/run/egret/own.pem");
	assert_string_equal(get(got, "PIP_CERT"), TRUST_CA);
	assert_string_equal(get(got, "CURL_CA_BUNDLE"), TRUST_CA);
	assert_string_equal(get(got, "GIT_SSL_CAINFO"), TRUST_CA);
	assert_string_equal(get(got, "NODE_EXTRA_CA_CERTS"), TRUST_CA);
	assert_string_equal(get(got, "JAVA_TOOL_OPTIONS"), want);
	assert_string_equal(get(got, "GIT_SSL_CAPATH"), TRUST_CA);
	env[0] = "GIT_SSL_CAPATH=/opt/own";
	got = trust_environment(&a, env, more, &how);
	assert_string_equal(get(got, "GIT_SSL_CAPATH"), "/opt/own");
	/* Of a job that hands it down to a container, when that is not so any more. */
	how = nothing;
	got = trust_environment(&a, got, more, &how);
	assert_string_equal(get(got, "CURL_CA_BUNDLE"), TRUST_BUNDLE);
	arena_done(&a);
}

static void empty_environment(void **state)
{
	static const struct trust_how nothing;
	char *none[] = { NULL };
	struct arena a;
	char **got;

	arena_init(&a, 1 << 20);
	got = trust_environment(&a, none, NULL, &nothing);
	assert_string_equal(get(got, "SSL_CERT_FILE"), TRUST_BUNDLE);
	assert_string_equal(get(got, "JAVA_TOOL_OPTIONS"), trust_java_options);
	arena_done(&a);
}

/* ---- bundles ---- */

/* The smallest thing of a certificate's outer shape, told apart by its last byte. */
#define CERT(last)                      \
	"-----BEGIN CERTIFICATE-----\n" \
	"MAcwAAQDYWI" last "\n"         \
	"-----END CERTIFICATE-----\n"
#define A CERT("j") /* 30 07 30 00 04 03 'a' 'b' 'c' */
#define B CERT("k")
#define C CERT("l")

static int file(const char *text, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	return fd;
}

static int combine(const char *image, const char *roots, const char *ca, char **ret, unsigned *n)
{
	int fi = image ? file(image, strlen(image)) : -1,
	    fr = roots ? file(roots, strlen(roots)) : -1, fc = file(ca, strlen(ca)),
	    to = memfd_create("out", MFD_CLOEXEC), r;
	off_t size;

	r = trust_combine(fi, fr, fc, to, NOBODY, n);
	size = lseek(to, 0, SEEK_END);
	*ret = calloc(1, (size_t)size + 1);
	assert_int_equal(pread(to, *ret, (size_t)size, 0), size);
	if (fi >= 0)
		close(fi);
	if (fr >= 0)
		close(fr);
	close(fc);
	close(to);
	return r;
}

static void is_combined(const char *image, const char *roots, const char *ca, const char *want,
			unsigned own)
{
	unsigned n = 77;
	char *got;

	assert_int_equal(combine(image, roots, ca, &got, &n), 0);
	assert_string_equal(got, want);
	assert_int_equal(n, own);
	free(got);
}

static void fails(const char *image, const char *ca, int want)
{
	unsigned n = 77;
	char *got;

	assert_int_equal(combine(image, B, ca, &got, &n), want);
	assert_int_equal(n, 77);
	free(got);
}

static void bundles_are_combined(void **state)
{
	is_combined(A B, NULL, C, A B C, 2);
	is_combined(A, B, C, A C, 1);
	is_combined(NULL, B, C, B C, 0);
	is_combined("", B, C, B C, 0);
	is_combined("no certificate here", B, C, B C, 0);
	is_combined(NULL, NULL, C, C, 0);
	/* What stands between is not carried over; line ends are made anew. */
	is_combined("# x\n-----BEGIN CERTIFICATE-----\r\nMAcw\r\nAAQDYWIj\r\n-----END "
		    "CERTIFICATE-----",
		    NULL, "junk " C "junk", A C, 1);
	is_combined("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" A, NULL, C,
		    A C, 1);
}

static void hostile_bundles(void **state)
{
	fails("-----BEGIN CERTIFICATE-----\nMAcwAAQDYWJj\n", C, -EBADMSG);
	fails("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", C, -EBADMSG);
	fails("-----BEGIN CERTIFICATE-----\nMAcwAAQDYWJ\n-----END CERTIFICATE-----\n", C, -EBADMSG);
	fails("-----BEGIN CERTIFICATE-----\nMAcw!AQDYWJj\n-----END CERTIFICATE-----\n", C,
	      -EBADMSG);
	fails("-----BEGIN CERTIFICATE-----\nMAgwAAQDYWJj\n-----END CERTIFICATE-----\n", C,
	      -EBADMSG);
	fails("-----BEGIN CERTIFICATE-----\nMIQwAAQDYWJj\n-----END CERTIFICATE-----\n", C,
	      -EBADMSG);
	fails("-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
	      C, -EBADMSG);
	fails(A, "nothing", -EBADMSG);
}

static void bounds(void **state)
{
	size_t size = TRUST_BUNDLE_MAX + 1;
	char *big = malloc(size), *many;
	int fd, ca = file(C, strlen(C)), to = memfd_create("out", MFD_CLOEXEC);
	unsigned n = 77;

	memset(big, 'x', size);
	fd = file(big, size);
	assert_int_equal(trust_combine(fd, -1, ca, to, NOBODY, &n), -E2BIG);
	close(fd);
	free(big);
	many = malloc(4097 * strlen(A) + 1);
	for (size_t i = 0; i < 4097; i++)
		memcpy(many + i * strlen(A), A, strlen(A) + 1);
	fd = file(many, 4096 * strlen(A));
	assert_int_equal(trust_combine(fd, -1, ca, to, NOBODY, &n), 0);
	assert_int_equal(n, 4096);
	close(fd);
	fd = file(many, 4097 * strlen(A));
	assert_int_equal(trust_combine(fd, -1, ca, to, NOBODY, &n), -E2BIG);
	close(fd);
	close(to);
	close(ca);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environment_is_made),
		cmocka_unit_test(empty_environment),
		cmocka_unit_test(bundles_are_combined),
		cmocka_unit_test(hostile_bundles),
		cmocka_unit_test(bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
