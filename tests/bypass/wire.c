// SPDX-License-Identifier: Apache-2.0
/*
 * See wire.h: sockets, sends, routes and packets by hand. Called by cases/ inside the job; trusts
 * nothing but the kernel's answers.
 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif

int sock_open(struct attempt *a, int family, int type, int proto, const char *what)
{
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	if (fd < 0)
		lacking(a, what);
	return fd;
}

int udp_open(const struct target *t, struct attempt *a)
{
	return sock_open(a, t->family, SOCK_DGRAM, 0, "socket");
}

bool tell(const struct target *t, struct attempt *a, int fd, int flags)
{
	if (send(fd, t->token, strlen(t->token), MSG_NOSIGNAL | flags) < 0)
		return failed(a, "send");
	return true;
}

bool tell_control(const struct target *t, struct attempt *a, int fd, const char *addr, int level,
		  int type, const void *data, size_t n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(64)];
	} control = { 0 };
	struct sockaddr_storage ss;
	struct iovec iov = { (void *)t->token, strlen(t->token) };
	struct msghdr m = { .msg_name = &ss,
			    .msg_namelen = sa_make(t->family, addr, t->port, &ss),
			    .msg_iov = &iov,
			    .msg_iovlen = 1 };

	if (data && n <= 64) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n);
		control.head.cmsg_level = level;
		control.head.cmsg_type = type;
		control.head.cmsg_len = CMSG_LEN(n);
		memcpy(CMSG_DATA(&control.head), data, n);
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		return failed(a, "sendmsg");
	return true;
}

bool tell_in_syn(const struct target *t, struct attempt *a, int fd, int family, const char *addr)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(family, addr, t->port, &ss);
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on)))
		return lacking(a, "TCP_FASTOPEN_NO_COOKIE");
	if (sendto(fd, t->token, strlen(t->token), MSG_NOSIGNAL | MSG_FASTOPEN,
		   (struct sockaddr *)&ss, n) < 0 &&
	    errno != EINPROGRESS)
		return failed(a, "sendto(MSG_FASTOPEN)");
	/* Does not wait for an answer: the first segment is what counts. */
	(void)wait_connected(fd, 100);
	return true;
}

bool join_and_tell(const struct target *t, struct attempt *a, int fd, int family, const char *addr,
		   uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(family, addr, port, &ss);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int err;

	if (connect(fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS)
		return failed(a, "connect");
	err = wait_connected(fd, 400);
	if (err) {
		errno = err;
		return failed(a, "connect");
	}
	if (!tell(t, a, fd, 0))
		return false;
	(void)poll(&p, 1, 200);
	return true;
}

bool link_index(const struct target *t, struct attempt *a, unsigned *ret)
{
	unsigned i = t->dev[0] ? if_nametoindex(t->dev) : 0;

	if (!i) {
		errno = ENODEV;
		return failed(a, "no link here");
	}
	*ret = i;
	return true;
}

const char *loopback(int family)
{
	return family == AF_INET ? "127.0.0.1" : "::1";
}

int listen_own(struct attempt *a, int family, uint16_t *ret)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(family, loopback(family), 0, &ss);
	int fd = sock_open(a, family, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&ss, n) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&ss, &n)) {
		failed(a, "listen on loopback");
		close(fd);
		return -1;
	}
	*ret = ntohs(((struct sockaddr_in *)&ss)->sin_port); /* the same place in both families */
	return fd;
}

size_t source_route(const struct target *t, uint8_t type, uint8_t to[12])
{
	memset(to, 0, 12);
	to[0] = type;
	to[1] = 7;
	to[2] = 4;
	inet_pton(AF_INET, t->addr, to + 3); /* then the end of the list, padded to words */
	return 8;
}

size_t routing_header(const struct target *t, uint8_t type, uint8_t to[40])
{
	bool segments = type == 4;

	memset(to, 0, 40);
	to[1] = segments ? 4 : 2;
	to[2] = type;
	to[3] = 1;
	if (segments)
		to[4] = 1; /* the list's last: the first hop; place 0 is the kernel's to fill */
	inet_pton(AF_INET6, t->addr, to + (segments ? 24 : 8));
	return segments ? 40 : 24;
}

