// SPDX-License-Identifier: Apache-2.0
/*
 * Connections through the proxy's rooms as they work together: a child runs the loop with real
 * names, leaves, upstreams and sessions and is handed accepted sockets with a record; this process
 * is the job (blocking clients) and reads the ring; another child is a TLS and echo origin on
 * loopback.
 */
#include "base/msg.h"
#include "base/proto.h"
#include "event/ring.h"
#include "event/rows.h"
#include "policy/compile.h"
#include "proxy/conn.h"
#include "proxy/leaf.h"
#include "proxy/names.h"
#include "proxy/session.h"
#include "proxy/upstream.h"
#include "unit/proxy/certs.h"
#include "unit/proxy/pairs.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#define JUDGE 200 /* to the child: judge open tunnels by the second policy */
#define COUNT 201 /* to the child: how many bytes of the heap are in use? */
#define HELD 64	  /* connections at rest */

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static struct {
	pid_t proxy, origin;
	int sock;
	_Atomic size_t *heap; /* the child's answer to COUNT, in shared memory */
	struct ring_fds ring;
	struct ring_reader *reader;
	uint64_t seq;
	struct made_cert root, middle, origin_root, origin_leaf, bad_leaf;
	uint16_t tls, bad, echo;
	int tls_fd, bad_fd, echo_fd;
	int roots;
	struct compiled policy, second;
} rig;

/* ---- the origin: one connection after the other ---- */

static void serve_tls(SSL_CTX *ctx, int listener)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin";
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char buf[4096];
	SSL *ssl;

	if (fd < 0 || fork())
		goto out;
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1)
		while (SSL_read(ssl, buf, sizeof(buf)) > 0)
			SSL_write(ssl, answer, sizeof(answer) - 1);
	_exit(0);
out:
	if (fd >= 0)
		close(fd);
}

static void serve_echo(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char buf[4096];
	ssize_t n;

	if (fd >= 0 && !fork()) {
		(void)!write(fd, "220 hello\n", 10); /* a server that speaks first */
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			(void)!write(fd, buf, (size_t)n);
		_exit(0);
	}
	if (fd >= 0)
		close(fd);
}

static SSL_CTX *origin_context(struct made_cert *m)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_use_certificate(ctx, m->cert);
	SSL_CTX_use_PrivateKey(ctx, m->key);
	return ctx;
}

static void run_origin(void)
{
	SSL_CTX *good = origin_context(&rig.origin_leaf), *bad = origin_context(&rig.bad_leaf);
	struct epoll_event e = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), fds[] = { rig.tls_fd, rig.bad_fd, rig.echo_fd };

	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		e.data.fd = fds[i];
		epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
	}
	while (epoll_wait(ep, &e, 1, -1) == 1) {
		if (e.data.fd == rig.echo_fd)
			serve_echo(e.data.fd);
		else
			serve_tls(e.data.fd == rig.tls_fd ? good : bad, e.data.fd);
	}
	_exit(0);
}

/* ---- the proxy's side ---- */

static struct proxy px;

static void on_hand_over(struct watch *w, uint32_t events)
{
	struct egret_record record;
	struct msg_in m;
	struct str s;
	int fd, r;

	r = msg_recv(w->fd, &m);
	if (r == -EAGAIN)
		return;
	if (r)
		_exit(0);
	if (m.type == JUDGE) {
		if (policy_open(rig.second.policies[0], &px.policies[0]))
			_exit(3);
		conns_judge(&px);
	} else if (m.type == COUNT) {
		*rig.heap = mallinfo2().uordblks + 1; /* 0: not said yet */
	} else {
		if (msg_get(&m, TAG_RECORD, &s) || msg_take_fd(&m, TAG_FD_TCP, &fd))
			_exit(3);
		memcpy(&record, s.p, sizeof(record));
		conn_start(&px, 1, fd, &record);
	}
	msg_in_done(&m);
}

