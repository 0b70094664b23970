/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a packet says of itself, read from its own bytes: shared by the last wall of the sockets
 * (egress.bpf.c) and the wall at the host's side of a link (tc.bpf.c), so that both mean the same
 * by `plain`. Nothing here trusts what the packet says about its own lengths.
 */
#ifndef EGRET_PACKET_H
#define EGRET_PACKET_H

#include "record.h"

#ifndef IPPROTO_ICMPV6
#define IPPROTO_ICMPV6 58
#endif
#define ND_SOLICIT 135
#define ND_ADVERT 136
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_SYN_ACK 0x12
#define IP_DONT_FRAGMENT 0x4000
#define IP_OFFSET 0x1fff

struct ip4_head {
	__u8 version_len, tos;
	__u16 len, id, frag;
	__u8 hops, proto;
	__u16 sum;
	__u32 source, dest;
};

struct ip6_head {
	__u32 version_flow;
	__u16 len;
	__u8 next, hops;
	__u32 source[4], dest[4];
};

struct l4_head {
	__u16 source, dest;
	union {
		__u16 udp_len;
		__u32 seq;
	};
	__u32 ack;
	__u8 off, flags;
	__u16 unused;
};

struct packet {
	struct ask far;	 /* the other end: destination of what leaves, source of what comes */
	__u32 near[4];	 /* the job's end, mapped form */
	__u16 near_port; /* host order */
	bool plain; /* one whole packet: the transport's header follows the address's, no options,
		       no routes, no fragment, and all lengths agree */
	__u8 hops;
	__u8 first; /* of the transport's header: ICMP's type */
	__u8 flags; /* TCP's */
};

/* up: where the transport's header begins; rest: how many bytes there are from there on. l4: room
 * for it. What cannot be read is zeros. */
static __always_inline void packet_ports(struct __sk_buff *skb, __u32 up, __u32 rest, bool leaves,
					 struct packet *p, struct l4_head *l4)
{
	if (p->far.proto == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, up, l4, sizeof(*l4)))
			p->plain = false;
		p->flags = l4->flags;
		if (l4->off >> 4 < 5 || (__u32)(l4->off >> 4) * 4 > rest)
			p->plain = false;
	} else {
		if (bpf_skb_load_bytes(skb, up, l4, 8) || bpf_ntohs(l4->udp_len) != rest)
			p->plain = false;
	}
	p->far.port = bpf_ntohs(leaves ? l4->dest : l4->source);
	p->near_port = bpf_ntohs(leaves ? l4->source : l4->dest);
}

/* at: where the address's header begins. Answers 0. */
ONCE int packet_read(struct __sk_buff *skb, __u32 at, bool leaves, struct packet *p)
{
	__u32 whole = skb->len - at, up, said;
	union {
		struct ip4_head four;
		struct ip6_head six;
		struct l4_head l4; /* read last, in place of the others: stacks are short */
	} h = {};

	if (!p || bpf_skb_load_bytes(skb, at, &h.four, sizeof(h.four)))
		return 0;
	if (h.four.version_len >> 4 == 4) {
		p->far.family = AF_INET;
		p->far.addr[2] = p->near[2] = ADDR_MAPPED_WORD;
		p->far.addr[3] = leaves ? h.four.dest : h.four.source;
		p->near[3] = leaves ? h.four.source : h.four.dest;
		p->far.proto = h.four.proto;
		p->hops = h.four.hops;
		up = (h.four.version_len & 15) * 4;
		said = bpf_ntohs(h.four.len);
		/* Where the administrator allows segments past 64 KiB they say 0. */
		p->plain = up == sizeof(h.four) &&
			   !(h.four.frag & bpf_htons((__u16)~IP_DONT_FRAGMENT)) &&
			   (said == whole || (!said && whole > 0xffff));
		/* What a later fragment has there is no header. */
		if (h.four.frag & bpf_htons(IP_OFFSET))
			return 0;
	} else {
		p->far.family = AF_INET6;
		if (bpf_skb_load_bytes(skb, at, &h.six, sizeof(h.six)))
			return 0;
		if (leaves) {
			__builtin_memcpy(p->far.addr, h.six.dest, 16);
			__builtin_memcpy(p->near, h.six.source, 16);
		} else {
			__builtin_memcpy(p->far.addr, h.six.source, 16);
			__builtin_memcpy(p->near, h.six.dest, 16);
		}
		p->far.proto = h.six.next;
		p->hops = h.six.hops;
		up = sizeof(h.six);
		p->plain = h.four.version_len >> 4 == 6 && bpf_ntohs(h.six.len) + up == whole &&
			   (h.six.next == IPPROTO_TCP || h.six.next == IPPROTO_UDP ||
			    h.six.next == IPPROTO_ICMPV6);
	}
	if (p->far.proto == IPPROTO_TCP || p->far.proto == IPPROTO_UDP)
		packet_ports(skb, at + up, whole - up, leaves, p, &h.l4);
	else if (bpf_skb_load_bytes(skb, at + up, &p->first, 1))
		p->plain = false;
	return 0;
}

#endif
