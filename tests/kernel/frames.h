/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames as a hostile job makes them, for tc.c: one well-formed datagram, and what can be done to
 * it; and the ways by which a frame is handed to a link: packet sockets and AF_XDP.
 */
#ifndef EGRET_TESTS_KERNEL_FRAMES_H
#define EGRET_TESTS_KERNEL_FRAMES_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_XDP
#define SOL_XDP 283
#define AF_XDP 44
#endif
#define FRAME_ROOM 2048
#define L3 14

/* What is done to the frame: to its head, or between the heads. */
enum twist {
	PLAIN,
	VLAN,
	IHL_6, /* an option: loose source route */
	IHL_4,
	MORE, /* the first fragment */
	LATER,
	TAIL,  /* bytes behind what the header says */
	SHORT, /* fewer than it says */
	HOPBYHOP,
	ROUTING,
	FRAGMENT,
	DESTOPTS,
	UDP_LONGER,
	TCP_OFFSET,
	TYPE,	 /* no ethertype of ours */
	VERSION, /* IPv6 inside a frame that says IPv4 */
	FLOOD,	 /* to every station */
	PROTO,	 /* UDP-Lite */
};

struct frame {
	const char *from, *to; /* addresses */
	uint8_t dest[6], source[6];
	enum twist twist;
	int proto;     /* IPPROTO_TCP, IPPROTO_UDP */
	uint8_t flags; /* TCP's */
	uint16_t sport, dport;
};

static inline uint16_t sum16(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t) ~(s + (s >> 16)));
}

static inline void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The transport's header with one byte behind it. */
static inline size_t put_l4(const struct frame *f, uint8_t *p)
{
	memset(p, 0, 24);
	put16(p, f->sport);
	put16(p + 2, f->dport);
	if (f->proto == IPPROTO_TCP) {
		p[12] = f->twist == TCP_OFFSET ? 0x30 : 0x50;
		p[13] = f->flags;
		put16(p + 14, 1000);
		p[20] = 'x';
		return 21;
	}
	put16(p + 4, f->twist == UDP_LONGER ? 12 : 9);
	p[8] = 'x';
	return 9;
}

static inline size_t put_four(const struct frame *f, uint8_t *p)
{
	static const uint8_t lsrr[4] = { 131, 3, 4, 0 };
	size_t up = f->twist == IHL_6 ? 24 : 20, n = up + put_l4(f, p + up);
	uint16_t sum;

	memset(p, 0, up);
	p[0] = f->twist == IHL_6 ? 0x46 : f->twist == IHL_4 ? 0x44 : 0x45;
	put16(p + 2, f->twist == TAIL ? n - 1 : f->twist == SHORT ? n + 1 : n);
	put16(p + 6, f->twist == MORE ? 0x2000 : f->twist == LATER ? 100 : 0x4000);
	p[8] = 64;
	p[9] = (uint8_t)(f->twist == PROTO ? IPPROTO_UDPLITE : f->proto);
	inet_pton(AF_INET, f->from, p + 12);
	inet_pton(AF_INET, f->to, p + 16);
	if (up == 24)
		memcpy(p + 20, lsrr, 4);
	sum = sum16(p, up);
	memcpy(p + 10, &sum, 2);
	return n;
}

static inline size_t put_six(const struct frame *f, uint8_t *p)
{
	uint8_t next = f->twist == HOPBYHOP   ? IPPROTO_HOPOPTS
		       : f->twist == ROUTING  ? IPPROTO_ROUTING
		       : f->twist == FRAGMENT ? IPPROTO_FRAGMENT
		       : f->twist == DESTOPTS ? IPPROTO_DSTOPTS
					      : (uint8_t)f->proto;
	size_t ext = next == f->proto ? 0 : 8, n;

	memset(p, 0, 48);
	p[0] = 0x60;
	p[6] = next;
	p[7] = 64;
	inet_pton(AF_INET6, f->from, p + 8);
	inet_pton(AF_INET6, f->to, p + 24);
	if (ext) {
		p[40] = (uint8_t)f->proto;
		if (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS)
			p[42] = 1, p[43] = 4; /* padding */
	}
	n = ext + put_l4(f, p + 40 + ext);
	put16(p + 4, f->twist == TAIL ? n - 1 : n);
	return 40 + n;
}

static inline size_t frame_put(const struct frame *f, uint8_t *p)
{
	bool six = strchr(f->to, ':') != NULL;
	size_t at = 12;

	memcpy(p, f->dest, 6);
	memcpy(p + 6, f->source, 6);
	if (f->twist == FLOOD)
		memset(p, 0xff, 6);
	if (f->twist == VLAN) {
		put16(p + at, ETH_P_8021Q);
		put16(p + at + 2, 7);
		at += 4;
	}
	put16(p + at, f->twist == TYPE		   ? 0x88b5
		      : six && f->twist != VERSION ? ETH_P_IPV6
						   : ETH_P_IP);
	at += 2;
	return at + (six ? put_six(f, p + at) : put_four(f, p + at));
}

/* ---- ways to the link; all are run in the container's namespace ---- */

static inline int packet_send(int type, bool bypass, unsigned dev, const uint8_t *p, size_t n)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)dev,
				  .sll_halen = 6 };
	int fd = socket(AF_PACKET, type | SOCK_CLOEXEC, 0), one = 1, r = 0;

	memcpy(ll.sll_addr, p, 6);
	memcpy(&ll.sll_protocol, p + 12, 2);
	if (fd < 0)
		return errno;
	if (bypass && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0)
		r = errno;
	if (type == SOCK_DGRAM) {
		p += L3;
		n -= L3;
	}
	if (!r && sendto(fd, p, n, 0, (void *)&ll, sizeof(ll)) != (ssize_t)n)
		r = errno;
	close(fd);
	return r;
}

/* One frame by AF_XDP's ring, copied. EAFNOSUPPORT, EOPNOTSUPP: this kernel has it not. */
static inline int xdp_send(unsigned dev, const uint8_t *p, size_t n)
{
	const int entries = 4;
	uint8_t *area = mmap(NULL, entries * FRAME_ROOM, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct xdp_umem_reg reg = { .addr = (uintptr_t)area,
				    .len = (uint64_t)entries * FRAME_ROOM,
				    .chunk_size = FRAME_ROOM };
	struct sockaddr_xdp to = { .sxdp_family = AF_XDP,
				   .sxdp_flags = XDP_COPY,
				   .sxdp_ifindex = dev };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), r = 0;
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	struct xdp_desc d = { .len = (uint32_t)n };
	uint32_t one = 1;
	uint8_t *tx;

	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &entries, sizeof(entries)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &entries, sizeof(entries)) ||
	    setsockopt(fd, SOL_XDP, XDP_TX_RING, &entries, sizeof(entries)) ||
	    getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		r = errno;
	tx = r ? MAP_FAILED
	       : mmap(NULL, off.tx.desc + entries * sizeof(d), PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, XDP_PGOFF_TX_RING);
	/* The one before may still be letting go of the queue. */
	for (int i = 0; !r && i < 1000; i++) {
		if (tx != MAP_FAILED && bind(fd, (void *)&to, sizeof(to)) == 0)
			break;
		r = errno == EBUSY && i < 999 ? 0 : errno;
		usleep(1000);
	}
	if (!r) {
		memcpy(area, p, n);
		memcpy(tx + off.tx.desc, &d, sizeof(d));
		__atomic_thread_fence(__ATOMIC_RELEASE);
		memcpy(tx + off.tx.producer, &one, sizeof(one));
		if (sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0)
			r = errno;
	}
	close(fd);
	return r;
}

#endif
