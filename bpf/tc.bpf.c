// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The wall at the link: runs where a frame of a job's namespace arrives on the host (ingress of the
 * host's side of a veth), whatever sent it: packet sockets past the queues, AF_XDP, sockets of
 * others that were passed in, the kernel itself. Which job it is stands in egret_links; the rest in
 * the frame. What passes:
 *
 *  TCP, UDP   whole and plain, from an address of the job
 *               to an address of a member of the job
 *               to what a rule `direct` of its policy names
 *               TCP also to who was let in and spoke first (egret_spoken), and never a first word
 *               TCP of a socket of the job's proxy, to where the cage let that very socket connect
 *               to (egret_dialled); what says the same without being of that socket does not pass
 *  ARP, ND    of exactly the kernel's form, about an address that may be spoken to
 *
 * All else is dropped. A pass is TC_ACT_UNSPEC: filters of others behind this one still run.
 */
#include "direct.h"
#include "seen.h"

#define ETH_HEAD 14
#define ETH_IP bpf_htons(0x0800)
#define ETH_IP6 bpf_htons(0x86dd)
#define ETH_ARP bpf_htons(0x0806)
#define FRAME_BROADCAST 1 /* skb->pkt_type */
#define FRAME_MULTICAST 2
#define PASS (-1) /* TC_ACT_UNSPEC */
#define DROP 2	  /* TC_ACT_SHOT */

/* May speak or be spoken to beyond the job's own members. */
#define TALKS                                                                          \
	(EGRET_CG_SERVICES | EGRET_CG_PUBLISHED | EGRET_CG_INBOUND | EGRET_CG_DIRECT | \
	 EGRET_CG_DIALS)

struct arp {
	__u8 dest[6], source[6], type[2];
	__u8 hardware[2], proto[2], hlen, plen, op[2];
	__u8 from_mac[6], from_ip[4], to_mac[6], to_ip[4];
};

struct nd {
	__u8 type, code;
	__u16 sum;
	__u32 flags;
	__u32 target[4];
	__u8 option, units, mac[6];
};

/* Is this neighbour one that the job may look for? routed: the frame could be carried further than
 * the link by a router. */
static __always_inline bool may_find(const struct egret_link *link, const __u32 addr[4],
				     bool routed)
{
	if (is_member(link->job, addr))
		return true;
	if (!(link->flags & TALKS))
		return false;
	if ((link->flags & EGRET_CG_INBOUND) || addr_class(addr) == ADDR_LINK_LOCAL ||
	    is_host(addr))
		return true;
	return (link->flags & (EGRET_CG_DIRECT | EGRET_CG_DIALS)) && !routed;
}

