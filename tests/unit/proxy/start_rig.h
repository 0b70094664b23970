/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real egret-proxy, executed, with the test as its egretd and broker. A stand-in: the map of
 * records is /dev/null, so connections are refused; names are answered.
 */
#ifndef TEST_PROXY_START_RIG_H
#define TEST_PROXY_START_RIG_H

#include "base/clock.h"
#include "base/msg.h"
#include "base/proto.h"
#include "event/ring.h"
#include "policy/compile.h"
#include "proxy/dns.h"
#include "unit/proxy/certs.h"
#include "unit/proxy/pairs.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#define NETNS 4711

static struct {
	pid_t pid;
	int sock, broker;
	int names;
	struct ring_fds ring;
	struct ring_reader *reader;
	uint16_t tcp, dns;
	int tcp_fd, udp_fd;
	struct made_cert root, middle;
	char program[256];
} rig;

static inline int pack_of(const char *text)
{
	struct source s = { SOURCE_POLICY, STR("test.json"), str_of(text) };
	struct compiled c;
	int fd = -1;

	assert_int_equal(policy_compile(&s, 1, 0, &c), 0);
	assert_int_equal(pack_write(c.policies, 1, &fd), 0);
	compiled_done(&c);
	return fd;
}

static inline void receive(int sock, struct msg_in *m)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(msg_recv(sock, m), 0);
}

static inline void spawn(void)
{
	int pair[2];

	assert_int_equal(msg_pair(pair), 0);
	rig.pid = fork();
	if (!rig.pid) {
		dup2(pair[1], 3);
		close_range(4, ~0u, 0);
		execl(rig.program, "egret-proxy", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	rig.sock = pair[0];
}

/* The type of the answer. */
static inline int answer_to(uint32_t id)
{
	struct msg_in in;
	int type;

	receive(rig.sock, &in);
	assert_int_equal(in.id, id);
	type = in.type;
	msg_in_done(&in);
	return type;
}

static inline int serve_with(uint64_t netns, int tcp, int udp, int engine)
{
	static uint32_t id = 1000;
	struct msg_out m;

	msg_begin(&m, MSG_PROXY_LISTEN, ++id);
	msg_put_u64(&m, TAG_NETNS, netns);
	msg_put_str(&m, TAG_NET, STR("none"));
	if (tcp >= 0)
		msg_put_fd(&m, TAG_FD_TCP, tcp);
	if (udp >= 0)
		msg_put_fd(&m, TAG_FD_DNS_UDP, udp);
	if (engine >= 0)
		msg_put_fd(&m, TAG_FD_ENGINE_DNS, engine);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	return answer_to(id);
}

static inline int serve_here(uint64_t netns, int tcp, int udp)
{
	return serve_with(netns, tcp, udp, -1);
}

static inline int leave(uint64_t netns)
{
	static uint32_t id = 5000;
	struct msg_out m;

	msg_begin(&m, MSG_PROXY_UNLISTEN, ++id);
	msg_put_u64(&m, TAG_NETNS, netns);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	return answer_to(id);
}

static inline void tell(const char *policy)
{
	unsigned char *cert = NULL, *key = NULL;
	int pair[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC), pack = pack_of(policy), n;
	int roots = open("/etc/ssl/certs/ca-certificates.crt", O_RDONLY | O_CLOEXEC);
	struct msg_out m;
	struct msg_in in;

	assert_int_equal(msg_pair(pair), 0);
	rig.broker = pair[0];
	msg_begin(&m, MSG_PROXY_START, 7);
	msg_put_u64(&m, TAG_JOB, 42);
	msg_put_fd(&m, TAG_FD_POLICY, pack);
	msg_put_fd(&m, TAG_FD_RING, rig.ring.data);
	msg_put_fd(&m, TAG_FD_RING_ACK, rig.ring.ack_ro);
	msg_put_fd(&m, TAG_FD_RING_WAKE, rig.ring.wake);
	msg_put_fd(&m, TAG_FD_RING_SPACE, rig.ring.space);
	msg_put_fd(&m, TAG_FD_RECORDS, null);
	msg_put_fd(&m, TAG_FD_BROKER, pair[1]);
	msg_put_fd(&m, TAG_FD_NAMES, rig.names);
	if (roots >= 0)
		msg_put_fd(&m, TAG_FD_ROOTS, roots);
	msg_put_str(&m, TAG_SYNTHETIC, STR("198.18.0.0/15"));
	msg_put_str(&m, TAG_SYNTHETIC, STR("fd5e:9e7::/64"));
	msg_put_str(&m, TAG_SEARCH, STR("corp.example"));
	msg_put_str(&m, TAG_NAMESERVER, STR("198.51.100.53"));
	msg_put_str(&m, TAG_HOSTS, STR("api.shop.test=198.51.100.7"));
	assert_int_equal(msg_send(rig.sock, &m), 0);
	close(pair[1]);
	close(null);
	close(pack);
	if (roots >= 0)
		close(roots);
	receive(rig.broker, &in);
	assert_int_equal(in.type, MSG_CA_GET);
	msg_begin(&m, MSG_CA, in.id);
	n = i2d_X509(rig.middle.cert, &cert);
	msg_put(&m, TAG_CERT, cert, (size_t)n);
	n = i2d_PrivateKey(rig.middle.key, &key);
	msg_put(&m, TAG_KEY, key, (size_t)n);
	OPENSSL_free(cert);
	OPENSSL_free(key);
	assert_int_equal(msg_send(rig.broker, &m), 0);
	msg_in_done(&in);
	receive(rig.sock, &in);
	if (in.type != MSG_PROXY_READY) {
		struct str text = STR("?");

		(void)!msg_get(&in, TAG_TEXT, &text);
		fail_msg("not ready: %.*s", STR_ARG(text));
	}
	assert_int_equal(in.id, 7);
	msg_in_done(&in);
	assert_int_equal(serve_here(NETNS, rig.tcp_fd, rig.udp_fd), MSG_OK);
}

static inline int ended(void)
{
	int status = -1;

	for (int i = 0; i < 500; i++) {
		if (waitpid(rig.pid, &status, WNOHANG) == rig.pid) {
			rig.pid = 0;
			close(rig.sock);
			close(rig.broker);
			return status;
		}
		usleep(10000);
	}
	fail_msg("the proxy did not end");
	return -1;
}

static inline void stop(void)
{
	struct msg_out m;
	int status;

	msg_begin(&m, MSG_STOP, 9);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	status = ended();
	if (status)
		fail_msg("status 0x%x", (unsigned)status);
}

/* Asks by UDP; the answer is to come on the socket that is returned. */
static inline int ask_send(uint16_t port, const char *name, uint16_t type)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t q[DNS_QUESTION_MAX];
	size_t n = dns_ask(q, 0x1234, str_of(name), type);

	assert_true(n > 0);
	assert_int_equal(sendto(fd, q, n, 0, (struct sockaddr *)&to, sizeof(to)), (ssize_t)n);
	return fd;
}

/* The rcode; the address's last bytes in ret when there is one. Closes fd. */
static inline int ask_take(int fd, uint8_t ret[4])
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t a[600];
	ssize_t got;
	int rcode;

	assert_int_equal(poll(&p, 1, 3000), 1);
	got = recv(fd, a, sizeof(a), 0);
	assert_true(got >= 12);
	rcode = a[3] & 15;
	memset(ret, 0, 4);
	if (a[7])
		memcpy(ret, a + got - 4, 4);
	close(fd);
	return rcode;
}

