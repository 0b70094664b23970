// SPDX-License-Identifier: Apache-2.0
/* Whatever listens on the job's loopback is spoken to as a proxy: in HTTP, by CONNECT, in SOCKS, by
 * words. */
#include "../case.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Speaks first, and again when it was answered. */
static void say(const struct target *t, struct attempt *a, const char *to, uint16_t port,
		const char *first, const char *then)
{
	static const uint8_t socks[] = { 5, 1, 0, 1, 198, 51, 100, 10, 7777 >> 8, 7777 & 255 };
	struct pollfd p = { .events = POLLIN };
	char answer[512];

	p.fd = dial(a, t->family, SOCK_STREAM, 0, to, port);
	if (p.fd < 0)
		return;
	/* A SOCKS greeting ends with a byte 0, which is no text. */
	(void)send(p.fd, first, strlen(first) + (*first == 5), MSG_NOSIGNAL);
	if (poll(&p, 1, 150) == 1 && recv(p.fd, answer, sizeof(answer), 0) > 0 && then) {
		if (*first == 5) {
			(void)send(p.fd, socks, sizeof(socks), MSG_NOSIGNAL);
			(void)poll(&p, 1, 150);
		}
		(void)send(p.fd, then, strlen(then), MSG_NOSIGNAL);
		(void)poll(&p, 1, 50);
	}
	close(p.fd);
}

static void attempt(const struct target *t, struct attempt *a)
{
	const char *dst = t->family == AF_INET ? "198.51.100.10" : "[2001:db8:51::10]";
	const char *lo = t->family == AF_INET ? "127.0.0.1" : "::1";
	uint16_t ports[64];
	size_t n = t->family == AF_INET
			   ? local_ports("tcp", "0100007F", ports, 32)
			   : local_ports("tcp6", "00000000000000000000000001000000", ports, 32);
	char text[400];

	/* Those on all addresses too. */
	n += local_ports("tcp6", "00000000000000000000000000000000", ports + n, 32);
	if (!n) {
		errno = ENOENT;
		failed(a, "nothing listens here");
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "GET http://%s:%u/%s HTTP/1.1\r\nHost: %s:%u\r\n\r\n",
			 dst, t->port, t->token, dst, t->port);
		say(t, a, lo, ports[i], text, NULL);
		snprintf(text, sizeof(text), "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n\r\n", dst,
			 t->port, dst, t->port);
		say(t, a, lo, ports[i], text, t->token);
		say(t, a, lo, ports[i], "\005\001", t->token);
		say(t, a, lo, ports[i], t->token, NULL);
	}
}

CASE(local_listener) = { .title = "Direct talk to the proxy's listener",
			 .source = "field C44: egress-filter AUDIT S1",
			 .group = "local",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
