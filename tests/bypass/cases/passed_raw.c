// SPDX-License-Identifier: Apache-2.0
/* Who cannot make one may still be given one. */
#include "../case.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_any(t, a), got;

	if (fd < 0)
		return;
	got = friend_give(t, a, fd, "raw");
	if (got < 0)
		return;
	/* The header is ours. */
	struct sockaddr_storage ss;
	socklen_t len = sa_make(t->family, t->addr, 0, &ss);
	uint8_t b[128] = { 0 };
	size_t n = strlen(t->token), at = t->family == AF_INET ? 20 : 40;

	if (t->family == AF_INET) {
		b[0] = 0x45;
		b[8] = 64;
		b[9] = 253;
		memcpy(b + 16, &((struct sockaddr_in *)&ss)->sin_addr, 4);
	} else {
		b[0] = 0x60;
		b[5] = (uint8_t)n;
		b[6] = 253;
		b[7] = 64;
		memcpy(b + 24, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
	}
	memcpy(b + at, t->token, n);
	if (sendto(got, b, at + n, MSG_NOSIGNAL, (struct sockaddr *)&ss, len) < 0)
		failed(a, "sendto");
	close(got);
}

CASE(passed_raw) = { .title = "A raw socket by SCM_RIGHTS",
		     .source = "bpf.md section 5, foreign sockets; surprise 2",
		     .group = "local",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .lsm_only = EVERYWHERE,
		     .attempt = attempt };