static inline int ask_at(uint16_t port, const char *name, uint16_t type, uint8_t ret[4])
{
	return ask_take(ask_send(port, name, type), ret);
}

static inline int ask(const char *name, uint16_t type, uint8_t ret[4])
{
	return ask_at(rig.dns, name, type, ret);
}

#define POLICY                                                                   \
	"{ \"name\": \"t\", \"rules\": [ { \"id\": \"read\", \"allow\": \"READ " \
	"https://api.shop.test\" } ] }"

static inline bool event_seen(enum event_kind kind, enum event_verdict verdict, enum reason reason)
{
	struct event e;

	for (int i = 0; i < 100; i++) {
		while (ring_read(rig.reader, &e) == 1) {
			uint16_t r = (uint16_t)(e.bytes[4] | e.bytes[5] << 8);

			ring_acked(rig.reader, 1);
			if (e.bytes[0] == kind && e.bytes[2] == verdict && (!reason || r == reason))
				return true;
		}
		usleep(10000);
	}
	return false;
}

static inline int resolver_socket(uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(addr);

	if (bind(fd, (struct sockaddr *)&addr, n) || getsockname(fd, (struct sockaddr *)&addr, &n))
		return -1;
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static inline int setup(void **state)
{
	static const struct cert_form a = CA_FORM("root"), b = CA_FORM("job");
	ssize_t len;
	char *slash;

	/* Beside this test: BUILD/tests/unit/proxy/test_start, BUILD/bin/egret-proxy. */
	len = readlink("/proc/self/exe", rig.program, sizeof(rig.program) - 32);
	if (len < 0)
		return -1;
	rig.program[len] = '\0';
	for (int i = 0; i < 4; i++) {
		slash = strrchr(rig.program, '/');
		if (!slash)
			return -1;
		*slash = '\0';
	}
	memcpy(rig.program + strlen(rig.program), "/bin/egret-proxy", 17);
	rig.root = cert_make(&a, NULL);
	rig.middle = cert_make(&b, &rig.root);
	rig.names = memfd_create("names", MFD_CLOEXEC);
	rig.tcp_fd = listen_tcp(&rig.tcp);
	rig.udp_fd = resolver_socket(&rig.dns);
	if (rig.udp_fd < 0 || ring_create(1u << 20, &rig.ring) ||
	    ring_reader_open(dup(rig.ring.data), dup(rig.ring.ack), dup(rig.ring.wake),
			     dup(rig.ring.space), &rig.reader))
		return -1;
	return 0;
}

static inline int teardown(void **state)
{
	if (rig.pid > 0) {
		kill(rig.pid, SIGKILL);
		waitpid(rig.pid, NULL, 0);
	}
	cert_free(&rig.root);
	cert_free(&rig.middle);
	ring_reader_free(rig.reader);
	ring_fds_done(&rig.ring);
	close(rig.names);
	close(rig.tcp_fd);
	close(rig.udp_fd);
	return 0;
}

#endif