static void run_proxy(int sock)
{
	struct str allow = STR("127.0.0.1"),
		   hosts[] = { STR("api.shop.test=127.0.0.1"), STR("bad.shop.test=127.0.0.1"),
			       STR("echo.shop.test=127.0.0.1"),
			       STR("meta.shop.test=169.254.169.254") };
	struct str synthetic[] = { STR("198.18.0.0/15"), STR("fd5e:9e7::/64") };
	struct upstream_setup s = { .root_fds = &rig.roots,
				    .nroots = 1,
				    .hosts = hosts,
				    .nhosts = 4,
				    .allow_private = &allow,
				    .nallow_private = 1,
				    .synthetic = synthetic,
				    .nsynthetic = 2 };
	unsigned char *cert = NULL, *key = NULL;
	struct address_block v4, v6;
	struct secret secret;
	struct watch w = { 0 };
	int n, k;

	signal(SIGPIPE, SIG_IGN);
	limits_init(&px.limits);
	px.limits.peek_ms = 1000;
	px.limits.upstream_idle_ms = 300; /* the end waits for idle connections */
	px.loop = loop_new();
	n = i2d_X509(rig.middle.cert, &cert);
	k = i2d_PrivateKey(rig.middle.key, &key);
	secret = (struct secret){ key, (size_t)k };
	if (!px.loop || address_block_parse(synthetic[0], &v4) ||
	    address_block_parse(synthetic[1], &v6) || names_new(&v4, &v6, 1000, -1, &px.names) ||
	    leaves_new((struct str){ (char *)cert, (size_t)n }, &secret, 16, &px.leaves) ||
	    policy_open(rig.policy.policies[0], &px.policies[0]) ||
	    ring_writer_open(rig.ring.data, rig.ring.ack_ro, rig.ring.wake, rig.ring.space,
			     &px.ring))
		_exit(2);
	px.npolicies = 1;
	px.broker = -1;
	if (records_start(&px) || upstreams_new(&px, &s, &px.upstreams) ||
	    watch_add(px.loop, &w, sock, EPOLLIN, on_hand_over, NULL))
		_exit(2);
	for (int i = 0; i < 6; i++) {
		static const char *names[] = {
			"api.shop.test", "evil.test",	   "echo.shop.test",
			"bad.shop.test", "meta.shop.test", "pass.shop.test"
		};
		uint32_t slot;
		bool fresh;

		if (names_add(px.names, str_of(names[i]), &slot, &fresh) || slot != (uint32_t)i)
			_exit(2);
	}
	session_on_connect(conn_inside);
	(void)!loop_run(px.loop);
	_exit(0);
}

enum { API, EVIL, ECHO_NAME, BAD, META, PASS, NOBODY };

/* ---- the job's side ---- */

/* A connection to the n-th synthetic address, as its client sees it. */
static int job_connect(unsigned slot, uint16_t port)
{
	struct egret_record record = { .job = 42,
				       .port = port,
				       .family = AF_INET,
				       .proto = IPPROTO_TCP,
				       .pid = 812,
				       .comm = "gh" };
	struct timeval patience = { .tv_sec = 5 };
	struct msg_out m;
	int client, server;

	pair_tcp(&client, &server);
	fcntl(client, F_SETFL, 0);
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	memcpy(record.addr, mapped, 12);
	memcpy(record.addr + 12, (uint8_t[]){ 198, 18, 1, (uint8_t)(slot + 1) }, 4);
	msg_begin(&m, 100, 1);
	msg_put(&m, TAG_RECORD, &record, sizeof(record));
	msg_put_fd(&m, TAG_FD_TCP, server);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	close(server);
	return client;
}

/* Of dials, what was read of the ring: told, and told as given up. */
static unsigned told, told_bad, given_up;

static bool next_event(struct event *e)
{
	struct event_item item;
	size_t at = 0;

	if (ring_read(rig.reader, e) != 1)
		return false;
	ring_acked(rig.reader, ++rig.seq);
	if (event_kind_of(e) != EVENT_DIAL)
		return true;
	if (event_reason_of(e) != REASON_NONE)
		given_up++;
	else
		told++;
	while (event_walk(e, &at, &item))
		if (item.field == FIELD_DEST_PORT && load_le64(item.p) == rig.bad)
			told_bad++;
	return true;
}

/* Waits for an event of this kind; the others on the way are dropped. */
static void expect(enum event_kind kind, enum event_verdict verdict, enum reason reason)
{
	struct event e;

	for (int i = 0; i < 500; i++) {
		while (next_event(&e)) {
			if (e.bytes[0] == kind && e.bytes[2] == verdict &&
			    (e.bytes[4] | e.bytes[5] << 8) == (int)reason)
				return;
		}
		usleep(10000);
	}
	fail_msg("no %s %s %s", event_kind_name(kind), event_verdict_name(verdict),
		 reason_word(reason));
}

