// SPDX-License-Identifier: Apache-2.0
/* The enforcer crashes, all of it, and a process on the host takes the ports that the job's
 * connections and questions are still turned to. */
#include "../wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint16_t captured(const struct target *t, uint16_t port)
{
	char line[64], answer[64] = "";

	snprintf(line, sizeof(line), "take %d %u", t->family == AF_INET ? 4 : 6, port);
	(void)outside_does(line, answer, sizeof(answer));
	return strcmp(answer, "here") == 0 ? port : 0;
}

/* One socket that asks before the crash and after it. */
static void ask(int fd, const char *name)
{
	char full[128];
	uint8_t q[512];
	size_t n;

	snprintf(full, sizeof(full), "%s.example.com", name);
	n = dns_question(q, sizeof(q), full, DNS_A);
	(void)!send(fd, q, n, MSG_NOSIGNAL);
}

static void attempt(const struct target *t, struct attempt *a)
{
	uint16_t tcp = turned_port(t, SOCK_STREAM), udp = turned_port(t, SOCK_DGRAM);
	int known = dial(a, t->family, SOCK_DGRAM, 0, t->addr, 53);
	char answer[64];

	for (int i = 0; i < 3; i++)
		ask(known, "known");

	if (!outside_does("crash", answer, sizeof(answer)) || strcmp(answer, "done") != 0) {
		failed(a, "no crash");
		return;
	}
	if (udp)
		(void)captured(t, udp);
	if (!captured(t, tcp ? tcp : (uint16_t)(t->host_port + 2)))
		snprintf(a->said, sizeof(a->said), "the port could not be taken");
	if (!tcp) /* nobody turns it */
		dial_and_tell(t, a, SOCK_STREAM, 0, loopback(t->family),
			      (uint16_t)(t->host_port + 2));
	ask(known, t->token);
	close(known);
	dns_tell(t, a, SOCK_DGRAM, t->addr, 53, "%s.example.com", DNS_A);
	dial_and_tell(t, a, SOCK_STREAM, 0, t->addr, t->port);
}

CASE(port_captured) = { .title = "The listener's port, taken after a crash of the enforcer",
			.source = "bpf.md 1: port capture",
			.group = "crash",
			.families = FOUR | SIX,
			.settings = OWN | HOST,
			.crash = true,
			.attempt = attempt };
