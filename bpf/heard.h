/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is the socket that a job's packets are turned to still egret's own? With all of egret dead its
 * port is free, and who is in no job may take it. To look the socket up costs more than all else
 * that the last wall does, so what was found is kept (egret_heard) for the namespace, and with each
 * socket that is turned (egret_origin), so that a first packet or a datagram passes by one look at
 * its own socket.
 *
 * It holds for as long as no such socket anywhere was closed: the kernel calls egret_listener_end
 * (listener.bpf.c) before the port of one is free, whoever dies, and that counts as a change of the
 * tables (egret_changes). So does what egretd changes, and after a second or so it is looked up
 * again in any case.
 *
 * Used by the door, which knows the namespace, and by the last wall, which looks.
 */
#ifndef EGRET_HEARD_H
#define EGRET_HEARD_H

#include "seen.h"

#define HEARD_UNITS 4 /* of 64 jiffies */
#define LOOPBACK4 ADDR_HOST32(ADDR_IP4(127, 0, 0, 1))

/* The word of a look at this moment. now: of seen_now(). */
static __always_inline __u64 heard_word(__u64 now, __u16 port)
{
	return (now & ~0xffffffffull) | (__u64)port << 16 | (__u16)((__u32)now >> 6);
}

static __always_inline bool heard_holds(__u64 word, __u16 port)
{
	__u64 now = heard_word(seen_now((__u32)changes_word()), port);

	/* What is never given: port 0. */
	return word && word >> 16 == now >> 16 && (__u16)(now - word) <= HEARD_UNITS;
}

/* The door turns this socket to a port: what others found of it. */
static __always_inline void heard_turn(struct egret_origin *o, __u64 netns, __u16 port, bool six)
{
	struct egret_heard_key key = {
		.netns = netns, .port = port, .six = six, .proto = o->record.proto
	};
	__u64 *word = bpf_map_lookup_elem(&egret_heard, &key);

	o->netns = netns;
	if (word)
		*(volatile __u64 *)&o->heard[six] = *(volatile __u64 *)word;
}

/* A packet that leaves for egret's own socket, whole and plain. */
static __always_inline bool heard_of(struct __sk_buff *skb, const struct egret_origin *o)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u8 proto = o->record.proto;
	struct ip4_l4 *four = data;
	struct ip6_l4 *six = data;

	if ((void *)(four + 1) > end)
		return false;
	if (four->ip.version_len == 0x45)
		return four->ip.dest == LOOPBACK4 && four->ip.proto == proto &&
		       !(four->ip.frag & bpf_htons((__u16)~IP_DONT_FRAGMENT)) &&
		       heard_holds(*(const volatile __u64 *)&o->heard[0],
				   bpf_ntohs(four->ports[1]));
	if ((void *)(six + 1) > end)
		return false;
	return (six->ip.version_flow & bpf_htonl(0xf0000000)) == bpf_htonl(0x60000000) &&
	       six->ip.next == proto && !six->ip.dest[0] && !six->ip.dest[1] && !six->ip.dest[2] &&
	       six->ip.dest[3] == bpf_htonl(1) &&
	       heard_holds(*(const volatile __u64 *)&o->heard[1], bpf_ntohs(six->ports[1]));
}

/* It was looked up, and is. since: of seen_begin(), before that. */
static __always_inline void heard_keep(struct egret_origin *o, __u64 since, const struct packet *p)
{
	bool six = p->far.family != AF_INET;
	struct egret_heard_key key = {
		.netns = o->netns, .port = p->far.port, .six = six, .proto = p->far.proto
	};
	__u64 word = heard_word(seen_now(since >> 32), p->far.port);

	if (!since || !p->plain || !o->netns)
		return;
	if (six ? p->far.addr[0] || p->far.addr[1] || p->far.addr[2] ||
			    p->far.addr[3] != bpf_htonl(1)
		: p->far.addr[3] != LOOPBACK4)
		return;
	*(volatile __u64 *)&o->heard[six] = word;
	bpf_map_update_elem(&egret_heard, &key, &word, BPF_ANY);
}

#endif
