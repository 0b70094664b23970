/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The door: where one connect() or sendto() of a job goes. Shared by connect.bpf.c and
 * datagram.bpf.c, so that both judge alike. Every way through the function that is not a turn to
 * the job's own listener, its own loopback, with a rule for services to a member of the same job,
 * or to what a rule `direct` names ends in WAY_DENY; whom egret lets be goes as asked.
 */
#ifndef EGRET_DOOR_H
#define EGRET_DOOR_H

#include "direct.h"
#include "heard.h"
#include "job.h"
#include "record.h"

enum way {
	WAY_DENY = 0,
	WAY_STRAIGHT,  /* the job's own loopback */
	WAY_MEMBER,    /* another member of the job, as asked */
	WAY_PUBLISHED, /* the host's loopback, where the engine publishes a service of the job */
	WAY_DIRECT,    /* what a rule `direct` names, as asked */
	WAY_TCP,       /* to the listener */
	WAY_DNS,       /* to the resolver */
};

static __always_inline bool goes_straight(int way)
{
	return way == WAY_STRAIGHT || way == WAY_MEMBER || way == WAY_PUBLISHED ||
	       way == WAY_DIRECT;
}

static __always_inline bool is_tcp(__u32 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_MPTCP;
}

/* A port that the engine publishes on the host's loopback for this job, and that is nobody's
 * listener: TCP, and of the two addresses the one that the engine listens at. */
static __always_inline bool is_published(const struct ask *a, __u64 job, __u64 netns)
{
	struct egret_published_key key = { .job = job, .port = a->port };
	struct egret_port_key own = { .netns = netns, .port = a->port };
	__u8 need = EGRET_PUBLISHED_6, *ways;

	if (a->proto != IPPROTO_TCP)
		return false;
	if (addr_is_mapped(a->addr)) {
		if (a->addr[3] != ADDR_HOST32(ADDR_IP4(127, 0, 0, 1)))
			return false;
		need = EGRET_PUBLISHED_4;
	}
	ways = bpf_map_lookup_elem(&egret_published, &key);
	return ways && (*ways & need) && !bpf_map_lookup_elem(&egret_ports, &own);
}

/* Where clients of AWS ask for their keys (169.254.170.2, port 80): answered by the job's own
 * proxy, which never goes there. */
static __always_inline bool is_keys_endpoint(const struct ask *a)
{
	return a->proto == IPPROTO_TCP && a->port == 80 && addr_is_mapped(a->addr) &&
	       a->addr[3] == ADDR_HOST32(ADDR_IP4(169, 254, 170, 2));
}

/* Where to by the address alone. Reasons are negative. */
static __always_inline int door_way(const struct ask *a, const struct egret_cgroup *job,
				    __u64 netns)
{
	enum addr_class c = addr_class(a->addr);
	__u32 job_flags = job->flags;

	if (c == ADDR_UNSPECIFIED)
		return -EGRET_R_UNSPECIFIED;
	if (c == ADDR_MULTICAST)
		return -EGRET_R_MULTICAST;
	if ((job_flags & EGRET_CG_SERVICES) && c != ADDR_LOOPBACK && is_member(job->job, a->addr))
		return WAY_MEMBER;
	/* Before loopback and link-local: there stand resolvers (127.0.0.53, 169.254.169.254), and
	 * docker's one is reached on any port, because it listens on another than 53 and forwards
	 * for the host. */
	if (a->port == 53 ||
	    (addr_is_mapped(a->addr) && a->addr[3] == ADDR_HOST32(ADDR_IP4(127, 0, 0, 11))))
		return WAY_DNS;
	if (c == ADDR_LINK_LOCAL)
		return is_keys_endpoint(a) ? WAY_TCP : -EGRET_R_LINK_LOCAL;
	if (c == ADDR_LOOPBACK) {
		if (!(job_flags & EGRET_CG_HOST_NET))
			return WAY_STRAIGHT;
		return (job_flags & EGRET_CG_SERVICES) && is_published(a, job->job, netns)
			       ? WAY_PUBLISHED
			       : -EGRET_R_LOOPBACK;
	}
	if (is_direct(job_flags, job->policy, a))
		return WAY_DIRECT;
	return a->proto == IPPROTO_TCP ? WAY_TCP : -EGRET_R_UDP;
}

/* A socket bound to another device would send the turned packets there. */
static __always_inline bool to_loopback_device(struct bpf_sock_addr *ctx, struct bpf_sock *sk,
					       bool connecting)
{
	char lo[] = "lo";

	if (sk->bound_dev_if == 0 || sk->bound_dev_if == LO_IFINDEX)
		return true;
	if (!connecting)
		return false; /* the device of this packet is chosen already */
	return bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, lo, sizeof(lo)) == 0;
}

/* The socket's record is another from here on: what the walls kept by it is void. */
static __always_inline void forget_seen(struct bpf_sock *sk, const struct ask *a)
{
	bpf_sk_storage_delete(&egret_seen, sk);
	if (a->proto == IPPROTO_UDP)
		bpf_sk_storage_delete(&egret_crowd, sk);
}

