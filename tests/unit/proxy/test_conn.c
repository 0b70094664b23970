// SPDX-License-Identifier: Apache-2.0
/*
 * Connections through the proxy's rooms as they work together (conn_rig.h): opened and passed,
 * dialled ahead, refused, with an origin at fault, and at rest.
 */
#include "unit/proxy/conn_rig.h"

static void opened(void **state)
{
	int fd = job_connect(API, rig.tls);
	SSL *ssl = job_tls(fd, "api.shop.test");
	char answer[4096], text[128];

	assert_non_null(ssl);
	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: api.shop.test:%u\r\n\r\n", rig.tls);
	request(ssl, text, answer, sizeof(answer));
	assert_non_null(strstr(answer, "200 OK"));
	request(ssl, "POST /x HTTP/1.1\r\nHost: api.shop.test\r\nContent-Length: 0\r\n\r\n", answer,
		sizeof(answer));
	assert_non_null(strstr(answer, "403 Blocked by egret"));
	SSL_free(ssl);
	close(fd);
	/* A name that no rule speaks of is refused in words, under a certificate of that name. */
	fd = job_connect(EVIL, 443);
	ssl = job_tls(fd, "evil.test");
	assert_non_null(ssl);
	request(ssl, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", answer, sizeof(answer));
	assert_non_null(strstr(answer, "403 Blocked by egret"));
	SSL_free(ssl);
	close(fd);
}

/* Where a request was recorded a client's connection is dialled for before it asks: one connection
 * for each that is not there yet, and each is told as given up if nobody wants it. */
static void ahead(void **state)
{
	enum { N = 3 };
	SSL *ssl[N];
	int fd[N];
	int first = job_connect(API, rig.tls);

	told = given_up = 0;
	ssl[0] = job_tls(first, "api.shop.test");
	ask(ssl[0]);
	ends(ssl[0], first);
	assert_int_equal(told_now(), 1);
	for (int i = 0; i < N; i++)
		fd[i] = job_connect(API, rig.tls);
	/* Not a byte was said on them. One connection is at rest. */
	for (int i = 1; i < N; i++)
		expect(EVENT_DIAL, VERDICT_NONE, REASON_NONE);
	assert_int_equal(told_now(), N);
	for (int i = 0; i < N; i++)
		ssl[i] = job_tls(fd[i], "api.shop.test");
	for (int i = 0; i < N; i++)
		ends(ssl[i], fd[i]);
	/* Nobody asked. The one that was used before rests without a word. */
	for (int i = 1; i < N; i++)
		expect(EVENT_DIAL, VERDICT_NONE, REASON_CLIENT_LOST);
	assert_int_equal(told_now(), N);
}

/* What is dialled ahead serves the requests that it was for, while it is still on its way too. */
static void ahead_used(void **state)
{
	enum { N = 4 };
	SSL *ssl[N];
	int fd[N];
	char text[128];

	fd[0] = job_connect(API, rig.tls);
	ssl[0] = job_tls(fd[0], "api.shop.test");
	ask(ssl[0]);
	ends(ssl[0], fd[0]);
	told = given_up = 0;
	for (int i = 0; i < N; i++)
		fd[i] = job_connect(API, rig.tls);
	for (int i = 0; i < N; i++)
		ssl[i] = job_tls(fd[i], "api.shop.test");
	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: api.shop.test:%u\r\n\r\n", rig.tls);
	for (int i = 0; i < N; i++)
		assert_int_equal(SSL_write(ssl[i], text, (int)strlen(text)), (int)strlen(text));
	for (int i = 0; i < N; i++)
		ask(ssl[i]);
	for (int i = 0; i < N; i++)
		ends(ssl[i], fd[i]);
	assert_int_equal(told_now(), N - 1);
	assert_int_equal(given_up, 0);
}

static void upstream_faults(void **state)
{
	int fd = job_connect(BAD, rig.bad);
	SSL *ssl = job_tls(fd, "bad.shop.test");
	char answer[4096], text[128];

	assert_non_null(ssl);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: bad.shop.test:%u\r\n\r\n", rig.bad);
	request(ssl, text, answer, sizeof(answer));
	assert_non_null(strstr(answer, "502"));
	assert_non_null(strstr(answer, "expired"));
	SSL_free(ssl);
	close(fd);
	fd = job_connect(META, 443);
	ssl = job_tls(fd, "meta.shop.test");
	assert_non_null(ssl);
	request(ssl, "GET / HTTP/1.1\r\nHost: meta.shop.test\r\n\r\n", answer, sizeof(answer));
	assert_null(strstr(answer, "200 OK"));
	assert_non_null(strstr(answer, "link-local"));
	SSL_free(ssl);
	close(fd);
}

static void refused(void **state)
{
	int fd = job_connect(NOBODY, 443);
	SSL *ssl;

	expect_reset(fd); /* a synthetic address that was never given */
	expect(EVENT_CONNECT, VERDICT_DENY, REASON_NO_NAME);
	fd = job_connect(API, 22);
	assert_int_equal(send(fd, "SSH-2.0-x\r\n", 11, 0), 11);
	expect_reset(fd);
	expect(EVENT_CONNECT, VERDICT_DENY, REASON_PROTOCOL);
	fd = job_connect(API, 443);
	assert_int_equal(send(fd, "\x16\x03\x01\0\0", 5, 0), 5);
	expect_reset(fd);
	expect(EVENT_CONNECT, VERDICT_DENY, REASON_BAD_HELLO);
	fd = job_connect(API, 443); /* says nothing */
	expect_reset(fd);
	expect(EVENT_CONNECT, VERDICT_DENY, REASON_TIMEOUT);
	fd = job_connect(API, 443); /* fronting */
	ERR_clear_error();
	ssl = job_tls(fd, "evil.test");
	assert_null(ssl);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_UNRECOGNIZED_NAME);
	expect(EVENT_CONNECT, VERDICT_DENY, REASON_HOST_MISMATCH);
	close(fd);
}

