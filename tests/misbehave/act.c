/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy that was taken over, for tests/e2e/cage.sh: linked over the real one (ld --wrap), never
 * into a product. A request for a name below act.test makes it do what the name says, and tell the
 * log what came of it; its own system call filter is taken away first, so that what refuses is the
 * kernel's cage alone.
 *
 *   tcp-ADDR-PORT udp-ADDR-PORT   ADDR: 8 or 32 hexadecimal digits; not told
 *   lie-ADDR-PORT                 told as a dial of api.test's own address
 *   raw-N bind-PORT               a raw socket; a listener
 */
#include "base/jail_calls.h"
#include "base/log.h"
#include "proxy/told.h"
#include "proxy/upstream.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int __wrap_jail_calls(uint32_t may);
struct upstream_want *__real_upstream_get(struct proxy *px, const struct upstream_ask *ask,
					  upstream_fn fn, void *owner);
struct upstream_want *__wrap_upstream_get(struct proxy *px, const struct upstream_ask *ask,
					  upstream_fn fn, void *owner);

int __wrap_jail_calls(uint32_t may)
{
	return 0;
}

static const uint8_t good[16] = { [10] = 0xff, 0xff, 198, 51, 100, 10 };

static socklen_t address(const char *hex, unsigned port, struct sockaddr_storage *to)
{
	struct sockaddr_in *four = (void *)to;
	struct sockaddr_in6 *six = (void *)to;
	size_t n = strlen(hex) / 2;
	uint8_t b[16] = { 0 };

	memset(to, 0, sizeof(*to));
	for (size_t i = 0; i < n && i < 16; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };

		b[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	if (n == 4) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		memcpy(&four->sin_addr, b, 4);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)port);
	memcpy(&six->sin6_addr, b, 16);
	return sizeof(*six);
}

static void ignored(void *owner, int err, uint64_t n)
{
}

static int act(struct proxy *px, const char *what, const char *hex, unsigned port)
{
	struct sockaddr_storage ss;
	const struct told_for api = { STR("api.test"), 443, false };
	socklen_t len = address(hex, port, &ss);
	bool udp = !strcmp(what, "udp");
	int fd, r;

	if (!strcmp(what, "raw")) {
		fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
		r = fd < 0 ? -errno : 0;
	} else if (!strcmp(what, "bind")) {
		struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(8099) };

		fd = socket(AF_INET, SOCK_STREAM, 0);
		r = bind(fd, (void *)&any, sizeof(any)) || listen(fd, 1) ? -errno : 0;
	} else if (udp) {
		fd = socket(ss.ss_family, SOCK_DGRAM, 0);
		r = sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? -errno : 0;
	} else {
		fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (!strcmp(what, "lie"))
			(void)told_dial(px, fd, &api, good, 443, ignored, NULL);
		r = connect(fd, (void *)&ss, len) < 0 && errno != EINPROGRESS ? -errno : 0;
	}
	/* Open until the process ends: what is sent on it goes out. */
	return r;
}

struct upstream_want *__wrap_upstream_get(struct proxy *px, const struct upstream_ask *ask,
					  upstream_fn fn, void *owner)
{
	char name[HOST_MAX + 1] = "", *save = NULL, *what, *hex, *port;
	int r;

	memcpy(name, ask->host.p, ask->host.n < HOST_MAX ? ask->host.n : HOST_MAX);
	if (strstr(name, ".act.test")) {
		*strchr(name, '.') = 0;
		what = strtok_r(name, "-", &save);
		hex = strtok_r(NULL, "-", &save);
		port = strtok_r(NULL, "-", &save);
		r = act(px, what, hex ? hex : "", port ? (unsigned)strtoul(port, NULL, 10) : 0);
		log_info("misbehave %s %s %s: %s", what, hex ? hex : "", port ? port : "",
			 r ? strerror(-r) : "went through");
	}
	return __real_upstream_get(px, ask, fn, owner);
}
