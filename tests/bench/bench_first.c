// SPDX-License-Identifier: Apache-2.0
/*
 * The client of tests/bench/credentials.sh: HTTP/1.1 over TLS, one request after the other, each
 * timed alone from its first byte to the last of its answer. Connections are opened before anything
 * is timed, or with -f inside of it; the chain and the name are checked, no session is resumed.
 * Prints "ROUND NAME us" for each request.
 *
 *   bench_first -a ADDRESS -p PORT [-r ROUNDS] [-d BODY] [-f] [-w STEM] [-u PATH] NAME...
 *
 * Rounds go over the names in their order. -d: a POST of a form. -w: STEM.ready when the
 * connections stand, waits for STEM.go; STEM.done when the last answer is there, waits for
 * STEM.end: who measures CPU cannot see into a job.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAMES_MAX 64

static struct {
	struct sockaddr_in to;
	SSL_CTX *ctx;
	const char *body, *stem, *path;
	bool fresh;
} b = { .path = "/1k" };

static void must(bool ok, const char *what)
{
	if (!ok)
		die("bench_first: %s: %s", what, strerror(errno));
}

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

static void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void request(SSL *ssl, const char *name)
{
	char text[4096], *end = NULL, *length;
	size_t n, have = 0, want = 0;

	if (b.body)
		snprintf(text, sizeof(text),
			 "POST %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n"
			 "Content-Type: application/x-www-form-urlencoded\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 b.path, name, strlen(b.body), b.body);
	else
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", b.path, name);
	must(SSL_write_ex(ssl, text, strlen(text), &n) == 1, "write");
	while (!end || have < want) {
		must(have < sizeof(text) - 1 &&
			     SSL_read_ex(ssl, text + have, sizeof(text) - 1 - have, &n) == 1,
		     "read");
		have += n;
		text[have] = 0;
		if (end || !(end = strstr(text, "\r\n\r\n")))
			continue;
		length = strcasestr(text, "\r\ncontent-length:");
		if (strncmp(text, "HTTP/1.1 200", 12) || !length || length > end)
			die("bench_first: %s: %s", name, text);
		want = (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10);
	}
}

static void file(const char *what, bool make)
{
	char path[512];
	FILE *f;

	if (!b.stem)
		return;
	snprintf(path, sizeof(path), "%s.%s", b.stem, what);
	if (make) {
		f = fopen(path, "w");
		must(f && !fclose(f), path);
	}
	while (!make && access(path, F_OK))
		usleep(5000);
}

int main(int argc, char **argv)
{
	static uint64_t us[NAMES_MAX];
	SSL *at[NAMES_MAX];
	unsigned rounds = 1;
	int c, n;

	b.to.sin_family = AF_INET;
	while ((c = getopt(argc, argv, "a:p:r:d:w:u:f")) != -1) {
		if (c == 'a')
			must(inet_pton(AF_INET, optarg, &b.to.sin_addr) == 1, "-a");
		else if (c == 'p')
			b.to.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
		else if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'd')
			b.body = optarg;
		else if (c == 'w')
			b.stem = optarg;
		else if (c == 'u')
			b.path = optarg;
		else if (c == 'f')
			b.fresh = true;
		else
			die("bench_first: see its head");
	}
	n = argc - optind;
	must(n > 0 && n <= NAMES_MAX, "names");
	signal(SIGPIPE, SIG_IGN);
	b.ctx = SSL_CTX_new(TLS_client_method());
	must(b.ctx && SSL_CTX_set_default_verify_paths(b.ctx), "trust");
	SSL_CTX_set_verify(b.ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(b.ctx, SSL_SESS_CACHE_OFF);
	for (int i = 0; i < n && !b.fresh; i++)
		at[i] = dial(argv[optind + i]);
	file("ready", true);
	file("go", false);
	for (unsigned r = 0; r < rounds; r++) {
		for (int i = 0; i < n; i++) {
			const char *name = argv[optind + i];

			us[i] = clock_now_us();
			if (b.fresh)
				at[i] = dial(name);
			request(at[i], name);
			us[i] = clock_now_us() - us[i];
			if (b.fresh)
				hang_up(at[i]);
		}
		/* Not between the requests: a line is a write. */
		for (int i = 0; i < n; i++)
			printf("%u %s %llu\n", r, argv[optind + i], (unsigned long long)us[i]);
	}
	fflush(stdout);
	file("done", true);
	file("end", false);
	for (int i = 0; i < n && !b.fresh; i++)
		hang_up(at[i]);
	SSL_CTX_free(b.ctx);
	return 0;
}
