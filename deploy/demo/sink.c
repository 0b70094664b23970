/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outside world's ear, for the demo and the tests: a name server that answers A and AAAA from a
 * fixed table and writes down each question, and a UDP sink that writes down each datagram. Stands
 * alone in a network namespace of its own; the demo and the tests count its lines to learn what
 * left the job, without asking egret. Trusts nothing that it receives.
 *
 *   sink LOG ADDRESS:53 name=ip[,ip6] ...      name server; `*.zone=ip` answers for all below zone
 *   sink LOG ADDRESS:443                       sink
 *
 * A line of LOG: "dns NAME TYPE" or "udp PORT LENGTH", from one write each.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TYPE_A 1
#define TYPE_AAAA 28
#define HEAD 12

struct packet {
	uint8_t bytes[1500];
	size_t n;
};

/* The question's name as text; control bytes and dots inside labels become '?'. Where the name ends
 * in the packet, or 0. */
static size_t read_name(const uint8_t *p, size_t n, char *to, size_t size)
{
	size_t at = HEAD, w = 0;

	while (at < n && p[at]) {
		size_t len = p[at++];

		if (len > 63 || at + len >= n || w + len + 2 > size)
			return 0;
		if (w)
			to[w++] = '.';
		for (size_t i = 0; i < len; i++) {
			uint8_t c = p[at + i];

			to[w++] = isalnum(c) || c == '-' || c == '_' ? (char)tolower(c) : '?';
		}
		at += len;
	}
	to[w] = 0;
	return at + 5 <= n ? at + 1 : 0;
}

static bool name_fits(const char *pattern, size_t pn, const char *name)
{
	size_t n = strlen(name);

	if (pn > 2 && pattern[0] == '*')
		return n >= pn && !memcmp(name + n - (pn - 1), pattern + 1, pn - 1);
	return n == pn && !memcmp(name, pattern, n);
}

static void put16(struct packet *r, unsigned v)
{
	r->bytes[r->n++] = (uint8_t)(v >> 8);
	r->bytes[r->n++] = (uint8_t)v;
}

/* Appends one answer record per address of the table that has the question's type. */
static unsigned answer(struct packet *r, const char *name, unsigned type, char **table)
{
	unsigned count = 0;

	for (; *table; table++) {
		const char *eq = strchr(*table, '=');

		if (!eq || !name_fits(*table, (size_t)(eq - *table), name))
			continue;
		char list[512];

		snprintf(list, sizeof(list), "%s", eq + 1);
		char *rest = list, *one;

		while ((one = strsep(&rest, ","))) {
			uint8_t a[16];
			size_t an = inet_pton(AF_INET, one, a) == 1    ? 4
				    : inet_pton(AF_INET6, one, a) == 1 ? 16
								       : 0;

			if (an != (type == TYPE_A      ? 4u
				   : type == TYPE_AAAA ? 16u
						       : 99u) ||
			    r->n + 12 + an > sizeof(r->bytes))
				continue;
			put16(r, 0xc000 | HEAD);
			put16(r, type);
			put16(r, 1);
			put16(r, 0);
			put16(r, 60);
			put16(r, (unsigned)an);
			memcpy(r->bytes + r->n, a, an);
			r->n += an;
			count++;
		}
		break;
	}
	return count;
}

static void serve_dns(int sock, int log, const struct packet *q,
		      const struct sockaddr_storage *from, socklen_t fromlen, char **table)
{
	char name[300], line[400];
	size_t end = q->n > HEAD ? read_name(q->bytes, q->n, name, sizeof(name)) : 0;

	if (!end || (q->bytes[2] & 0x80))
		return;
	unsigned type = (unsigned)q->bytes[end] << 8 | q->bytes[end + 1];
	struct packet r = { .n = end + 4 };
	int n = snprintf(line, sizeof(line), "dns %s %u\n", name, type);

	if (write(log, line, (size_t)n) != n)
		exit(1);
	memcpy(r.bytes, q->bytes, r.n);
	r.bytes[2] = 0x84 | (q->bytes[2] & 1);
	memset(r.bytes + 4, 0, 8);
	r.bytes[5] = 1;
	bool known = false;

	for (char **t = table; *t; t++) {
		const char *eq = strchr(*t, '=');

		known = known || (eq && name_fits(*t, (size_t)(eq - *t), name));
	}
	r.bytes[7] = (uint8_t)answer(&r, name, type, table);
	r.bytes[3] = known ? 0x80 : 0x83;
	sendto(sock, r.bytes, r.n, 0, (const struct sockaddr *)from, fromlen);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "sink: usage: sink LOG ADDRESS:PORT [name=ip,ip...]...\n");
		return 2;
	}
	int log = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	char *colon = strrchr(argv[2], ':');

	if (log < 0 || !colon) {
		fprintf(stderr, "sink: %s: %s\n", argv[1], colon ? strerror(errno) : "no port");
		return 1;
	}
	*colon = 0;
	unsigned port = (unsigned)strtoul(colon + 1, NULL, 10);
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	bool six = inet_pton(AF_INET6, argv[2], &a6.sin6_addr) == 1;
	int sock = -1;

	if (six || inet_pton(AF_INET, argv[2], &a4.sin_addr) == 1)
		sock = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0 ||
	    bind(sock, six ? (void *)&a6 : (void *)&a4, six ? sizeof(a6) : sizeof(a4))) {
		fprintf(stderr, "sink: %s port %u: %s\n", argv[2], port, strerror(errno));
		return 1;
	}
	for (;;) {
		struct packet q;
		struct sockaddr_storage from;
		socklen_t fromlen = sizeof(from);
		ssize_t n = recvfrom(sock, q.bytes, sizeof(q.bytes), 0, (struct sockaddr *)&from,
				     &fromlen);

		if (n < 0)
			continue;
		q.n = (size_t)n;
		if (port == 53) {
			serve_dns(sock, log, &q, &from, fromlen, argv + 3);
		} else {
			char line[64];
			int len = snprintf(line, sizeof(line), "udp %u %zd\n", port, n);

			if (write(log, line, (size_t)len) != len)
				return 1;
		}
	}
}
