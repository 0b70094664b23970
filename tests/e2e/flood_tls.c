/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile TLS client for tests/e2e/floods.sh: what no library does by itself. Says in a line what
 * the server let it do. Runs in the job.
 *
 *   flood_tls keyupdate|renegotiate|early|names ADDRESS PORT NAME N
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in to = { .sin_family = AF_INET };

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static SSL *start(SSL_CTX *ctx, int fd, const char *name, SSL_SESSION *session)
{
	SSL *ssl = SSL_new(ctx);

	if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_set_tlsext_host_name(ssl, name) != 1 ||
	    (session && SSL_set_session(ssl, session) != 1))
		exit(1);
	return ssl;
}

static SSL *shaken(SSL_CTX *ctx, int fd, const char *name, SSL_SESSION *session)
{
	SSL *ssl = start(ctx, fd, name, session);

	if (SSL_connect(ssl) != 1) {
		ERR_print_errors_fp(stderr);
		exit(1);
	}
	return ssl;
}

/* Sends them until the server has ended the connection. */
static void keyupdate(SSL_CTX *ctx, const char *name, int n)
{
	int fd = dial(), sent = 0, held = 0;
	SSL *ssl = shaken(ctx, fd, name, NULL);
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	while (sent < n && !held && SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
	       SSL_do_handshake(ssl) == 1) {
		sent++;
		/* A pause for each hundred: the server is to see them, not a full buffer. */
		held = sent % 100 == 0 && poll(&p, 1, 50) > 0;
	}
	printf("keyupdate %s after %d\n", poll(&p, 1, 3000) > 0 ? "closed" : "open", sent);
	SSL_free(ssl);
	close(fd);
}

static void renegotiate(SSL_CTX *ctx, const char *name)
{
	int fd = dial(), r;
	SSL *ssl;

	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	ssl = shaken(ctx, fd, name, NULL);
	r = SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) == 1;
	/* The client's state says that it asked; what the server did is in the error. */
	printf("renegotiate %s\n", r && !SSL_renegotiate_pending(ssl) ? "done" : "refused");
	SSL_free(ssl);
	close(fd);
}

static SSL_SESSION *ticket;

static int keep(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(ticket);
	ticket = s;
	return 1;
}

static void answer(SSL *ssl, const char *name, char *to_line, size_t size)
{
	char text[512];
	int n;

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		 name);
	to_line[0] = 0;
	if (SSL_write(ssl, text, (int)strlen(text)) <= 0)
		return;
	n = SSL_read(ssl, to_line, (int)size - 1);
	to_line[n > 0 ? n : 0] = 0;
	to_line[strcspn(to_line, "\r\n")] = 0;
}

/* A ticket that says nothing of early data is made to: data is sent before the handshake. */
static void early(SSL_CTX *ctx, const char *name)
{
	static const char request[] = "GET /early HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = dial(), r;
	char line[256];
	size_t put = 0;
	SSL *ssl;

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep);
	ssl = shaken(ctx, fd, name, NULL);
	answer(ssl, name, line, sizeof(line));
	(void)SSL_shutdown(ssl); /* or the session would be held for a broken one */
	SSL_free(ssl);
	close(fd);
	if (!ticket) {
		printf("early no ticket\n");
		return;
	}
	SSL_SESSION_set_max_early_data(ticket, 16384);
	fd = dial();
	ssl = start(ctx, fd, name, ticket);
	r = SSL_write_early_data(ssl, request, sizeof(request) - 1, &put);
	if (r != 1)
		ERR_print_errors_fp(stdout);
	else
		r = SSL_connect(ssl);
	printf("early sent %zu, %s\n", put,
	       SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED ? "taken" : "refused");
	if (r == 1) {
		answer(ssl, name, line, sizeof(line));
		printf("early then %s\n", line);
	}
	SSL_free(ssl);
	close(fd);
}

/* A hello for each name; the first byte of the answer is enough. */
static void names(SSL_CTX *ctx, const char *suffix, int n)
{
	int answered = 0;
	char name[300];

	for (int i = 0; i < n; i++) {
		struct pollfd p = { .events = POLLIN };
		unsigned char first = 0;
		SSL *ssl;

		snprintf(name, sizeof(name), "n%d.%s", i, suffix);
		p.fd = dial();
		ssl = SSL_new(ctx);
		SSL_set_fd(ssl, p.fd);
		SSL_set_tlsext_host_name(ssl, name);
		SSL_set_connect_state(ssl);
		/* The descriptor is blocking: the hello is written through a memory BIO. */
		SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
		if (SSL_do_handshake(ssl) != 1) {
			char *hello;
			long size = BIO_get_mem_data(SSL_get_wbio(ssl), &hello);

			if (send(p.fd, hello, (size_t)size, MSG_NOSIGNAL) == size &&
			    poll(&p, 1, 5000) > 0 && recv(p.fd, &first, 1, 0) == 1 && first == 22)
				answered++;
		}
		SSL_free(ssl);
		close(p.fd);
	}
	printf("names %d of %d answered\n", answered, n);
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int n;

	signal(SIGPIPE, SIG_IGN);
	if (argc != 6 || !ctx || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons((unsigned short)strtoul(argv[3], NULL, 10));
	n = (int)strtol(argv[5], NULL, 10);
	if (!strcmp(argv[1], "keyupdate"))
		keyupdate(ctx, argv[4], n);
	else if (!strcmp(argv[1], "renegotiate"))
		renegotiate(ctx, argv[4]);
	else if (!strcmp(argv[1], "early"))
		early(ctx, argv[4]);
	else if (!strcmp(argv[1], "names"))
		names(ctx, argv[4], n);
	else
		return 2;
	SSL_CTX_free(ctx);
	return 0;
}
