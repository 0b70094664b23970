// SPDX-License-Identifier: Apache-2.0
/*
 * What one way of asking costs above another, for tests/bench/credentials.sh. The client has
 * standing connections of every kind (a name and a path) and asks by each kind for some
 * milliseconds in turn, so that both sides of a difference have the same connections, the same
 * minute and the same neighbours. Between two turns nothing is under way, and the meter, which
 * stands outside of the job, reads what CPU the proxy took. HTTP/1.1 over TLS, chain and name
 * checked, no session resumed.
 *
 *   bench_turns -w STEM -a ADDRESS -p PORT [-c AT_ONCE] [-t MS] [-r ROUNDS] NAME/PATH...
 *   bench_turns -w STEM -m PID...
 *
 * AT_ONCE requests (1) leave together, and the next when all are answered. The meter is started
 * first and prints "KIND REQUESTS US NS" a turn: how long it took, and the CPU.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define KINDS_MAX 8u
#define RESTS 100u /* times a millisecond that the meter waits for a proxy to rest */

/* What the client says to the meter. */
struct said {
	int kind; /* -1: nothing was asked yet */
	unsigned units;
	uint64_t us;
};

struct kind {
	char name[256], ask[512];
	size_t ask_n;
	SSL **conns;
};

static struct {
	const char *stem;
	struct sockaddr_in to;
	unsigned at_once, ms, rounds, nkinds;
	struct kind kinds[KINDS_MAX];
	SSL_CTX *ctx;
	int said, heard;
} b = { .at_once = 1, .ms = 20, .rounds = 100 };

static void must(bool ok, const char *what)
{
	if (!ok)
		die("bench_turns: %s: %s", what, strerror(errno));
}

static int pipe_open(const char *what, int flags)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s.%s", b.stem, what);
	fd = open(path, flags | O_CLOEXEC);
	must(fd >= 0, path);
	return fd;
}

/* ---- the client ---- */

static SSL *dial(const char *name)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	SSL *ssl = SSL_new(b.ctx);

	must(fd >= 0 && ssl, "socket");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	must(!connect(fd, (const struct sockaddr *)&b.to, sizeof(b.to)), "connect");
	must(SSL_set_fd(ssl, fd) && SSL_set_tlsext_host_name(ssl, name) && SSL_set1_host(ssl, name),
	     "SSL");
	must(SSL_connect(ssl) == 1, name);
	return ssl;
}

static void kind_open(struct kind *k, const char *what)
{
	const char *path = strchr(what, '/');

	must(path && (size_t)(path - what) < sizeof(k->name), "NAME/PATH");
	memcpy(k->name, what, (size_t)(path - what));
	k->ask_n = (size_t)snprintf(k->ask, sizeof(k->ask),
				    "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: "
				    "bench_turns\r\nAccept: */*\r\n\r\n",
				    path, k->name, ntohs(b.to.sin_port));
	must(k->ask_n < sizeof(k->ask), "a shorter path");
	k->conns = mem_new(b.at_once * sizeof(SSL *));
	for (unsigned i = 0; i < b.at_once; i++)
		k->conns[i] = dial(k->name);
}

/* An answer of a said length, whole. */
static void hear(SSL *ssl)
{
	char head[32768];
	const char *end = NULL, *at;
	size_t n = 0, got, left;

	while (!end) {
		must(n < sizeof(head) - 1, "an answer's head");
		must(SSL_read_ex(ssl, head + n, sizeof(head) - 1 - n, &got) == 1, "read");
		n += got;
		head[n] = 0;
		end = strstr(head, "\r\n\r\n");
	}
	at = strcasestr(head, "\r\ncontent-length:");
	head[40] = at ? head[40] : 0;
	must(strncmp(head, "HTTP/1.1 200", 12) == 0 && at && at < end, head);
	left = strtoul(at + 17, NULL, 10) - (n - (size_t)(end + 4 - head));
	for (; left; left -= got)
		must(SSL_read_ex(ssl, head, left < sizeof(head) ? left : sizeof(head), &got) == 1,
		     "read");
}

static void ask_all(const struct kind *k)
{
	size_t put;

	for (unsigned i = 0; i < b.at_once; i++)
		must(SSL_write_ex(k->conns[i], k->ask, k->ask_n, &put) == 1, "write");
	for (unsigned i = 0; i < b.at_once; i++)
		hear(k->conns[i]);
}

