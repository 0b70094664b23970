/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client without anything around it, for images that hold no file of a distribution: linked
 * statically, trusts what OpenSSL finds by its own variables (SSL_CERT_FILE, SSL_CERT_DIR) or what
 * -c names. Made by tests/images.sh, never part of egret.
 *
 *   fetch [-c CAFILE] URL...     prints "STATUS first line of the body" for each; exit 1 if one
 * could not be had fetch -w SECONDS             waits, then goes on with the next arguments: the
 * main process of such a container
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *ca_file;

static int dial(const char *host, const char *port)
{
	struct timeval limit = { .tv_sec = 20 };
	char to[300];
	BIO *b;
	int fd = -1;

	snprintf(to, sizeof(to), "%s:%s", host, port);
	b = BIO_new_connect(to);
	if (!b || BIO_do_connect(b) != 1) {
		printf("error: %s: %s\n", to, ERR_reason_error_string(ERR_peek_last_error()));
		return -1;
	}
	BIO_get_fd(b, &fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static SSL *tls(int fd, const char *host)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *s;

	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (ca_file ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1
		    : SSL_CTX_set_default_verify_paths(ctx) != 1)
		printf("error: cannot read %s\n", ca_file ? ca_file : "the default roots");
	s = SSL_new(ctx);
	SSL_set_tlsext_host_name(s, host);
	SSL_set1_host(s, host);
	SSL_set_fd(s, fd);
	if (SSL_connect(s) == 1)
		return s;
	printf("error: %s: TLS: %s\n", host,
	       X509_verify_cert_error_string(SSL_get_verify_result(s)));
	return NULL;
}

static int fetch(const char *url)
{
	char host[256], port[6], ask[2048], got[65536], *body;
	const char *rest = strstr(url, "://"), *path, *colon;
	int secure = strncmp(url, "https", 5) == 0, n = 0, more, fd;
	SSL *s = NULL;

	if (!rest)
		return 2;
	rest += 3;
	path = strchr(rest, '/');
	path = path ? path : rest + strlen(rest);
	snprintf(host, sizeof(host), "%.*s", (int)(path - rest), rest);
	colon = strchr(host, ':');
	snprintf(port, sizeof(port), "%s", colon ? colon + 1 : secure ? "443" : "80");
	host[strcspn(host, ":")] = 0;
	fd = dial(host, port);
	if (fd < 0 || (secure && !(s = tls(fd, host))))
		return 1;
	snprintf(ask, sizeof(ask), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		 *path ? path : "/", host);
	if ((secure ? SSL_write(s, ask, (int)strlen(ask)) : (int)write(fd, ask, strlen(ask))) <= 0)
		return 1;
	while (n < (int)sizeof(got) - 1 &&
	       (more = secure ? SSL_read(s, got + n, (int)sizeof(got) - 1 - n)
			      : (int)read(fd, got + n, sizeof(got) - 1 - (size_t)n)) > 0)
		n += more;
	got[n] = 0;
	close(fd);
	if (n < 12) {
		printf("error: %s: closed without an answer\n", host);
		return 1;
	}
	body = strstr(got, "\r\n\r\n");
	body = body ? body + 4 : got + n;
	printf("%.3s %.*s\n", got + 9, (int)strcspn(body, "\r\n"), body);
	return 0;
}

int main(int argc, char **argv)
{
	int i, bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-c") && i + 1 < argc)
			ca_file = argv[++i];
		else if (!strcmp(argv[i], "-w") && i + 1 < argc)
			sleep((unsigned)strtoul(argv[++i], NULL, 10));
		else
			bad |= fetch(argv[i]);
	}
	return bad;
}