static void rejected(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method()); /* trusts nothing */
	int fd = job_connect(API, rig.tls);
	SSL *ssl = SSL_new(ctx);

	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	SSL_set_fd(ssl, fd);
	SSL_set_tlsext_host_name(ssl, "api.shop.test");
	assert_int_not_equal(SSL_connect(ssl), 1);
	expect(EVENT_TLS_CLIENT_REJECTED, VERDICT_NONE, REASON_CLIENT_REJECTED);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
}

static void passed(void **state)
{
	int fd = job_connect(ECHO_NAME, rig.echo);
	struct msg_out m;
	char got[16];

	/* The server speaks first; nothing was peeked at. */
	assert_int_equal(recv(fd, got, 10, MSG_WAITALL), 10);
	expect(EVENT_CONNECT, VERDICT_ALLOW, REASON_RULE);
	assert_int_equal(send(fd, "abc", 3, 0), 3);
	assert_int_equal(recv(fd, got, 3, MSG_WAITALL), 3);
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(fd, got, 1, 0), 0);
	expect(EVENT_CONNECT_END, VERDICT_NONE, REASON_NONE);
	close(fd);
	/* A reload that does not pass it any more cuts it. */
	fd = job_connect(ECHO_NAME, rig.echo);
	assert_int_equal(recv(fd, got, 10, MSG_WAITALL), 10);
	msg_begin(&m, JUDGE, 1);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	expect_reset(fd);
	expect(EVENT_CONNECT_END, VERDICT_DENY, REASON_NO_RULE);
}

/* ---- at rest ---- */

static size_t heap_in_use(void)
{
	struct msg_out m;

	*rig.heap = 0;
	msg_begin(&m, COUNT, 1);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	for (int i = 0; i < 500 && !*rig.heap; i++)
		usleep(10000);
	return *rig.heap;
}

static SSL *rest_http1(void)
{
	SSL *ssl = job_tls(job_connect(API, rig.tls), "api.shop.test");
	char answer[4096], text[128];

	assert_non_null(ssl);
	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: api.shop.test:%u\r\n\r\n", rig.tls);
	request(ssl, text, answer, sizeof(answer));
	assert_non_null(strstr(answer, "200 OK"));
	return ssl;
}

/* Both sides' settings are said. */
static SSL *rest_http2(void)
{
	static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	SSL *ssl =
		job_tls_alpn(job_connect(API, rig.tls), "api.shop.test", (const uint8_t *)"\2h2");
	char frame[9];

	assert_non_null(ssl);
	assert_int_equal(SSL_write(ssl, hello, sizeof(hello) - 1), sizeof(hello) - 1);
	assert_int_equal(SSL_read(ssl, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(frame[3], 4);
	return ssl;
}

static void rest(const char *what, SSL *(*come)(void), size_t most)
{
	SSL *held[HELD + 1];
	size_t before, each;

	held[HELD] = come(); /* what the first one makes is not counted to connections */
	before = heap_in_use();
	for (unsigned i = 0; i < HELD; i++)
		held[i] = come();
	/* What was dialled ahead for them, and nobody wanted, goes when it rested. */
	for (int i = 0; (each = (heap_in_use() - before) / HELD) > most && i < 50; i++)
		usleep(50000);
	print_message("# %s: %zu bytes a connection\n", what, each);
	for (unsigned i = 0; i <= HELD; i++) {
		close(SSL_get_fd(held[i]));
		SSL_free(held[i]);
	}
#ifndef EGRET_ASAN /* its heap is another one, and counts nothing */
	assert_in_range(each, 1, most);
#endif
}

/* Bytes in use, not a process's pages: the figure is the same in each run, but for one connection
 * to the origin that may be there or not, a 64th of it. */
static void resting(void **state)
{
	rest("HTTP/1.1", rest_http1, 16 * 1024);
	/* A buffer for a whole frame, 16 KiB, and its tables are nghttp2's as long as it stands. */
	rest("HTTP/2", rest_http2, 44 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ahead), /* while nothing is in the pool */
		cmocka_unit_test(ahead_used),	   cmocka_unit_test(opened),
		cmocka_unit_test(upstream_faults), cmocka_unit_test(refused),
		cmocka_unit_test(rejected),	   cmocka_unit_test(resting),
		cmocka_unit_test(passed)
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