static void tell(struct said s)
{
	char c;

	must(write(b.said, &s, sizeof(s)) == sizeof(s), "the meter");
	must(read(b.heard, &c, 1) == 1, "the meter's word");
}

static void run_turn(unsigned kind)
{
	uint64_t start = clock_now_us(), now = start;
	struct said s = { .kind = (int)kind };

	while (now < start + b.ms * 1000) {
		ask_all(&b.kinds[kind]);
		s.units += b.at_once;
		now = clock_now_us();
	}
	s.us = now - start;
	tell(s);
}

static void client(char **what, int n)
{
	must(n > 0 && n <= (int)KINDS_MAX, "kinds");
	signal(SIGPIPE, SIG_IGN);
	b.ctx = SSL_CTX_new(TLS_client_method());
	must(b.ctx && SSL_CTX_set_default_verify_paths(b.ctx), "SSL_CTX");
	SSL_CTX_set_verify(b.ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(b.ctx, SSL_SESS_CACHE_OFF);
	b.said = pipe_open("said", O_WRONLY);
	b.heard = pipe_open("heard", O_RDONLY);
	b.nkinds = (unsigned)n;
	for (unsigned i = 0; i < b.nkinds; i++) {
		kind_open(&b.kinds[i], what[i]);
		ask_all(&b.kinds[i]); /* upstreams and leases are there then */
	}
	tell((struct said){ .kind = -1 });
	/* Each kind is first, second and last as often, behind each other one as often. */
	for (unsigned r = 0; r < b.rounds; r++)
		for (unsigned i = 0; i < b.nkinds; i++)
			run_turn(r / b.nkinds % 2 ? (2 * b.nkinds - 1 - i - r % b.nkinds) % b.nkinds
						  : (i + r) % b.nkinds);
}

/* ---- the meter ---- */

static uint64_t cpu_ns(char **pids, int n)
{
	unsigned long long ns;
	uint64_t sum = 0;
	char path[64];
	FILE *f;

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/proc/%s/schedstat", pids[i]);
		f = fopen(path, "re");
		must(f && fscanf(f, "%llu", &ns) == 1, path);
		fclose(f);
		sum += ns;
	}
	return sum;
}

/* Behind its last answer the proxy still writes a record. */
static uint64_t cpu_rested(char **pids, int n)
{
	uint64_t now = cpu_ns(pids, n), before;

	for (unsigned i = 0; i < RESTS; i++) {
		before = now;
		usleep(1000);
		now = cpu_ns(pids, n);
		if (now == before)
			break;
	}
	return now;
}

static void meter(char **pids, int n)
{
	static const char *const pipes[] = { "said", "heard" };
	uint64_t before = 0, now;
	struct said s;
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(pipes); i++) {
		snprintf(path, sizeof(path), "%s.%s", b.stem, pipes[i]);
		must(mkfifo(path, 0600) == 0 && chmod(path, 0666) == 0, path);
	}
	b.said = pipe_open("said", O_RDONLY);
	b.heard = pipe_open("heard", O_WRONLY);
	while (read(b.said, &s, sizeof(s)) == sizeof(s)) {
		now = cpu_rested(pids, n);
		if (s.kind >= 0)
			printf("%d %u %llu %llu\n", s.kind, s.units, (unsigned long long)s.us,
			       (unsigned long long)(now - before));
		before = now;
		must(write(b.heard, "", 1) == 1, "the client");
	}
}

int main(int argc, char **argv)
{
	bool meters = false;
	int o;

	b.to.sin_family = AF_INET;
	while ((o = getopt(argc, argv, "a:p:w:c:t:r:m")) != -1) {
		if (o == 'a' && inet_pton(AF_INET, optarg, &b.to.sin_addr) == 1)
			continue;
		else if (o == 'p')
			b.to.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
		else if (o == 'w')
			b.stem = optarg;
		else if (o == 'c')
			b.at_once = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 't')
			b.ms = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'r')
			b.rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'm')
			meters = true;
		else
			return 2;
	}
	if (!b.stem || optind == argc || !b.at_once)
		return 2;
	if (meters)
		meter(argv + optind, argc - optind);
	else
		client(argv + optind, argc - optind);
	return 0;
}