static __always_inline bool same(const __u8 *a, const __u8 *b, int n)
{
	__u8 differ = 0;

	for (int i = 0; i < n; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

static __always_inline bool is_zero(const __u8 *a, int n)
{
	__u8 any = 0;

	for (int i = 0; i < n; i++)
		any |= a[i];
	return !any;
}

/* As the kernel makes them, so that a frame carries nothing but whom it asks for. */
ONCE bool arp_passes(struct __sk_buff *skb, const struct egret_link *link)
{
	__u32 from[4] = { 0, 0, ADDR_MAPPED_WORD, 0 }, to[4] = { 0, 0, ADDR_MAPPED_WORD, 0 };
	__u64 form; /* ARP, of Ethernet, for IPv4, lengths 6 and 4 */
	struct arp a;

	if (!link || skb->len != sizeof(a) || bpf_skb_load_bytes(skb, 0, &a, sizeof(a)))
		return false;
	__builtin_memcpy(&form, a.type, sizeof(form));
	if (form != bpf_cpu_to_be64(0x0806000108000604ull) || !same(a.source, a.from_mac, 6) ||
	    a.op[0])
		return false;
	if (a.op[1] == 1) {
		if (!is_zero(a.to_mac, 6))
			return false;
	} else if (a.op[1] != 2 || (a.dest[0] & 1) || !same(a.dest, a.to_mac, 6)) {
		return false;
	}
	__builtin_memcpy(&from[3], a.from_ip, 4);
	__builtin_memcpy(&to[3], a.to_ip, 4);
	return is_member(link->job, from) && may_find(link, to, false);
}

/* Solicitations to the group of their target or to the target itself; advertisements of the job's
 * own addresses. Not those before an address is in use (from ::): nobody needs to hear them. */
ONCE bool nd_passes(struct __sk_buff *skb, const struct egret_link *link, const struct packet *p)
{
	__u32 rest = skb->len - ETH_HEAD - sizeof(struct ip6_head), target[4];
	struct nd n = {};
	bool asks;

	if (!link || !p)
		return false;
	asks = p->first == ND_SOLICIT;
	if (!p->plain || p->hops != 255 || (!asks && p->first != ND_ADVERT))
		return false;
	if (rest == sizeof(n)) {
		if (bpf_skb_load_bytes(skb, ETH_HEAD + sizeof(struct ip6_head), &n, sizeof(n)) ||
		    n.option != (asks ? 1 : 2) || n.units != 1)
			return false;
	} else if (rest != sizeof(n) - 8 ||
		   bpf_skb_load_bytes(skb, ETH_HEAD + sizeof(struct ip6_head), &n, sizeof(n) - 8)) {
		return false;
	}
	if (n.code || (n.flags & (asks ? ~0u : bpf_htonl(0x1fffffff))))
		return false;
	if (addr_class(p->near) != ADDR_LINK_LOCAL && !is_member(link->job, p->near))
		return false;
	__builtin_memcpy(target, n.target, sizeof(target));
	if (!asks) {
		if (addr_class(target) != ADDR_LINK_LOCAL && !is_member(link->job, target))
			return false;
		return may_find(link, p->far.addr, true);
	}
	if (!may_find(link, target, false))
		return false;
	if (addr_class(p->far.addr) != ADDR_MULTICAST)
		return may_find(link, p->far.addr, true);
	return p->far.addr[0] == bpf_htonl(0xff020000) && !p->far.addr[1] &&
	       p->far.addr[2] == bpf_htonl(1) &&
	       p->far.addr[3] == (bpf_htonl(0xff000000) | (target[3] & bpf_htonl(0x00ffffff)));
}

/* An answer to who may speak to the job, and did. */
static __always_inline bool is_answer(const struct egret_link *link, const struct packet *p)
{
	struct egret_spoken_key key = { .job = link->job,
					.port = p->far.port,
					.here = p->near_port };

	if (p->far.proto != IPPROTO_TCP || (p->flags & TCP_SYN_ACK) == TCP_SYN)
		return false;
	if (!(link->flags & EGRET_CG_INBOUND) &&
	    !((link->flags & EGRET_CG_PUBLISHED) && is_host(p->far.addr)))
		return false;
	__builtin_memcpy(key.addr, p->far.addr, sizeof(key.addr));
	return bpf_map_lookup_elem(&egret_spoken, &key) != NULL;
}

/* Of a socket that the job's proxy connected from this namespace, to where the cage saw it connect
 * and no other: also if somebody translates addresses on the way. The kernel gives a frame the
 * socket that made it; nobody else's frame has this one. */
static __always_inline bool is_dialled(struct bpf_sock *sk, const struct egret_link *link,
				       const struct packet *p)
{
	struct egret_dialled *d;

	if (!(link->flags & EGRET_CG_DIALS) || !sk)
		return false;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->type != SOCK_STREAM || sk->protocol != IPPROTO_TCP ||
	    sk->state == TCP_LISTENING)
		return false;
	if (!p->plain || p->far.proto != IPPROTO_TCP || p->near_port != sk->src_port ||
	    !is_member(link->job, p->near))
		return false;
	d = bpf_sk_storage_get(&egret_dialled, sk, NULL, 0);
	return d && d->job == link->job && d->port == p->far.port &&
	       seen_same(d->addr, p->far.addr);
}

/* One receiver, no tag; a frame to all stations would be flooded to strangers too. */
static __always_inline bool is_to_one(struct __sk_buff *skb)
{
	return !skb->vlan_present && skb->pkt_type != FRAME_BROADCAST &&
	       skb->pkt_type != FRAME_MULTICAST;
}

ONCE enum passes ip_passes(const struct egret_link *link, const struct packet *p)
{
	enum passes direct;

	if (!link || !p || !p->plain)
		return PASS_NO;
	if (p->far.proto != IPPROTO_TCP && p->far.proto != IPPROTO_UDP)
		return PASS_NO;
	if (is_member(link->job, p->far.addr))
		return is_member(link->job, p->near) ? PASS_HOST : PASS_NO;
	direct = is_direct(link->flags, link->policy, &p->far);
	if (direct)
		return is_member(link->job, p->near) ? direct : PASS_NO;
	return is_answer(link, p) && (is_member(link->job, p->near) ||
				      addr_class(p->near) == ADDR_LINK_LOCAL)
		       ? PASS_YES
		       : PASS_NO;
}

/* What the kernel says by itself, also because a stranger knocked, is counted only: resets, errors,
 * echoes of pings, groups joined, neighbours looked for. */
static __always_inline bool is_chatter(const struct packet *p)
{
	switch (p->far.proto) {
	case IPPROTO_TCP:
		return p->flags & TCP_RST;
	case IPPROTO_ICMP:
		return p->first != 8;
	case IPPROTO_ICMPV6:
		return p->first != 128;
	case IPPROTO_IGMP:
		return true;
	default: /* MLD comes behind a hop-by-hop header */
		return !p->far.family || (p->far.family == AF_INET6 && !p->far.proto);
	}
}

static __always_inline void refuse(const struct egret_link *link, const struct packet *p)
{
	struct egret_event *e;

	count_refused(EGRET_R_LINK);
	if (is_chatter(p))
		return;
	e = event_open(EGRET_EV_REFUSED, EGRET_R_LINK);
	if (!e)
		return;
	record_ask(&e->record, &p->far);
	e->record.job = link->job;
	e->record.time_ns = bpf_ktime_get_ns();
	event_send(e);
}

/* What is kept with the packet's socket, if the packet is of that flow and says no first word: kept
 * there or not, the bytes of the frame alone decide. A frame of a packet socket has another one. */
static __always_inline struct egret_seen_flow *seen_frame(struct __sk_buff *skb,
							  struct bpf_sock *sk)
{
	struct egret_seen_flow *f;
	__u8 flags = 0;

	if (!sk || !is_to_one(skb))
		return NULL;
	f = seen_of(skb, sk, ETH_HEAD, true, false, &flags);
	if (!f || skb->protocol != (f->family == AF_INET ? ETH_IP : ETH_IP6) || (flags & TCP_SYN))
		return NULL;
	return f;
}

/* The whole check; a function of its own as in egress.bpf.c. */
static __noinline int check_link(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, type = skb->protocol;
	struct bpf_sock *sk = skb->sk;
	enum passes passes = PASS_NO;
	struct egret_seen_flow *f;
	struct egret_link *link;
	struct packet p = {};
	__u64 since;

	since = sk ? seen_begin(bpf_sk_fullsock(sk)) : 0;
	link = bpf_map_lookup_elem(&egret_links, &ifindex);
	if (!link) {
		if (ifindex != EGRET_TRIAL_LINK)
			count_refused(EGRET_R_LINK);
		return DROP;
	}
	/* A tag is taken off the frame before it comes here. */
	if (type == ETH_IP || type == ETH_IP6) {
		packet_read(skb, ETH_HEAD, true, &p);
		if ((p.far.family == AF_INET) != (type == ETH_IP))
			p.plain = false;
		if (is_to_one(skb)) {
			passes = ip_passes(link, &p);
			if (!passes && is_dialled(sk, link, &p))
				passes = PASS_NOW;
		}
		f = since && passes ? seen_frame(skb, sk) : NULL;
		/* A flow of any port is kept only by what holds for any. */
		if (f && (passes == PASS_HOST || (passes == PASS_YES && !f->any_port)))
			*(volatile __u64 *)&f->link = (since & ~(__u64)0xffffffff) | ifindex;
		if (!passes && type == ETH_IP6 && p.far.proto == IPPROTO_ICMPV6 &&
		    !skb->vlan_present)
			passes = nd_passes(skb, link, &p);
	} else if (type == ETH_ARP && !skb->vlan_present) {
		passes = arp_passes(skb, link);
	}
	if (passes)
		return PASS;
	if (!(link->flags & EGRET_CG_TRIAL))
		refuse(link, &p);
	return DROP;
}

SEC("tc")
int egret_link(struct __sk_buff *skb)
{
	struct egret_seen_flow *f = seen_frame(skb, skb->sk);

	/* The common case first: let through here a moment ago, and nothing has changed. */
	if (f && seen_is_now(f->link) && (__u32)f->link == skb->ifindex)
		return PASS;
	return check_link(skb);
}

char _license[] SEC("license") = "Dual BSD/GPL";
