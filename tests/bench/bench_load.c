// SPDX-License-Identifier: Apache-2.0
/*
 * The client of tests/bench/engine.sh: HTTP/1.1 over TLS by one thread, the chain and the name
 * checked, no session ever resumed. It opens what a way of loading starts from, says that it is
 * ready, waits for the word to begin, works, finishes what is under way, and waits for the word to
 * end: so neither its start nor its end is in the measured window. The words are files, because
 * who measures cannot see into a job.
 *
 *   bench_load -a ADDRESS -p PORT -n NAME -w STEM [-c HOST:PORT of a CONNECT] WAY CONNECTIONS COUNT
 * [PATH]
 *
 * WAY: keep (requests for COUNT ms on standing connections), new (COUNT connections, one request
 * each), hands (COUNT handshakes and no request), idle (CONNECTIONS opened, one request each),
 * get and put (COUNT MiB). A '%' in a name is the connection's number, from START (-s) on.
 * STEM.ready, .go, .done ("units seconds failed protocol"), .end
 */
#include "base/bytes.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum way { KEEP, NEW, HANDS, IDLE, GET, PUT };
static const char *const ways[] = { "keep", "new", "hands", "idle", "get", "put" };

enum state { CONNECTING, ASKING_WAY, HEARING_WAY, SHAKING, RESTING, ASKING, ANSWERED };

struct conn {
	int fd;
	enum state state;
	SSL *ssl;
	unsigned number;
	size_t sent, head_n;
	uint64_t left; /* of the answer's body */
	bool begun;    /* of the answer: its head is over */
	uint64_t up;   /* of a PUT's body, to be sent */
	char head[2048];
};

static struct {
	enum way way;
	struct sockaddr_in to;
	const char *name, *stem, *connect, *path;
	unsigned connections, first, opened, resting, ended, failed;
	uint64_t count, until_us, units, bytes;
	bool go, over;
	char ask[1024], said[64], why[256];
	size_t ask_n;
	SSL_CTX *ctx;
	struct conn *conns;
	int epoll;
} l;

static char bytes[1 << 16];

static void must(bool ok, const char *what)
{
	if (!ok)
		die("bench_load: %s: %s", what, strerror(errno));
}

static void lost(struct conn *c, const char *what)
{
	if (!l.failed++)
		snprintf(l.why, sizeof(l.why), "%s (%s, %s)", what, strerror(errno),
			 ERR_reason_error_string(ERR_peek_error()));
	l.over = true;
}

static void file(const char *what, const char *text)
{
	char path[512], new[520];
	FILE *f;

	snprintf(path, sizeof(path), "%s.%s", l.stem, what);
	snprintf(new, sizeof(new), "%s+", path);
	f = fopen(new, "w");
	must(f && fputs(text, f) >= 0 && fclose(f) == 0 && rename(new, path) == 0, path);
}

static void wait_file(const char *what)
{
	char path[512];

	snprintf(path, sizeof(path), "%s.%s", l.stem, what);
	while (access(path, F_OK))
		usleep(5000);
}

static void conn_open(struct conn *c)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	int one = 1;

	memset(c, 0, sizeof(*c));
	c->number = l.first + l.opened++;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(c->fd >= 0, "socket");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->state = CONNECTING;
	must(!connect(c->fd, (const struct sockaddr *)&l.to, sizeof(l.to)) || errno == EINPROGRESS,
	     "connect");
	must(!epoll_ctl(l.epoll, EPOLL_CTL_ADD, c->fd, &e), "epoll");
}

static void conn_close(struct conn *c)
{
	if (c->ssl)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
	c->fd = -1;
	c->ssl = NULL;
	l.ended++;
}

/* The connection's number for '%'. */
static void numbered(const struct conn *c, const char *text, char *to, size_t n)
{
	const char *percent = strchr(text, '%');

	if (percent)
		snprintf(to, n, "%.*s%u%s", (int)(percent - text), text, c->number, percent + 1);
	else
		snprintf(to, n, "%s", text);
}

static void shake_begin(struct conn *c)
{
	char name[256];

	numbered(c, l.name, name, sizeof(name));
	c->ssl = SSL_new(l.ctx);
	must(c->ssl && SSL_set_fd(c->ssl, c->fd) && SSL_set_tlsext_host_name(c->ssl, name) &&
		     SSL_set1_host(c->ssl, name),
	     "SSL");
	SSL_set_connect_state(c->ssl);
	c->state = SHAKING;
}

static void ask(struct conn *c)
{
	c->state = ASKING;
	c->sent = c->head_n = 0;
	c->begun = false;
	c->up = l.way == PUT ? l.count << 20 : 0;
}

