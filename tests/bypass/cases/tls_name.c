// SPDX-License-Identifier: Apache-2.0
/* The name in a ClientHello is readable on the wire before anything is encrypted. */
#include "../case.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const uint8_t head[] = { 0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3 };
	static const uint8_t after[] = { 0, 0, 2, 0x13, 1, 1, 0 };
	struct pollfd p = { .events = POLLIN };
	uint8_t b[300] = { 0 };
	char name[96];
	size_t n = sizeof(head), len, ext;

	snprintf(name, sizeof(name), "%s.example", t->token);
	len = strlen(name);
	memcpy(b, head, sizeof(head));
	n += 32; /* random */
	memcpy(b + n, after, sizeof(after));
	n += sizeof(after);
	ext = len + 9;
	b[n++] = 0;
	b[n++] = (uint8_t)ext;
	n += 2; /* server_name */
	b[n++] = 0;
	b[n++] = (uint8_t)(len + 5);
	b[n++] = 0;
	b[n++] = (uint8_t)(len + 3);
	n += 2;
	b[n++] = (uint8_t)len;
	memcpy(b + n, name, len);
	n += len;
	b[4] = (uint8_t)(n - 5);
	b[8] = (uint8_t)(n - 9);
	p.fd = dial(a, t->family, SOCK_STREAM, 0, t->addr, 443);
	if (p.fd < 0)
		return;
	if (send(p.fd, b, n, MSG_NOSIGNAL) < 0)
		failed(a, "send");
	(void)poll(&p, 1, 200);
	close(p.fd);
}

CASE(tls_name) = { .title = "The token as a TLS server name",
		   .source = "field B15, B28",
		   .group = "resolver",
		   .families = FOUR | SIX,
		   .settings = EVERYWHERE,
		   .attempt = attempt };
