/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the walls found of a TCP socket's flow, kept with the socket, so that the next packet of the
 * same flow costs one look at it: used by egress.bpf.c and tc.bpf.c, dropped by the door.
 *
 * It answers for a packet only if nothing that the whole check asks can have changed: the same
 * addresses and ports, TCP, whole and without options; no change of a table has begun since
 * (egret_changes, which egretd counts before and after each); the socket's record is as it was (who
 * writes it forgets this); and the socket does not listen. Everything else takes the whole check,
 * so do packets without a socket, other protocols, and each flow anew after some time. What is kept
 * never changes but for its stamps, a word each: a new flow makes a new one.
 */
#ifndef EGRET_SEEN_H
#define EGRET_SEEN_H

#include "packet.h"

#define TCP_SYN_SENT 2
#define TCP_LISTENING 10
#define SEEN_JIFFIES 256 /* a second where HZ is 250 */

struct ip4_tcp {
	struct ip4_head ip;
	struct l4_head tcp;
};

struct ip6_tcp {
	struct ip6_head ip;
	struct l4_head tcp;
};

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

	if (!sk || sk->protocol != IPPROTO_TCP || sk->state == TCP_LISTENING)
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

static __always_inline bool tcp_is_whole(const struct l4_head *tcp, __u32 rest)
{
	return tcp->off >> 4 >= 5 && (__u32)(tcp->off >> 4) * 4 <= rest;
}

/* The very packet that packet_read() would call plain and that is of this flow. at: where the
 * address's header begins. ret_flags: TCP's. */
static __always_inline bool seen_is_flow(const struct egret_seen *v, struct __sk_buff *skb,
					 __u32 at, bool leaves, __u8 *ret_flags)
{
	void *data = (void *)(long)skb->data + at, *end = (void *)(long)skb->data_end;
	const __u32 *source = leaves ? v->near : v->far, *dest = leaves ? v->far : v->near;
	__u32 ports = leaves ? v->ports : v->ports << 16 | v->ports >> 16;
	__u32 whole = skb->len - at, got, differ;
	struct ip4_tcp *four = data;
	struct ip6_tcp *six = data;

	if (v->family == AF_INET) {
		if ((void *)(four + 1) > end)
			return false;
		__builtin_memcpy(&got, &four->tcp, sizeof(got));
		differ = (four->ip.source ^ source[3]) | (four->ip.dest ^ dest[3]) | (got ^ ports);
		*ret_flags = four->tcp.flags;
		return !differ && four->ip.version_len == 0x45 && four->ip.proto == IPPROTO_TCP &&
		       !(four->ip.frag & bpf_htons((__u16)~IP_DONT_FRAGMENT)) &&
		       bpf_ntohs(four->ip.len) == whole &&
		       tcp_is_whole(&four->tcp, whole - sizeof(four->ip));
	}
	if ((void *)(six + 1) > end)
		return false;
	__builtin_memcpy(&got, &six->tcp, sizeof(got));
	*ret_flags = six->tcp.flags;
	return got == ports && seen_same(six->ip.source, source) && seen_same(six->ip.dest, dest) &&
	       (six->ip.version_flow & bpf_htonl(0xf0000000)) == bpf_htonl(0x60000000) &&
	       six->ip.next == IPPROTO_TCP && bpf_ntohs(six->ip.len) + sizeof(six->ip) == whole &&
	       tcp_is_whole(&six->tcp, whole - sizeof(six->ip));
}

/* What is kept of this socket and still holds. */
static __always_inline struct egret_seen *seen_of(struct bpf_sock *sk)
{
	struct egret_seen *v;
	__u64 stamp;

	if (sk->protocol != IPPROTO_TCP || sk->state == TCP_LISTENING)
		return NULL;
	v = bpf_sk_storage_get(&egret_seen, sk, NULL, 0);
	if (!v)
		return NULL;
	stamp = *(volatile __u64 *)&v->stamp;
	if (!seen_is_now(stamp) || (__u32)bpf_jiffies64() - (__u32)stamp > SEEN_JIFFIES)
		return NULL;
	return v;
}

/* The last wall let this packet pass. since: of seen_begin(), before anything was asked. p NULL: on
 * the job's own loopback, where all passes. */
static __always_inline void seen_keep(struct bpf_sock *sk, __u64 since, const struct packet *p)
{
	struct egret_seen is = { .stamp = since & ~(__u64)0xffffffff };
	struct egret_seen *v;

	if (!since)
		return;
	is.stamp |= (__u32)bpf_jiffies64();
	if (p) {
		if (!p->plain || p->far.proto != IPPROTO_TCP)
			return;
		is.family = p->far.family;
		is.ports = seen_ports(p->near_port, p->far.port);
		__builtin_memcpy(is.far, p->far.addr, sizeof(is.far));
		__builtin_memcpy(is.near, p->near, sizeof(is.near));
	}
	v = bpf_sk_storage_get(&egret_seen, sk, NULL, 0);
	if (v) {
		if (v->family == is.family && v->ports == is.ports && seen_same(v->far, is.far) &&
		    seen_same(v->near, is.near)) {
			*(volatile __u64 *)&v->stamp = is.stamp;
			return;
		}
		bpf_sk_storage_delete(&egret_seen, sk);
	}
	bpf_sk_storage_get(&egret_seen, sk, &is, BPF_SK_STORAGE_GET_F_CREATE);
}

#endif
