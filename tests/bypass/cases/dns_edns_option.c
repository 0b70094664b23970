// SPDX-License-Identifier: Apache-2.0
/* The name is harmless, an option behind it is not. */
#include "../case.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct pollfd p = { .events = POLLIN };
	int family;
	const char *server = job_resolver(t, &family);
	uint8_t q[300];
	size_t n = dns_question(q, sizeof(q) - 80, "localhost.example", DNS_A),
	       len = strlen(t->token);
	/* OPT: root, type 41, size 1232, no flags; option 65001. */
	const uint8_t opt[] = { 0,    0,    41, 4,	     208, 0, 0, 0, 0, 0, (uint8_t)(len + 4),
				0xfd, 0xe9, 0,	(uint8_t)len };

	q[11] = 1;
	memcpy(q + n, opt, sizeof(opt));
	memcpy(q + n + sizeof(opt), t->token, len);
	p.fd = dial(a, family, SOCK_DGRAM, 0, server, 53);
	if (p.fd < 0)
		return;
	if (send(p.fd, q, n + sizeof(opt) + len, MSG_NOSIGNAL) < 0)
		failed(a, "send");
	(void)poll(&p, 1, 200);
	close(p.fd);
}

CASE(dns_edns_option) = { .title = "A token in an EDNS option",
			  .source = "RFC 6891 options are forwarded by some resolvers",
			  .group = "resolver",
			  .families = FOUR,
			  .settings = EVERYWHERE,
			  .attempt = attempt };
