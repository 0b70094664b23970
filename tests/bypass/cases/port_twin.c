// SPDX-License-Identifier: Apache-2.0
/* The colluder serves, in the host's network namespace, the very port that the job's connections
 * are turned to in its own: who goes by the number alone takes one for the other. */
#include "../wire.h"

#include <stdio.h>
#include <string.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint16_t ports[] = { turned_port(t, SOCK_STREAM), turned_port(t, SOCK_DGRAM) };
	char line[64], answer[64];

	for (int i = 0; i < 2; i++) {
		if (!ports[i])
			ports[i] = (uint16_t)(t->host_port + 4);
		snprintf(line, sizeof(line), "take %d %u", t->family == AF_INET ? 4 : 6, ports[i]);
		(void)outside_does(line, answer, sizeof(answer));
		dial_and_tell(t, a, SOCK_STREAM, 0, loopback(t->family), ports[i]);
	}
	dial_and_tell(t, a, SOCK_STREAM, 0, t->addr, t->port);
	dns_tell(t, a, SOCK_DGRAM, t->addr, 53, "%s.example.com", DNS_A);
}

CASE(port_twin) = { .title = "The listener's port in another network namespace",
		    .source = "issue 4: same ports in two namespaces; bpf.md 2",
		    .group = "local",
		    .families = FOUR | SIX,
		    .settings = EVERYWHERE,
		    .attempt = attempt };
