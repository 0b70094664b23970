/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy's rooms as they work together, for test_conn.c: a child runs the loop with real names,
 * leaves, upstreams and sessions and is handed accepted sockets with a record; this process is the
 * job (blocking clients) and reads the ring; another child is a TLS and echo origin on loopback.
 */
#ifndef CONN_RIG_H
#define CONN_RIG_H

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
	uint16_t tls, bad, echo, curt;
	int tls_fd, bad_fd, echo_fd, curt_fd;
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

/* The first connection ends before a word, the second at the first one. */
static void serve_curt(SSL_CTX *ctx, int listener)
{
	static unsigned n;
	char c;
	int fd;

	if (n++ > 1) {
		serve_tls(ctx, listener);
		return;
	}
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || fork()) {
		close(fd);
		return;
	}
	if (n == 2)
		(void)!recv(fd, &c, 1, 0);
	_exit(0);
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
	int ep = epoll_create1(EPOLL_CLOEXEC),
	    fds[] = { rig.tls_fd, rig.bad_fd, rig.echo_fd, rig.curt_fd };

	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 4; i++) {
		e.data.fd = fds[i];
		epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
	}
	while (epoll_wait(ep, &e, 1, -1) == 1) {
		if (e.data.fd == rig.echo_fd)
			serve_echo(e.data.fd);
		else if (e.data.fd == rig.curt_fd)
			serve_curt(good, e.data.fd);
		else
			serve_tls(e.data.fd == rig.tls_fd ? good : bad, e.data.fd);
	}
	_exit(0);
}

/* ---- the proxy's side ---- */

enum { API, EVIL, ECHO_NAME, BAD, META, PASS, CURT, WIDE, NOBODY };

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
	struct str allow = STR("127.0.0.1"), hosts[] = {
		STR("api.shop.test=127.0.0.1"),	 STR("bad.shop.test=127.0.0.1"),
		STR("echo.shop.test=127.0.0.1"), STR("meta.shop.test=169.254.169.254"),
		STR("curt.shop.test=127.0.0.1"), STR("a.wide.test=127.0.0.1")
	};
	struct str synthetic[] = { STR("198.18.0.0/15"), STR("fd5e:9e7::/64") };
	struct upstream_setup s = { .root_fds = &rig.roots,
				    .nroots = 1,
				    .hosts = hosts,
				    .nhosts = 6,
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
	for (int i = 0; i < NOBODY; i++) {
		static const char *names[] = { "api.shop.test",	 "evil.test",	   "echo.shop.test",
					       "bad.shop.test",	 "meta.shop.test", "pass.shop.test",
					       "curt.shop.test", "a.wide.test" };
		uint32_t slot;
		bool fresh;

		if (names_add(px.names, str_of(names[i]), &slot, &fresh) || slot != (uint32_t)i)
			_exit(2);
	}
	session_on_connect(conn_inside);
	(void)!loop_run(px.loop);
	_exit(0);
}

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
static unsigned told, given_up;

static bool next_event(struct event *e)
{
	if (ring_read(rig.reader, e) != 1)
		return false;
	ring_acked(rig.reader, ++rig.seq);
	if (event_kind_of(e) != EVENT_DIAL)
		return true;
	if (event_reason_of(e) != REASON_NONE)
		given_up++;
	else
		told++;
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

static void ask_at(SSL *ssl, const char *host, uint16_t port, const char *want)
{
	char answer[4096], text[128];

	assert_non_null(ssl);
	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: %s:%u\r\n\r\n", host, port);
	request(ssl, text, answer, sizeof(answer));
	assert_non_null(strstr(answer, want));
}

static void ask(SSL *ssl)
{
	ask_at(ssl, "api.shop.test", rig.tls, "200 OK");
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
				      leaf = LEAF_FORM("x", "DNS:api.shop.test,DNS:curt.shop.test");
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
	rig.curt_fd = listen_tcp(&rig.curt);
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
		 "{ \"id\": \"curt\", \"allow\": \"READ https://curt.shop.test:%u\" },"
		 "{ \"id\": \"wide\", \"allow\": \"READ https://*.wide.test:%u\" },"
		 "{ \"id\": \"echo\", \"allow\": \"tcp://echo.shop.test:%u\" } ] }",
		 rig.tls, rig.bad, rig.curt, rig.tls, rig.echo);
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

#endif
