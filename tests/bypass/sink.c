// SPDX-License-Identifier: Apache-2.0
/*
 * The outside world: servers that read the token by TCP and UDP, and packet sockets on its link and
 * on the host's side of the job's link, which see what no server would: raw packets, DNS, reports.
 */
#include "outside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint8_t buf[1 << 17];

/* ---- servers ---- */

/* A token that comes in two pieces is still one. */
struct conn {
	unsigned how;
	size_t n;
	uint8_t kept[64 + 4096];
};

/* Connections of ours to the job; one that is not answered would stay for minutes. */
static int knocks[256];
static unsigned n_knocks;

static bool read_conn(int fd, void *arg)
{
	struct conn *c = arg;
	ssize_t n = recv(fd, c->kept + c->n, sizeof(c->kept) - c->n, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		for (unsigned i = 0; i < n_knocks; i++) {
			if (knocks[i] == fd)
				knocks[i] = knocks[--n_knocks];
		}
		close(fd);
		free(c);
		return false;
	}
	c->n += (size_t)n;
	if (seen(c->kept, c->n, c->how)) {
		(void)send(fd, "seen\n", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
		c->n = 0;
	} else if (c->n > 64) {
		memmove(c->kept, c->kept + c->n - 64, 64);
		c->n = 64;
	}
	return true;
}

static bool accept_conn(int fd, void *arg)
{
	int one = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct linger away = { 1, 0 };
	struct conn *c;

	if (one < 0)
		return true;
	c = calloc(1, sizeof(*c));
	if (!c)
		die("memory");
	c->how = (unsigned)(uintptr_t)arg;
	/* No end of ours may knock at a door that is not there any more: it would be answered. */
	setsockopt(one, SOL_SOCKET, SO_LINGER, &away, sizeof(away));
	watch(one, read_conn, c);
	return true;
}

static bool read_udp(int fd, void *arg)
{
	struct sockaddr_storage from;
	socklen_t from_n = sizeof(from);
	ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &from_n);

	if (n < 0)
		return true;
	if (seen(buf, (size_t)n, (unsigned)(uintptr_t)arg) && n < 1400) {
		/* To a resolver it is an answer: no such name. */
		if (n >= 12) {
			buf[2] |= 0x80;
			buf[3] = 0x83;
		}
		(void)sendto(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (struct sockaddr *)&from, from_n);
	}
	return true;
}

void sink_on(int fd, int type, unsigned how)
{
	watch(fd, type == SOCK_STREAM ? accept_conn : read_udp, (void *)(uintptr_t)how);
}

void sink_serve(const char *netns, uint16_t port, unsigned tcp, unsigned udp)
{
	sink_on(serve(netns, SOCK_STREAM, port), SOCK_STREAM, tcp);
	sink_on(serve(netns, SOCK_DGRAM, port), SOCK_DGRAM, udp);
}

/* ---- frames ---- */

/* What every namespace says when it comes up (ARP, neighbour discovery, reports), and what the host
 * itself answers to late packets of the sink: "unreachable" and resets. All are read for tokens. */
static bool is_control(const uint8_t *f, size_t n, bool *report)
{
	unsigned type = n >= 14 ? (unsigned)f[12] << 8 | f[13] : 0;
	unsigned icmp;

	*report = false;
	if (type == ETH_P_ARP)
		return true;
	if (type == ETH_P_IP && n >= 34 && f[23] == IPPROTO_IGMP)
		return *report = true;
	if (type == ETH_P_IP && n >= 54 && f[14] == 0x45)
		return (f[23] == IPPROTO_ICMP && f[34] == 3) || (f[23] == IPPROTO_TCP && f[47] & 4);
	if (type != ETH_P_IPV6 || n < 62)
		return false;
	if (f[20] == IPPROTO_TCP && n >= 74)
		return f[67] & 4;
	if (f[20] == IPPROTO_HOPOPTS && f[54] == IPPROTO_ICMPV6 && f[55] == 0)
		icmp = f[62 < n ? 62 : 61];
	else if (f[20] == IPPROTO_ICMPV6)
		icmp = f[54];
	else
		return false;
	*report = icmp == 130 || icmp == 131 || icmp == 132 || icmp == 143;
	return *report || (icmp >= 133 && icmp <= 137) || (f[20] == IPPROTO_ICMPV6 && icmp == 1);
}