/* The whole answer is there: what now? */
static void answered(struct conn *c)
{
	bool counts = l.go;

	if (counts)
		l.units++;
	if (l.way == NEW) {
		conn_close(c);
		return;
	}
	if (counts && l.way == KEEP && clock_now_us() < l.until_us) {
		ask(c);
		return;
	}
	if (counts && l.way == GET && l.bytes < l.count << 20) {
		ask(c);
		return;
	}
	c->state = RESTING;
	l.resting++;
}

static void shaken(struct conn *c)
{
	const unsigned char *alpn;
	unsigned n;

	SSL_get0_alpn_selected(c->ssl, &alpn, &n);
	snprintf(l.said, sizeof(l.said), "%s,%s,%.*s", SSL_get_version(c->ssl),
		 SSL_get_cipher(c->ssl), (int)n, (const char *)alpn);
	if (l.way == HANDS) {
		l.units++;
		conn_close(c);
	} else if (l.way == GET || l.way == PUT) {
		c->state = RESTING;
		l.resting++;
	} else {
		ask(c); /* standing connections have their upstream's beside them when it starts */
	}
}

/* 1: go on, 0: wait for the socket, -1: lost */
static int again(struct conn *c, int r, const char *what)
{
	int e = SSL_get_error(c->ssl, r);

	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return 0;
	lost(c, what);
	return -1;
}

static int asking(struct conn *c)
{
	size_t put;
	int r;

	while (c->sent < l.ask_n || c->up) {
		ERR_clear_error();
		if (c->sent < l.ask_n)
			r = SSL_write_ex(c->ssl, l.ask + c->sent, l.ask_n - c->sent, &put);
		else
			r = SSL_write_ex(c->ssl, bytes, c->up < 16384 ? c->up : 16384, &put);
		if (r != 1)
			return again(c, r, "write");
		if (c->sent < l.ask_n)
			c->sent += put;
		else
			c->up -= put;
	}
	c->state = ANSWERED;
	return 1;
}

static bool head(struct conn *c)
{
	const char *end, *at;

	c->head[c->head_n] = 0;
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return false;
	at = strcasestr(c->head, "\r\ncontent-length:");
	if (strncmp(c->head, "HTTP/1.1 200", 12) != 0 || !at || at > end) {
		errno = EBADMSG;
		c->head[40] = 0;
		lost(c, c->head);
		return false;
	}
	c->left = strtoull(at + 17, NULL, 10);
	c->left -= c->head_n - (size_t)(end + 4 - c->head);
	c->begun = true;
	return true;
}

static int hearing(struct conn *c)
{
	size_t got;
	int r;

	ERR_clear_error();
	if (!c->begun) {
		r = SSL_read_ex(c->ssl, c->head + c->head_n, sizeof(c->head) - 1 - c->head_n, &got);
		if (r != 1)
			return again(c, r, "read");
		c->head_n += got;
		if (!head(c))
			return l.failed ? -1 : 1;
	} else {
		r = SSL_read_ex(c->ssl, bytes, sizeof(bytes), &got);
		if (r != 1)
			return again(c, r, "read");
		c->left -= got;
		if (l.go)
			l.bytes += got;
	}
	if (!c->left)
		answered(c);
	return 1;
}

/* CONNECT, for a proxy that is asked so; in clear. */
static int asking_way(struct conn *c)
{
	char to[256], text[600];
	ssize_t r, n;

	if (c->state == ASKING_WAY) {
		numbered(c, l.connect, to, sizeof(to));
		n = snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to);
		r = send(c->fd, text, (size_t)n, MSG_NOSIGNAL);
		if (r != n) {
			lost(c, "CONNECT");
			return -1;
		}
		c->state = HEARING_WAY;
	}
	r = recv(c->fd, c->head, sizeof(c->head) - 1, 0);
	if (r < 0 && errno == EAGAIN)
		return 0;
	if (r < 12 || !memmem(c->head, (size_t)r, "\r\n\r\n", 4) ||
	    memcmp(c->head + 8, " 200", 4) != 0) {
		lost(c, "answer to CONNECT");
		return -1;
	}
	shake_begin(c);
	return 1;
}

static int step(struct conn *c)
{
	int r, err = 0;
	socklen_t n = sizeof(err);

	switch (c->state) {
	case CONNECTING:
		(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n);
		if (err) {
			errno = err;
			lost(c, "connect");
			return -1;
		}
		if (l.connect)
			c->state = ASKING_WAY;
		else
			shake_begin(c);
		return 1;
	case ASKING_WAY:
	case HEARING_WAY:
		return asking_way(c);
	case SHAKING:
		ERR_clear_error();
		r = SSL_do_handshake(c->ssl);
		if (r != 1)
			return again(c, r, "handshake");
		shaken(c);
		return 1;
	case ASKING:
		return asking(c);
	case ANSWERED:
		return hearing(c);
	case RESTING:
		return 0;
	}
	return 0;
}

