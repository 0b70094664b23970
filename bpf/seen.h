/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the walls found of the flows of a TCP or UDP socket, kept with the socket, so that the next
 * packet of the same flow costs one look at it: used by egress.bpf.c and tc.bpf.c, dropped by the
 * door.
 *
 * It answers for a packet only if nothing that the whole check asks can have changed: the same
 * protocol, addresses and (where they were asked about) ports, whole and without options; no change
 * of a table has begun since (egret_changes, which egretd counts before and after each); the
 * socket's record is as it was (who writes it forgets this); and the socket does not listen.
 * Everything else takes the whole check, so do packets without a socket, other protocols, and each
 * flow anew after some time.
 *
 * A TCP socket has one flow. A UDP socket that is not connected has as many as it has peers, so a
 * few are kept, and a new one takes the place of none that still holds: each new flow makes the
 * whole anew, because what is kept never changes but for its stamps, a word each. To hear somebody
 * is not to speak to them: a UDP server hears whom it may not answer. So each way has its stamp.
 */
#ifndef EGRET_SEEN_H
#define EGRET_SEEN_H

#include "packet.h"

#define TCP_SYN_SENT 2
#define TCP_LISTENING 10
#define SEEN_JIFFIES 256 /* a second where HZ is 250 */

struct ip4_l4 {
	struct ip4_head ip;
	__u16 ports[2];
	__u16 udp_len, udp_sum; /* TCP: a sequence number */
};

struct ip6_l4 {
	struct ip6_head ip;
	__u16 ports[2];
	__u16 udp_len, udp_sum;
};

static __always_inline bool is_seen_kind(const struct bpf_sock *sk)
{
	return sk->protocol == IPPROTO_UDP ||
	       (sk->protocol == IPPROTO_TCP && sk->state != TCP_LISTENING);
}

/* Both counters at one instant. */
static __always_inline __u64 changes_word(void)
{
	__u32 zero = 0;
	__u64 *both = bpf_map_lookup_elem(&egret_changes, &zero);

	return both ? *(volatile __u64 *)both : 1; /* 1: never quiet */
}

/* Which state of the tables the check that follows will see; 0: nothing is kept of it, because they
 * are being changed, or for such a socket never (NULL: none). */
static __always_inline __u64 seen_begin(const struct bpf_sock *sk)
{
	__u64 both;
	__u32 begun;

	if (!sk || !is_seen_kind(sk))
		return 0;
	both = changes_word();
	begun = (__u32)both;
	if (begun != both >> 32)
		return 0;
	/* Reads a clock behind a read barrier: no look-up that follows is older than the word. */
	bpf_ktime_get_coarse_ns();
	return (__u64)begun << 32 | 1;
}

static __always_inline bool seen_is_now(__u64 of)
{
	return of >> 32 == (__u32)changes_word();
}

/* Does this stamp still hold? now: one that would be given now; 0 was never given. */
static __always_inline bool seen_holds(const __u64 *stamp, __u64 now)
{
	__u64 of = *(const volatile __u64 *)stamp;

	return of && of >> 32 == now >> 32 && (__u32)now - (__u32)of <= SEEN_JIFFIES;
}

static __always_inline __u64 seen_now(__u32 begun)
{
	return (__u64)begun << 32 | (__u32)bpf_jiffies64();
}

/* Sixteen bytes that begin at a multiple of four. */
static __always_inline bool seen_same(const __u32 a[4], const __u32 b[4])
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]));
}

static __always_inline __u32 seen_ports(__u16 first, __u16 second)
{
	__u16 both[2] = { bpf_htons(first), bpf_htons(second) };
	__u32 ports;

	__builtin_memcpy(&ports, both, sizeof(ports));
	return ports;
}

/* The header behind the address's, as packet_ports() wants it. up: where it begins; rest: bytes
 * from there on. */
static __always_inline bool l4_is_whole(const void *up, const void *end, __u8 proto, __u32 rest,
					__u8 *ret_flags)
{
	const struct l4_head *tcp = up;

	if (proto == IPPROTO_UDP)
		return bpf_ntohs(tcp->udp_len) == rest;
	if ((const void *)(tcp + 1) > end)
		return false;
	*ret_flags = tcp->flags;
	return tcp->off >> 4 >= 5 && (__u32)(tcp->off >> 4) * 4 <= rest;
}

/* The very packet that packet_read() would call plain and that is of this flow. at: where the
 * address's header begins. ret_flags: TCP's. */
