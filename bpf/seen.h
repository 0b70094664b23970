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
 * A TCP socket has one flow. A UDP socket that is not connected has as many as it has peers. Two
 * are kept in egret_seen, and a new one takes the place of none that still holds: each new flow
 * makes the whole anew, because what is kept never changes but for its stamps, a word each. Where
 * there are more, egret_seen says so, and all are kept in egret_crowd, a table of sets of four: a
 * hash of the flow names two, and it is put where there is more room. There each place is written
 * once, by whoever claimed it first; where both sets are full and the table is old, all of the
 * socket goes, and begins anew. To hear somebody is not to speak to them: a UDP server hears
 * whom it may not answer. So each way has its stamp.
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

/* Both counters of the socket's record (egret_origin), at one instant; 0: it has none. */
static __always_inline __u64 origin_word(struct bpf_sock *sk)
{
	struct egret_origin *o = bpf_sk_storage_get(&egret_origin, sk, NULL, 0);
	__u64 both = 0;

	if (o)
		both = (__u64) * (volatile __u32 *)&o->begun << 32 | *(volatile __u32 *)&o->done;
	return both;
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

/* Mixes a word, so that each bit of it is in the lower half of what comes out. */
static __always_inline __u64 crowd_mix(__u64 word)
{
	word *= 0x9e3779b97f4a7c15ull;
	return word ^ word >> 32;
}

/* Of the addresses of a flow. */
static __always_inline __u64 crowd_hash4(__u32 far, __u32 near)
{
	return crowd_mix((__u64)far << 32 | near);
}

static __always_inline __u64 crowd_hash6(const __u32 far[4], const __u32 near[4])
{
	__u64 h = 0;

	for (int i = 0; i < 4; i++)
		h = crowd_mix(h ^ ((__u64)far[i] << 32 | near[i]));
	return h;
}

/* Of all by which a flow is known, so that one that is half written is not taken for another. */
static __always_inline __u32 crowd_tag(__u64 addresses, __u32 ports)
{
	return (__u32)crowd_mix(addresses + ports) | 1;
}

/* The first place of one of the two sets that this flow may be in. The compiler would join what
 * follows with the shift, and the verifier lose the bound. */
static __always_inline __u64 crowd_set(__u32 tag, bool second)
{
	__u64 n = (__u64)(second ? tag & 0xffff : tag >> 16) * EGRET_CROWD_SETS >> 16;

	asm volatile("" : "+r"(n));
	if (n >= EGRET_CROWD_SETS)
		n = 0;
	n *= 4;
	asm volatile("" : "+r"(n));
	return n;
}

static __always_inline struct egret_seen_flow *crowd_in(struct egret_crowd *c, __u32 tag,
							bool second)
{
	__u64 first = crowd_set(tag, second);

	for (int i = 0; i < 4; i++)
		if (*(volatile __u32 *)&c->tags[first + i] == tag)
			return &c->flow[first + i];
	return NULL;
}

static __always_inline struct egret_seen_flow *crowd_find(struct egret_crowd *c, __u32 tag)
{
	struct egret_seen_flow *f = crowd_in(c, tag, false);

	return f ? f : crowd_in(c, tag, true);
}

static __always_inline struct egret_seen_flow *crowd_of(struct __sk_buff *skb, struct bpf_sock *sk,
							__u32 at, bool leaves, __u64 now,
							__u8 *ret_flags)
{
	struct egret_crowd *c = bpf_sk_storage_get(&egret_crowd, sk, NULL, 0);
	void *data = (void *)(long)skb->data + at, *end = (void *)(long)skb->data_end;
	struct egret_seen_flow *f;
	struct ip4_l4 *four = data;
	struct ip6_l4 *six = data;
	__u32 ports;
	__u64 of;

	if (!c || (void *)(four + 1) > end)
		return NULL;
	if (four->ip.version_len == 0x45) {
		of = leaves ? crowd_hash4(four->ip.dest, four->ip.source)
			    : crowd_hash4(four->ip.source, four->ip.dest);
		__builtin_memcpy(&ports, four->ports, sizeof(ports));
	} else {
		if ((void *)(six + 1) > end)
			return NULL;
		of = leaves ? crowd_hash6(six->ip.dest, six->ip.source)
			    : crowd_hash6(six->ip.source, six->ip.dest);
		__builtin_memcpy(&ports, six->ports, sizeof(ports));
	}
	if (!leaves)
		ports = ports << 16 | ports >> 16;
	f = crowd_find(c, crowd_tag(of, 0));
	if (!f)
		f = crowd_find(c, crowd_tag(of, ports));
	if (!f || !seen_holds(leaves ? &f->left : &f->came, now) ||
	    !seen_is_flow(f, skb, at, leaves, ret_flags))
		return NULL;
	return f;
}

/* The flow of this packet, if it is kept with the socket and still holds for packets that go this
 * way. at: where the address's header begins; lo: on the loopback device. */
static __always_inline struct egret_seen_flow *
seen_of(struct __sk_buff *skb, struct bpf_sock *sk, __u32 at, bool leaves, bool lo, __u8 *ret_flags)
{
	struct egret_seen_flow *f;
	struct egret_seen *v;
	__u64 now;

	if (sk->state == TCP_LISTENING)
		return NULL;
	v = bpf_sk_storage_get(&egret_seen, sk, NULL, 0);
	if (!v)
		return NULL;
	now = seen_now((__u32)changes_word());
	if (!lo && v->flow[0].family == EGRET_SEEN_CROWD)
		return crowd_of(skb, sk, at, leaves, now, ret_flags);
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

/* There is no room among the few, or none there any more. False: nor among the many. */
static __always_inline bool crowd_keep(struct bpf_sock *sk, const struct egret_seen_flow *is,
				       __u64 now, bool leaves)
{
	struct egret_crowd *c =
		bpf_sk_storage_get(&egret_crowd, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	__u64 of = is->family == AF_INET ? crowd_hash4(is->far[3], is->near[3])
					 : crowd_hash6(is->far, is->near);
	__u32 tag = crowd_tag(of, is->ports);
	__u64 first = crowd_set(tag, false), second = crowd_set(tag, true), n;
	__u32 in_first = 0, in_second = 0;
	struct egret_seen_flow *f;

	if (!c)
		return false;
	if (!*(volatile __u64 *)&c->made)
		*(volatile __u64 *)&c->made = now;
	f = crowd_find(c, tag);
	if (f) {
		if (seen_is_same(f, is))
			seen_stamp(f, now, leaves);
		return true;
	}
	for (int i = 0; i < 4; i++) {
		in_first += c->claims[first + i];
		in_second += c->claims[second + i];
	}
	if (in_first > in_second) {
		n = first;
		first = second;
		second = n;
	}
	for (int i = 0; i < 8; i++) {
		n = (i < 4 ? first : second) + i % 4;
		if (*(volatile __u32 *)&c->claims[n])
			continue;
		__sync_fetch_and_add(&c->claims[n], 1);
		if (*(volatile __u32 *)&c->claims[n] != 1)
			return true;
		c->flow[n] = *is;
		*(volatile __u32 *)&c->tags[n] = tag;
		return true;
	}
	if (!seen_holds(&c->made, now)) {
		bpf_sk_storage_delete(&egret_seen, sk);
		bpf_sk_storage_delete(&egret_crowd, sk);
	}
	return true;
}

/* The last wall let this packet pass. since: of seen_begin(), before anything was asked. p NULL: on
 * the job's own loopback, where all passes. any_port: nothing was asked about its ports. */
static __always_inline void seen_keep(struct bpf_sock *sk, __u64 since, const struct packet *p,
				      bool leaves, bool any_port)
{
	struct egret_seen_flow is = { .proto = (__u8)sk->protocol };
	__u64 now = seen_now(since >> 32);
	struct egret_seen all = {}, *v;
	bool room = false, crowd;

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
	crowd = v && v->flow[0].family == EGRET_SEEN_CROWD;
	if (crowd && p) {
		crowd_keep(sk, &is, now, leaves);
		return;
	}
	for (int i = 0; i < EGRET_SEEN_FLOWS; i++) {
		if (v && ((crowd && !i) || seen_holds(&v->flow[i].came, now))) {
			all.flow[i] = v->flow[i];
		} else if (!room) {
			all.flow[i] = is;
			room = true;
		}
	}
	/* From now on they are many. What leaves and comes on loopback stays here. */
	if (!room) {
		if (!p || is.proto != IPPROTO_UDP || !crowd_keep(sk, &is, now, leaves))
			return;
		if (!all.flow[0].family)
			all.flow[1] = all.flow[0];
		else if (all.flow[1].family)
			__builtin_memset(&all.flow[1], 0, sizeof(all.flow[1]));
		__builtin_memset(&all.flow[0], 0, sizeof(all.flow[0]));
		all.flow[0].family = EGRET_SEEN_CROWD;
	}
	if (v)
		bpf_sk_storage_delete(&egret_seen, sk);
	bpf_sk_storage_get(&egret_seen, sk, &all, BPF_SK_STORAGE_GET_F_CREATE);
}

/* After seen_keep(): the socket's record was written meanwhile, which had nothing to forget yet. */
static __always_inline void seen_unless(struct bpf_sock *sk, __u64 wrote)
{
	if (origin_word(sk) == wrote)
		return;
	bpf_sk_storage_delete(&egret_seen, sk);
	bpf_sk_storage_delete(&egret_crowd, sk);
}

#endif
