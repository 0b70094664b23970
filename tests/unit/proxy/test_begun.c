// SPDX-License-Identifier: Apache-2.0
/*
 * A first connection to a host that a rule names: TCP is begun before the client has said a word,
 * and taken by the first request, whatever became of it meanwhile (conn_rig.h).
 */
#include "unit/proxy/conn_rig.h"

/* Nobody asks: it ends by itself, and is told as given up. */
static void unused(void **state)
{
	int fd = job_connect(API, rig.tls);

	told = given_up = 0;
	expect(EVENT_DIAL, VERDICT_NONE, REASON_NONE);
	expect(EVENT_DIAL, VERDICT_NONE, REASON_CLIENT_LOST);
	assert_int_equal(told_now(), 1);
	assert_int_equal(given_up, 1);
	close(fd);
}

/* The name behind a wildcard is the job's own word: nothing of it leaves before a request that is
 * allowed. After one that came to nothing it is as before. */
static void wildcard(void **state)
{
	SSL *ssl;
	int fd;

	told = given_up = 0;
	for (int i = 0; i < 2; i++) {
		fd = job_connect(WIDE, rig.tls);
		ssl = job_tls(fd, "a.wide.test");
		assert_int_equal(told_now(), i);
		ask_at(ssl, "a.wide.test", rig.tls, "502");
		assert_int_equal(told_now(), i + 1);
		ends(ssl, fd);
	}
	assert_int_equal(given_up, 0);
}

/* Another port than the rule's. */
static void refused(void **state)
{
	int fd;

	told = 0;
	fd = job_connect(API, 22);
	assert_int_equal(send(fd, "SSH-2.0-x\r\n", 11, 0), 11);
	expect_reset(fd);
	expect(EVENT_CONNECT, VERDICT_DENY, REASON_PROTOCOL);
	assert_int_equal(told_now(), 0);
}

/* It ended while it rested: another is made for the request. The next one ends as soon as TLS is
 * begun on it, as one does whose end is on its way when it is taken: another is made as well. */
static void curt(void **state)
{
	SSL *ssl;
	int fd;

	told = given_up = 0;
	fd = job_connect(CURT, rig.curt);
	expect(EVENT_DIAL, VERDICT_NONE, REASON_NONE);
	expect(EVENT_DIAL, VERDICT_NONE, REASON_CLIENT_LOST);
	ends(job_tls(fd, "curt.shop.test"), fd);
	told = given_up = 0;
	fd = job_connect(CURT, rig.curt);
	ssl = job_tls(fd, "curt.shop.test");
	ask_at(ssl, "curt.shop.test", rig.curt, "200 OK");
	ends(ssl, fd);
	assert_int_equal(told_now(), 2);
	assert_int_equal(given_up, 0);
}

/* Three clients connect at once: a connection each, and each is used. */
static void taken(void **state)
{
	enum { N = 3 };
	SSL *ssl[N];
	int fd[N];
	char text[128];

	told = given_up = 0;
	for (int i = 0; i < N; i++)
		fd[i] = job_connect(API, rig.tls);
	/* Not a byte was said on them. */
	for (int i = 0; i < N; i++)
		expect(EVENT_DIAL, VERDICT_NONE, REASON_NONE);
	for (int i = 0; i < N; i++)
		ssl[i] = job_tls(fd[i], "api.shop.test");
	assert_int_equal(told_now(), N);
	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: api.shop.test:%u\r\n\r\n", rig.tls);
	for (int i = 0; i < N; i++)
		assert_int_equal(SSL_write(ssl[i], text, (int)strlen(text)), (int)strlen(text));
	for (int i = 0; i < N; i++)
		ask(ssl[i]);
	for (int i = 0; i < N; i++)
		ends(ssl[i], fd[i]);
	assert_int_equal(told_now(), N);
	assert_int_equal(given_up, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(unused), cmocka_unit_test(wildcard),
					    cmocka_unit_test(refused), cmocka_unit_test(curt),
					    cmocka_unit_test(taken) };

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("begun", tests, setup, teardown);
}