static __always_inline bool seen_is_flow(const struct egret_seen_flow *v, struct __sk_buff *skb,
					 __u32 at, bool leaves, __u8 *ret_flags)
{
	void *data = (void *)(long)skb->data + at, *end = (void *)(long)skb->data_end;
	const __u32 *source = leaves ? v->near : v->far, *dest = leaves ? v->far : v->near;
	__u32 ports = leaves ? v->ports : v->ports << 16 | v->ports >> 16;
	__u32 whole = skb->len - at, got, differ;
	struct ip4_l4 *four = data;
	struct ip6_l4 *six = data;

	if (v->family == AF_INET) {
		if ((void *)(four + 1) > end)
			return false;
		__builtin_memcpy(&got, four->ports, sizeof(got));
		differ = (four->ip.source ^ source[3]) | (four->ip.dest ^ dest[3]);
		if (!v->any_port)
			differ |= got ^ ports;
		return !differ && four->ip.version_len == 0x45 && four->ip.proto == v->proto &&
		       !(four->ip.frag & bpf_htons((__u16)~IP_DONT_FRAGMENT)) &&
		       bpf_ntohs(four->ip.len) == whole &&
		       l4_is_whole(four->ports, end, v->proto, whole - sizeof(four->ip), ret_flags);
	}
	if ((void *)(six + 1) > end)
		return false;
	__builtin_memcpy(&got, six->ports, sizeof(got));
	return (v->any_port || got == ports) && seen_same(six->ip.source, source) &&
	       seen_same(six->ip.dest, dest) &&
	       (six->ip.version_flow & bpf_htonl(0xf0000000)) == bpf_htonl(0x60000000) &&
	       six->ip.next == v->proto && bpf_ntohs(six->ip.len) + sizeof(six->ip) == whole &&
	       l4_is_whole(six->ports, end, v->proto, whole - sizeof(six->ip), ret_flags);
}

/* The flow of this packet, if it is kept with the socket and still holds for packets that go this
 * way. at: where the address's header begins; lo: on the loopback device. */
static __always_inline struct egret_seen_flow *
seen_of(struct __sk_buff *skb, struct bpf_sock *sk, __u32 at, bool leaves, bool lo, __u8 *ret_flags)
{
	struct egret_seen_flow *f;
	struct egret_seen *v;
	__u64 now;

	if (!is_seen_kind(sk))
		return NULL;
	v = bpf_sk_storage_get(&egret_seen, sk, NULL, 0);
	if (!v)
		return NULL;
	now = seen_now((__u32)changes_word());
	for (int i = 0; i < EGRET_SEEN_FLOWS; i++) {
		f = &v->flow[i];
		if (!seen_holds(leaves ? &f->left : &f->came, now))
			continue;
		if (lo ? !f->family : f->family && seen_is_flow(f, skb, at, leaves, ret_flags))
			return f;
	}
	return NULL;
}

static __always_inline bool seen_is_same(const struct egret_seen_flow *a,
					 const struct egret_seen_flow *b)
{
	return a->family == b->family && a->proto == b->proto && a->any_port == b->any_port &&
	       a->ports == b->ports && seen_same(a->far, b->far) && seen_same(a->near, b->near);
}

/* Who may be sent to is heard, so what left stands for both ways. */
static __always_inline void seen_stamp(struct egret_seen_flow *f, __u64 stamp, bool leaves)
{
	if (leaves)
		*(volatile __u64 *)&f->left = stamp;
	*(volatile __u64 *)&f->came = stamp;
}

/* The last wall let this packet pass. since: of seen_begin(), before anything was asked. p NULL: on
 * the job's own loopback, where all passes. any_port: nothing was asked about its ports. */
static __always_inline void seen_keep(struct bpf_sock *sk, __u64 since, const struct packet *p,
				      bool leaves, bool any_port)
{
	struct egret_seen_flow is = { .proto = (__u8)sk->protocol };
	__u64 now = seen_now(since >> 32);
	struct egret_seen all = {}, *v;
	bool room = false;

	if (!since)
		return;
	if (p) {
		if (!p->plain || p->far.proto != is.proto)
			return;
		is.family = p->far.family;
		is.any_port = any_port && is.proto == IPPROTO_UDP;
		if (!is.any_port)
			is.ports = seen_ports(p->near_port, p->far.port);
		__builtin_memcpy(is.far, p->far.addr, sizeof(is.far));
		__builtin_memcpy(is.near, p->near, sizeof(is.near));
	}
	v = bpf_sk_storage_get(&egret_seen, sk, NULL, 0);
	for (int i = 0; v && i < EGRET_SEEN_FLOWS; i++)
		if (seen_is_same(&v->flow[i], &is)) {
			seen_stamp(&v->flow[i], now, leaves);
			return;
		}
	seen_stamp(&is, now, leaves);
	for (int i = 0; i < EGRET_SEEN_FLOWS; i++) {
		if (v && seen_holds(&v->flow[i].came, now)) {
			all.flow[i] = v->flow[i];
		} else if (!room) {
			all.flow[i] = is;
			room = true;
		}
	}
	if (!room)
		return;
	if (v)
		bpf_sk_storage_delete(&egret_seen, sk);
	bpf_sk_storage_get(&egret_seen, sk, &all, BPF_SK_STORAGE_GET_F_CREATE);
}

#endif