static void turn(void)
{
	struct epoll_event e[256];
	int n = epoll_wait(l.epoll, e, 256, 1000);

	for (int i = 0; i < n; i++) {
		struct conn *c = e[i].data.ptr;

		if (c->state == CONNECTING && !(e[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			continue;
		while (c->fd >= 0 && step(c) > 0)
			;
	}
}

static void run(void)
{
	bool standing = l.way != NEW && l.way != HANDS;
	unsigned opening = l.connections < 64 ? l.connections : 64;
	char line[400];
	uint64_t start;

	/* 64 at a time, so that no queue of a listener is the subject. */
	while (standing && l.resting < l.connections && !l.failed) {
		while (l.opened < l.connections && l.opened - l.resting < opening)
			conn_open(&l.conns[l.opened]);
		turn();
	}
	file("ready", l.why);
	wait_file("go");
	l.go = true;
	start = clock_now_us();
	l.until_us = start + l.count * 1000;
	if (standing && l.way != IDLE) {
		l.resting = 0;
		for (unsigned i = 0; i < l.connections && !l.failed; i++) {
			ask(&l.conns[i]);
			while (step(&l.conns[i]) > 0)
				;
		}
		while (l.resting < l.connections && !l.failed)
			turn();
	}
	while (!standing && l.ended < l.count && !l.failed) {
		for (unsigned i = 0; i < l.connections; i++)
			if (l.conns[i].fd < 0 && l.opened < l.count)
				conn_open(&l.conns[i]);
		turn();
	}
	if (l.way == GET)
		l.units = l.bytes;
	else if (l.way == PUT)
		l.units = l.connections * (l.count << 20);
	snprintf(line, sizeof(line), "%llu %.3f %u %s %s\n", (unsigned long long)l.units,
		 (double)(clock_now_us() - start) / 1e6, l.failed, l.said, l.why);
	file("done", line);
	wait_file("end");
}

int main(int argc, char **argv)
{
	int o, w;

	l.path = "/1k";
	l.to.sin_family = AF_INET;
	while ((o = getopt(argc, argv, "a:p:n:w:c:s:")) != -1) {
		if (o == 'a' && inet_pton(AF_INET, optarg, &l.to.sin_addr) == 1)
			continue;
		else if (o == 'p')
			l.to.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
		else if (o == 'n')
			l.name = optarg;
		else if (o == 'w')
			l.stem = optarg;
		else if (o == 'c')
			l.connect = optarg;
		else if (o == 's')
			l.first = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (argc - optind < 3 || !l.name || !l.stem)
		return 2;
	for (w = 0; w < (int)ARRAY_SIZE(ways) && strcmp(argv[optind], ways[w]) != 0; w++)
		;
	if (w == (int)ARRAY_SIZE(ways))
		return 2;
	l.way = (enum way)w;
	l.connections = (unsigned)strtoul(argv[optind + 1], NULL, 10);
	l.count = strtoull(argv[optind + 2], NULL, 10);
	if (argc - optind > 3)
		l.path = argv[optind + 3];
	signal(SIGPIPE, SIG_IGN);
	l.ask_n = (size_t)snprintf(l.ask, sizeof(l.ask), "%s %s HTTP/1.1\r\nHost: %s:%u\r\n",
				   l.way == PUT ? "PUT" : "GET", l.path, l.name,
				   ntohs(l.to.sin_port));
	if (l.connect) {
		l.ask_n = (size_t)snprintf(l.ask, sizeof(l.ask), "%s %s HTTP/1.1\r\nHost: %s\r\n",
					   l.way == PUT ? "PUT" : "GET", l.path, l.connect);
	}
	if (l.way == PUT)
		l.ask_n += (size_t)snprintf(l.ask + l.ask_n, sizeof(l.ask) - l.ask_n,
					    "Content-Length: %llu\r\n",
					    (unsigned long long)l.count << 20);
	l.ask_n += (size_t)snprintf(l.ask + l.ask_n, sizeof(l.ask) - l.ask_n,
				    "User-Agent: bench_load\r\nAccept: */*\r\n\r\n");
	l.ctx = SSL_CTX_new(TLS_client_method());
	must(l.ctx && SSL_CTX_set_default_verify_paths(l.ctx), "SSL_CTX");
	SSL_CTX_set_verify(l.ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(l.ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_protos(l.ctx, (const unsigned char *)"\x08http/1.1", 9);
	SSL_CTX_set_mode(l.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					SSL_MODE_RELEASE_BUFFERS);
	l.conns = mem_new(l.connections * sizeof(*l.conns));
	for (unsigned i = 0; i < l.connections; i++)
		l.conns[i].fd = -1;
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	must(l.epoll >= 0, "epoll");
	run();
	return l.failed != 0;
}
