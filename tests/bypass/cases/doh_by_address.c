// SPDX-License-Identifier: Apache-2.0
/* DNS over HTTPS to an address: no name is asked for. */
#include "../case.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void wait_answer(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)poll(&p, 1, 200);
	close(fd);
}

static void attempt(const struct target *t, struct attempt *a)
{
	char text[300];
	int fd = dial(a, t->family, SOCK_STREAM, 0, t->addr, 443);

	if (fd < 0)
		return;
	snprintf(text, sizeof(text),
		 "POST /dns-query HTTP/1.1\r\nHost: dns.example\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(t->token), t->token);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		failed(a, "send");
	wait_answer(fd);
}

CASE(doh_by_address) = { .title = "DoH, plain words on port 443",
			 .source = "field A2: CVE-2026-32947",
			 .group = "resolver",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