static void in_words(const uint8_t *f, size_t n, char *to, size_t room)
{
	unsigned type = n >= 14 ? (unsigned)f[12] << 8 | f[13] : 0;
	char src[INET6_ADDRSTRLEN] = "?", dst[INET6_ADDRSTRLEN] = "?";

	if (type == ETH_P_IP && n >= 34) {
		inet_ntop(AF_INET, f + 26, src, sizeof(src));
		inet_ntop(AF_INET, f + 30, dst, sizeof(dst));
		snprintf(to, room, "IPv4 protocol %u, %s > %s, %zu bytes", f[23], src, dst, n);
	} else if (type == ETH_P_IPV6 && n >= 54) {
		inet_ntop(AF_INET6, f + 22, src, sizeof(src));
		inet_ntop(AF_INET6, f + 38, dst, sizeof(dst));
		snprintf(to, room, "IPv6 next %u, %s > %s, %zu bytes", f[20], src, dst, n);
	} else {
		snprintf(to, room, "type %04x, %zu bytes", type, n);
	}
}

/* Reports have the group in the place of the token. */
static void find_groups(const uint8_t *f, size_t n)
{
	for (size_t i = O.n_tries > 8 ? O.n_tries - 8 : 0; i < O.n_tries; i++) {
		struct attempted *a = &O.tries[i];

		for (size_t at = 14; a->c->by_group && at + 4 <= n; at++) {
			if (f[at] == 0xef && !memcmp(f + at + 1, a->group, 3)) {
				a->how |= BY_GROUP;
				a->tokens++;
			}
		}
	}
}

static bool read_frame(int fd, void *arg)
{
	unsigned how = (unsigned)(uintptr_t)arg;
	struct sockaddr_ll from;
	socklen_t from_n = sizeof(from);
	ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &from_n);
	struct attempted *a = now_trying();
	bool report;

	if (n <= 0 || from.sll_pkttype == PACKET_OUTGOING)
		return true;
	(void)seen(buf, (size_t)n, how);
	if (is_control(buf, (size_t)n, &report)) {
		if (report)
			find_groups(buf, (size_t)n);
		return true;
	}
	O.n_frames++;
	if (!a)
		return true;
	if (!a->frames++)
		in_words(buf, (size_t)n, a->frame, sizeof(a->frame));
	return true;
}

static void tap(const char *netns, const char *dev, unsigned how)
{
	int fd = socket_in(netns, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", dev);
	if (ioctl(fd, SIOCGIFINDEX, &ifr))
		die(dev);
	ll.sll_ifindex = all.mr_ifindex = ifr.ifr_ifindex;
	/* A bridge shows what passes between its ports only to the curious. */
	if (bind(fd, (struct sockaddr *)&ll, sizeof(ll)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)))
		die("packet socket");
	watch(fd, read_frame, (void *)(uintptr_t)how);
}

void sink_open(void)
{
	static const uint16_t ports[] = { 53, 80, 443, 853 };
	char taps[sizeof(O.taps)], *word, *save;

	sink_serve(O.origin_ns, O.four.target.port, BY_TCP, BY_UDP);
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		sink_serve(O.origin_ns, ports[i], BY_TCP, BY_UDP);
	tap(O.origin_ns, O.origin_dev, BY_FRAME);
	memcpy(taps, O.taps, sizeof(taps));
	for (word = strtok_r(taps, ",", &save); word; word = strtok_r(NULL, ",", &save))
		tap(O.host_ns, word, BY_LINK);
}

/* ---- connections from the outside ---- */

static bool inbound;
static unsigned ticks;

void sink_inbound(bool on)
{
	inbound = on;
	ticks = 0;
	/* They end by themselves now, at the next look. */
	for (unsigned i = 0; i < n_knocks; i++)
		(void)shutdown(knocks[i], SHUT_RDWR);
}

void sink_tick(void)
{
	struct attempted *a = now_trying();
	struct sockaddr_storage ss;
	const struct target *t;
	struct conn *c;
	socklen_t n;
	int fd;

	/* Every third look of the driver's, UDP once. */
	if (!inbound || !a || n_knocks + 2 > sizeof(knocks) / sizeof(*knocks) || ticks++ % 3)
		return;
	t = a->family == AF_INET ? &O.four.target : &O.six.target;
	if (a->c->listens)
		n = sa_make(a->family, t->host, (uint16_t)(t->host_port + 1), &ss);
	else
		n = *t->self ? sa_make(a->family, t->self, (uint16_t)(t->port + 1), &ss) : 0;
	if (!n)
		return;
	for (int udp = 0; udp < (ticks == 4 ? 2 : 1); udp++) {
		fd = socket_in(O.origin_ns, a->family,
			       (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS) {
			close(fd);
			continue;
		}
		if (udp)
			(void)send(fd, "come\n", 5, MSG_NOSIGNAL);
		c = calloc(1, sizeof(*c));
		if (!c)
			die("memory");
		c->how = BY_INBOUND;
		knocks[n_knocks++] = fd;
		watch(fd, read_conn, c);
	}
}