static void expect_reset(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

/* A TLS client that trusts the job's CA; NULL when the handshake failed. alpn: one protocol behind
 * its length, or NULL. */
static SSL *job_tls_alpn(int fd, const char *name, const uint8_t *alpn)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), rig.root.cert);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, fd);
	SSL_set_tlsext_host_name(ssl, name);
	SSL_set1_host(ssl, name);
	if (alpn)
		SSL_set_alpn_protos(ssl, alpn, alpn[0] + 1u);
	if (SSL_connect(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

static SSL *job_tls(int fd, const char *name)
{
	return job_tls_alpn(fd, name, NULL);
}

/* One request; the answer as text. Refusals wait for their number, so the ring is read meanwhile.
 */
static void request(SSL *ssl, const char *text, char *to, size_t size)
{
	struct event e;
	size_t n = 0;
	int r;

	assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
	for (int i = 0; i < 300; i++) {
		while (next_event(&e))
			;
		fcntl(SSL_get_fd(ssl), F_SETFL, O_NONBLOCK);
		r = SSL_read(ssl, to + n, (int)(size - 1 - n));
		if (r > 0)
			n += (size_t)r;
		to[n] = '\0';
		if (strstr(to, "\r\n\r\n") || SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN)
			break;
		ERR_clear_error();
		usleep(10000);
	}
	fcntl(SSL_get_fd(ssl), F_SETFL, 0);
}

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

static void ask(SSL *ssl)
{
	char answer[4096], text[128];

	assert_non_null(ssl);
	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: api.shop.test:%u\r\n\r\n", rig.tls);
	request(ssl, text, answer, sizeof(answer));
	assert_non_null(strstr(answer, "200 OK"));
}

static unsigned told_now(void)
{
	struct event e;

	while (next_event(&e))
		;
	return told;
}

static void ends(SSL *ssl, int fd)
{
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
	assert_int_equal(told_now(), 0); /* no request yet: nobody was contacted */
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
	int fd = job_connect(BAD, rig.bad), other;
	SSL *ssl = job_tls(fd, "bad.shop.test");
	char answer[4096], text[128];

	assert_non_null(ssl);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: bad.shop.test:%u\r\n\r\n", rig.bad);
	request(ssl, text, answer, sizeof(answer));
	assert_non_null(strstr(answer, "502"));
	assert_non_null(strstr(answer, "expired"));
	SSL_free(ssl);
	close(fd);
	/* No request was recorded as sent: nothing is dialled ahead. */
	told_bad = 0;
	fd = job_connect(BAD, rig.bad);
	other = job_connect(API, rig.tls);
	ssl = job_tls(other, "api.shop.test");
	ask(ssl);
	ends(ssl, other);
	assert_int_equal(told_bad, 0);
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

static void compile(const char *text, struct compiled *ret)
{
	struct source s = { SOURCE_POLICY, STR("t.json"), str_of(text) };

	if (policy_compile(&s, 1, 0, ret))
		fail_msg("the policy does not compile");
}

static int setup(void **state)
{
	static const struct cert_form root = CA_FORM("root"), middle = CA_FORM("job"),
				      other = CA_FORM("origin root"),
				      leaf = LEAF_FORM("x", "DNS:api.shop.test");
	struct cert_form bad = LEAF_FORM("x", "DNS:bad.shop.test");
	char text[1024];
	FILE *f;
	int pair[2];

	bad.from_days = -9;
	bad.to_days = -3;
	rig.root = cert_make(&root, NULL);
	rig.middle = cert_make(&middle, &rig.root);
	rig.origin_root = cert_make(&other, NULL);
	rig.origin_leaf = cert_make(&leaf, &rig.origin_root);
	rig.bad_leaf = cert_make(&bad, &rig.origin_root);
	rig.heap = mmap(NULL, sizeof(*rig.heap), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (rig.heap == MAP_FAILED)
		return -1;
	rig.tls_fd = listen_tcp(&rig.tls);
	rig.bad_fd = listen_tcp(&rig.bad);
	rig.echo_fd = listen_tcp(&rig.echo);
	rig.roots = memfd_create("roots", MFD_CLOEXEC);
	f = fdopen(dup(rig.roots), "w");
	if (!f || !PEM_write_X509(f, rig.root.cert) || !PEM_write_X509(f, rig.origin_root.cert) ||
	    fclose(f))
		return -1;
	snprintf(text, sizeof(text),
		 "{ \"name\": \"t\", \"rules\": [ { \"id\": \"read\", \"allow\": \"READ "
		 "https://api.shop.test:%u\" },"
		 "{ \"id\": \"bad\", \"allow\": \"READ https://bad.shop.test:%u\" },"
		 "{ \"id\": \"meta\", \"allow\": \"READ https://meta.shop.test\" },"
		 "{ \"id\": \"echo\", \"allow\": \"tcp://echo.shop.test:%u\" } ] }",
		 rig.tls, rig.bad, rig.echo);
	compile(text, &rig.policy);
	compile("{ \"name\": \"t\", \"rules\": [] }", &rig.second);
	if (ring_create(1u << 20, &rig.ring) || msg_pair(pair))
		return -1;
	rig.sock = pair[0];
	rig.origin = fork();
	if (!rig.origin)
		run_origin();
	rig.proxy = fork();
	if (!rig.proxy) {
		close(pair[0]);
		run_proxy(pair[1]);
	}
	close(pair[1]);
	return ring_reader_open(dup(rig.ring.data), dup(rig.ring.ack), dup(rig.ring.wake),
				dup(rig.ring.space), &rig.reader);
}

static int teardown(void **state)
{
	int status;

	close(rig.sock);
	kill(rig.origin, SIGKILL);
	waitpid(rig.origin, NULL, 0);
	waitpid(rig.proxy, &status, 0);
	cert_free(&rig.root);
	cert_free(&rig.middle);
	cert_free(&rig.origin_root);
	cert_free(&rig.origin_leaf);
	cert_free(&rig.bad_leaf);
	compiled_done(&rig.policy);
	compiled_done(&rig.second);
	ring_reader_free(rig.reader);
	ring_fds_done(&rig.ring);
	return status ? -1 : 0;
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