/* ---- packets ---- */

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return s;
}

static void sum_put(uint8_t *to, uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	s = ~s & 0xffff;
	to[0] = (uint8_t)(s >> 8);
	to[1] = (uint8_t)s;
}

static size_t ip_head(const struct target *t, uint8_t *to, uint8_t proto, size_t payload)
{
	const char *self = t->self[0] ? t->self : loopback(t->family);
	size_t n = t->family == AF_INET ? 20 : 40;

	memset(to, 0, n);
	if (t->family == AF_INET) {
		to[0] = 0x45;
		to[2] = (uint8_t)((n + payload) >> 8);
		to[3] = (uint8_t)(n + payload);
		to[4] = 0x77;
		to[8] = 64;
		to[9] = proto;
		inet_pton(AF_INET, self, to + 12);
		inet_pton(AF_INET, t->addr, to + 16);
	} else {
		to[0] = 0x60;
		to[4] = (uint8_t)(payload >> 8);
		to[5] = (uint8_t)payload;
		to[6] = proto;
		to[7] = 64;
		inet_pton(AF_INET6, self, to + 8);
		inet_pton(AF_INET6, t->addr, to + 24);
	}
	return n;
}

static void ip_sum(const struct target *t, uint8_t *to)
{
	if (t->family == AF_INET)
		sum_put(to + 10, sum(0, to, 20));
}

size_t wire_udp(const struct target *t, uint8_t *to)
{
	size_t len = strlen(t->token), at = ip_head(t, to, IPPROTO_UDP, 8 + len);
	size_t addrs = t->family == AF_INET ? 12 : 8;
	uint8_t *udp = to + at;

	ip_sum(t, to);
	udp[0] = 0x77;
	udp[1] = 0x77;
	udp[2] = (uint8_t)(t->port >> 8);
	udp[3] = (uint8_t)t->port;
	udp[4] = 0;
	udp[5] = (uint8_t)(8 + len);
	udp[6] = udp[7] = 0;
	memcpy(udp + 8, t->token, len);
	sum_put(udp + 6,
		sum(sum(IPPROTO_UDP + 8 + (uint32_t)len, to + addrs, at - addrs), udp, 8 + len));
	return at + 8 + len;
}

size_t wire_late(const struct target *t, uint8_t *to)
{
	size_t len = strlen(t->token), at;

	if (t->family == AF_INET) {
		at = ip_head(t, to, IPPROTO_UDP, len);
		to[7] = 2; /* in words of 8 bytes; no more to come */
		ip_sum(t, to);
	} else {
		at = ip_head(t, to, IPPROTO_FRAGMENT, 8 + len);
		memset(to + at, 0, 8);
		to[at] = IPPROTO_UDP;
		to[at + 3] = 2 << 3;
		to[at + 7] = 0x77;
		at += 8;
	}
	memcpy(to + at, t->token, len);
	return at + len;
}

size_t wire_ether(const struct target *t, uint8_t *to, uint16_t type)
{
	static const uint8_t own[6] = { 0x02, 0, 0, 0, 0, 0x77 };

	if (!type)
		type = t->family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6;
	memset(to, 0xff, 6);
	memcpy(to + 6, own, 6);
	to[12] = (uint8_t)(type >> 8);
	to[13] = (uint8_t)type;
	return 14;
}

int packet_open(struct attempt *a, int type)
{
	return sock_open(a, AF_PACKET, type, 0, "socket(AF_PACKET)");
}

bool packet_send(const struct target *t, struct attempt *a, int fd, const void *frame, size_t n)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(t->family == AF_INET ? ETHERTYPE_IP
									     : ETHERTYPE_IPV6),
				  .sll_halen = 6 };
	unsigned dev = 0;

	if (!link_index(t, a, &dev))
		return false;
	ll.sll_ifindex = (int)dev;
	memset(ll.sll_addr, 0xff, 6);
	if (sendto(fd, frame, n, 0, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		return failed(a, "sendto(AF_PACKET)");
	return true;
}