/* Keeps what was asked with the socket: for getpeername, for the way from SYN to accept, for the
 * last wall. */
static __always_inline bool keep_origin(struct bpf_sock *sk, const struct ask *a, __u64 job,
					__u64 cookie, __u32 flags)
{
	struct egret_origin *o =
		bpf_sk_storage_get(&egret_origin, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	struct egret_record *r;

	if (!o)
		return false;
	r = &o->record;
	__sync_fetch_and_add(&o->begun, 1);
	record_task(r);
	record_ask(r, a);
	r->job = job;
	r->cookie = cookie;
	r->flags = flags;
	__sync_fetch_and_add(&o->done, 1);
	forget_seen(sk, a);
	return true;
}

/* Was this the destination of the socket's last direct datagram? Kept beside the record, which is
 * the resolver's answers' too. */
static __always_inline bool is_told(struct bpf_sock *sk, const struct ask *a)
{
	struct egret_told *t = bpf_sk_storage_get(&egret_told, sk, NULL, 0);
	__u32 was[4];

	if (!t || t->port != a->port)
		return false;
	__builtin_memcpy(was, t->addr, sizeof(was));
	return was[0] == a->addr[0] && was[1] == a->addr[1] && was[2] == a->addr[2] &&
	       was[3] == a->addr[3];
}

/* Where there is no room to remember it, the next datagram is told again. */
static __always_inline void keep_told(struct bpf_sock *sk, const struct ask *a)
{
	struct egret_told *t =
		bpf_sk_storage_get(&egret_told, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!t)
		return;
	__builtin_memcpy(t->addr, a->addr, sizeof(t->addr));
	t->port = a->port;
}

/* The same for what goes straight. What does not pass the job's proxy is told by the kernel alone:
 * what cannot be told of is not done. Told are connections, a socket's first datagram to members,
 * and its first to each new destination that is direct. A datagram keeps what the socket had: it
 * may ask the resolver in turns. */
static __always_inline int keep_straight(struct bpf_sock *sk, const struct ask *a, __u64 job,
					 __u64 cookie, int way, bool connecting, bool quiet)
{
	__u32 flag = way == WAY_MEMBER	 ? EGRET_REC_MEMBER
		     : way == WAY_DIRECT ? EGRET_REC_DIRECT
					 : EGRET_REC_LOCAL;
	struct egret_record *r = NULL;

	if (way == WAY_STRAIGHT) {
		if (connecting && !keep_origin(sk, a, job, cookie, EGRET_REC_LOCAL))
			return EGRET_R_STORAGE;
		return EGRET_OK;
	}
	if (!connecting) {
		r = record_of(sk);
		if (r && r->job == job &&
		    (way == WAY_DIRECT ? is_told(sk, a) : r->flags & EGRET_REC_MEMBER)) {
			r->flags |= flag; /* the resolver's turn took it */
			return EGRET_OK;
		}
	}
	if (!quiet && !event_task(way == WAY_DIRECT ? EGRET_EV_DIRECT : EGRET_EV_MEMBER, EGRET_OK,
				  job, cookie, a))
		return EGRET_R_STORAGE;
	if (way == WAY_DIRECT && a->proto == IPPROTO_UDP)
		keep_told(sk, a);
	if (r && r->job == job) {
		r->flags |= flag;
		return EGRET_OK;
	}
	return keep_origin(sk, a, job, cookie, flag) ? EGRET_OK : EGRET_R_STORAGE;
}

/* The listener's port for this way, network order; 0: there is none of this family. */
static __always_inline __u16 door_port(const struct egret_listener *l, const struct ask *a, int way)
{
	if (addr_is_mapped(a->addr))
		return way == WAY_DNS ? l->dns4_be : l->tcp4_be;
	return way == WAY_DNS ? l->dns6_be : l->tcp6_be;
}

/* Whether what the socket is turned to is egret's own is asked for its first packet or each
 * datagram. */
static __always_inline void keep_heard(struct bpf_sock *sk, const struct egret_listener *to,
				       const struct ask *a, int way, __u64 netns)
{
	struct egret_origin *o = bpf_sk_storage_get(&egret_origin, sk, NULL, 0);

	if (o)
		heard_turn(o, netns, bpf_ntohs(door_port(to, a, way)), !addr_is_mapped(a->addr));
}

static __always_inline enum way door(struct bpf_sock_addr *ctx, const struct ask *a,
				     bool connecting, struct egret_listener *to)
{
	struct egret_listener_key key = {};
	struct egret_cgroup *job = job_of_task();
	struct bpf_sock *sk = ctx->sk;
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct egret_listener *l;
	int way = WAY_DENY, reason;

	if (is_others(job))
		return WAY_STRAIGHT;
	reason = EGRET_R_UNREGISTERED;
	if (!job || !job->job)
		goto deny;
	key.job = job->job;
	reason = EGRET_R_FOREIGN_SOCKET;
	if (!sk || !socket_is_of(ctx, job->job))
		goto deny;
	reason = EGRET_R_NOT_READY;
	if (!(job->flags & EGRET_CG_READY))
		goto deny;
	reason = EGRET_R_FAMILY;
	if (a->proto != IPPROTO_TCP && a->proto != IPPROTO_UDP)
		goto deny;
	key.netns = bpf_get_netns_cookie(ctx);
	way = door_way(a, job, key.netns);
	reason = -way;
	/* Told apart: resolvers connect UDP sockets only to sort addresses and never send. */
	if (reason == EGRET_R_UDP && connecting)
		reason = EGRET_R_UDP_CONNECT;
	if (way <= WAY_DENY)
		goto deny;
	/* Also for the own loopback: a namespace without a listener is not the job's. */
	reason = EGRET_R_NO_LISTENER;
	l = bpf_map_lookup_elem(&egret_listeners, &key);
	if (!l || (!goes_straight(way) && !door_port(l, a, way)))
		goto deny;
	*to = *l;
	reason = EGRET_R_BAD_ADDRESS;
	if (way != WAY_MEMBER && way != WAY_DIRECT && !to_loopback_device(ctx, sk, connecting))
		goto deny;
	if (goes_straight(way)) {
		reason = keep_straight(sk, a, key.job, cookie, way, connecting, is_trial(job));
		if (reason)
			goto deny;
		return WAY_STRAIGHT;
	}
	reason = EGRET_R_STORAGE;
	if (!keep_origin(sk, a, key.job, cookie,
			 EGRET_REC_REDIRECTED | (way == WAY_DNS ? EGRET_REC_DNS : 0)))
		goto deny;
	keep_heard(sk, to, a, way, key.netns);
	return way;
deny:
	if (is_trial(job))
		return WAY_DENY;
	count_refused(reason);
	event_task(EGRET_EV_REFUSED, reason, key.job, cookie, a);
	return WAY_DENY;
}

/* The two forms of one address. */
static __always_inline struct ask ask_v4(__u32 ip, __u32 port_be, __u32 proto)
{
	struct ask a = {
		.addr = { 0, 0, ADDR_MAPPED_WORD, ip },
		.port = bpf_ntohs((__u16)port_be),
		.family = AF_INET,
		.proto = is_tcp(proto) ? IPPROTO_TCP : (__u8)proto,
	};
	return a;
}

static __always_inline struct ask ask_v6(const __u32 ip[4], __u32 port_be, __u32 proto)
{
	struct ask a = {
		.addr = { ip[0], ip[1], ip[2], ip[3] },
		.port = bpf_ntohs((__u16)port_be),
		.family = AF_INET6,
		.proto = is_tcp(proto) ? IPPROTO_TCP : (__u8)proto,
	};
	return a;
}

/* Turns the address in ctx to the listener. */
static __always_inline void turn_v4(struct bpf_sock_addr *ctx, const struct egret_listener *to,
				    enum way way)
{
	__u32 ip;

	__builtin_memcpy(&ip, to->addr4, 4);
	ctx->user_ip4 = ip;
	ctx->user_port = way == WAY_DNS ? to->dns4_be : to->tcp4_be;
}

static __always_inline void turn_v6(struct bpf_sock_addr *ctx, const struct egret_listener *to,
				    const struct ask *a, enum way way)
{
	__u32 ip[4] = { 0, 0, ADDR_MAPPED_WORD, 0 };

	if (addr_is_mapped(a->addr))
		__builtin_memcpy(&ip[3], to->addr4, 4);
	else
		__builtin_memcpy(ip, to->addr6, 16);
	ctx->user_ip6[0] = ip[0];
	ctx->user_ip6[1] = ip[1];
	ctx->user_ip6[2] = ip[2];
	ctx->user_ip6[3] = ip[3];
	ctx->user_port = door_port(to, a, way);
}

/* The whole of a connect or sendmsg hook: 1 lets the call go on, 0 is EPERM. */
static __always_inline int door_v4(struct bpf_sock_addr *ctx, bool connecting)
{
	struct ask a = ask_v4(ctx->user_ip4, ctx->user_port, ctx->protocol);
	struct egret_listener to = {};
	enum way way = door(ctx, &a, connecting, &to);

	if (way == WAY_STRAIGHT)
		return 1;
	if (way == WAY_DENY)
		return 0;
	turn_v4(ctx, &to, way);
	return 1;
}

static __always_inline int door_v6(struct bpf_sock_addr *ctx, bool connecting)
{
	__u32 ip[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };
	struct ask a = ask_v6(ip, ctx->user_port, ctx->protocol);
	struct egret_listener to = {};
	enum way way = door(ctx, &a, connecting, &to);

	if (way == WAY_STRAIGHT)
		return 1;
	if (way == WAY_DENY)
		return 0;
	turn_v6(ctx, &to, &a, way);
	return 1;
}

#endif
