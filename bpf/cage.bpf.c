// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The cage: attached to the parent cgroup of all proxies. A proxy that was taken over still cannot
 * dial loopback, link-local and metadata addresses, private networks, egret's synthetic ranges or
 * the host itself, in whatever form they are written, unless egretd put the address with the port
 * into egret_cage for this proxy's cgroup; nor send UDP but to a nameserver named there; nor bind,
 * nor make other sockets than TCP and UDP. Each dial is told to the audit process: one that no
 * request explains is an alert (audit/dials.c).
 *
 * A proxy that dials from its job's network namespaces (egret_dialler) gets its sockets there from
 * a helper in its own cgroup. In such a namespace loopback and the like are the job's: there they
 * are refused also where they are named, and so are the job's own addresses that are not, and all
 * of UDP. Where such a socket was let connect to is kept with it, for the wall at the job's link.
 */
#include "record.h"

static __always_inline const struct egret_cage_entry *entry_of(__u64 cgroup, const __u32 addr[4])
{
	struct egret_cage_key key = { .prefixlen = 64 + 128 };

	__builtin_memcpy(key.cgroup, &cgroup, sizeof(key.cgroup));
	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	return bpf_map_lookup_elem(&egret_cage, &key);
}

/* Named for this proxy, with the port: the entry's flags and NAMED, else 0. */
#define NAMED 0x80000000u
static __always_inline __u32 named(const struct ask *a)
{
	const struct egret_cage_entry *e = entry_of(bpf_get_current_cgroup_id(), a->addr);
	__u32 flags = 0;

	if (!e)
		return 0;
	for (int i = 0; i < EGRET_CAGE_RANGES; i++) {
		const struct egret_cage_value *v = &e->range[i];

		if (v->port_hi && a->port >= v->port_lo && a->port <= v->port_hi)
			flags |= v->flags | NAMED;
	}
	return flags;
}

/* A range that the configuration closes to all proxies. */
static __always_inline bool is_closed(const __u32 addr[4])
{
	return entry_of(EGRET_CAGE_ALL, addr) != NULL;
}

/* What is judged by its number is judged by the IPv4 address in it too. */
static __always_inline int judge_inner(__u32 ip)
{
	__u32 inner[4] = { 0, 0, ADDR_MAPPED_WORD, ADDR_HOST32(ip) };

	if (is_host(inner))
		return EGRET_R_HOST_ADDRESS;
	return is_closed(inner) ? EGRET_R_CAGE_ADDRESS : EGRET_OK;
}

/* What every namespace has of its own: of one that is not the host's it is the job's. */
static __always_inline bool is_of_netns(const __u32 addr[4])
{
	switch (addr_class_deep(addr)) {
	case ADDR_UNSPECIFIED:
	case ADDR_LOOPBACK:
	case ADDR_LINK_LOCAL:
	case ADDR_MULTICAST:
	case ADDR_METADATA:
		return true;
	default:
		return false;
	}
}

/* In a namespace of the job's own, before the rest is asked. */
ONCE int judge_there(const struct ask *a, __u32 name, __u64 job)
{
	if (!a)
		return EGRET_R_CAGE_ADDRESS;
	if (a->proto == IPPROTO_UDP)
		return EGRET_R_CAGE_UDP;
	if (is_of_netns(a->addr))
		return EGRET_R_CAGE_ADDRESS;
	return !name && is_member(job, a->addr) ? EGRET_R_HOST_ADDRESS : EGRET_OK;
}

ONCE int judge(const struct ask *a, __u32 name)
{
	__u32 ip[2] = { 0, 0 };
	int n, reason;

	if (!a)
		return EGRET_R_CAGE_ADDRESS;
	if (a->proto == IPPROTO_UDP)
		return name & EGRET_CAGE_UDP ? EGRET_OK : EGRET_R_CAGE_UDP;
	if (a->proto != IPPROTO_TCP)
		return EGRET_R_CAGE_SOCKET;
	if (name)
		return EGRET_OK;
	if (addr_class_deep(a->addr) != ADDR_PUBLIC || is_closed(a->addr))
		return EGRET_R_CAGE_ADDRESS;
	if (is_host(a->addr))
		return EGRET_R_HOST_ADDRESS;
	n = addr_embedded(a->addr, ip);
	if (n > 0) {
		reason = judge_inner(ip[0]);
		if (reason)
			return reason;
	}
	return n > 1 ? judge_inner(ip[1]) : EGRET_OK;
}

/* A dial that is let through, told with what the audit process must know: that it went to a
 * nameserver, so that no request of the job explains it. */
static __always_inline void tell_dial(struct bpf_sock_addr *ctx, const struct ask *a, __u32 name)
{
	struct egret_event *e = event_open(EGRET_EV_DIAL, EGRET_OK);

	if (!e)
		return;
	record_task(&e->record);
	record_ask(&e->record, a);
	e->record.cookie = bpf_get_socket_cookie(ctx);
	if (name & EGRET_CAGE_UDP)
		e->record.flags = EGRET_REC_DNS;
	event_send(e);
}

/* The canary below the proxies' cgroup: known as one of no job. */
static __always_inline bool is_canary(void)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct egret_cgroup *c = bpf_map_lookup_elem(&egret_cgroups, &cgroup);

	return c && (c->flags & EGRET_CG_TRIAL);
}

/* The job from whose namespace this socket dials; 0: it is the host's. */
static __always_inline __u64 dials_for(struct bpf_sock_addr *ctx)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct egret_dialler *d = bpf_map_lookup_elem(&egret_dialler, &cgroup);

	return d && bpf_get_netns_cookie(ctx) != d->host ? d->job : 0;
}

/* False: there is no room, and without it nothing passes the job's link. */
static __always_inline bool keep_dialled(struct bpf_sock_addr *ctx, const struct ask *a, __u64 job)
{
	struct egret_dialled is = { .job = job, .port = a->port }, *was;
	struct bpf_sock *sk = ctx->sk;

	if (!sk)
		return false;
	__builtin_memcpy(is.addr, a->addr, sizeof(is.addr));
	was = bpf_sk_storage_get(&egret_dialled, sk, &is, BPF_SK_STORAGE_GET_F_CREATE);
	if (was)
		*was = is;
	return was != NULL;
}

static __always_inline int cage(struct bpf_sock_addr *ctx, const struct ask *a)
{
	__u64 job = dials_for(ctx);
	__u32 name = named(a);
	int reason = job ? judge_there(a, name, job) : EGRET_OK;

	if (!reason)
		reason = judge(a, name);
	if (is_canary())
		return reason == EGRET_OK;
	if (!reason && job && !keep_dialled(ctx, a, job))
		reason = EGRET_R_STORAGE;
	if (!reason) {
		tell_dial(ctx, a, name);
		return 1;
	}
	count_refused(reason);
	event_task(EGRET_EV_REFUSED, reason, 0, bpf_get_socket_cookie(ctx), a);
	return 0;
}

static __always_inline int cage_v4(struct bpf_sock_addr *ctx)
{
	struct ask a = {
		.addr = { 0, 0, ADDR_MAPPED_WORD, ctx->user_ip4 },
		.port = bpf_ntohs((__u16)ctx->user_port),
		.family = AF_INET,
		.proto = (__u8)ctx->protocol,
	};

	return cage(ctx, &a);
}

static __always_inline int cage_v6(struct bpf_sock_addr *ctx)
{
	struct ask a = {
		.addr = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] },
		.port = bpf_ntohs((__u16)ctx->user_port),
		.family = AF_INET6,
		.proto = (__u8)ctx->protocol,
	};

	return cage(ctx, &a);
}

SEC("cgroup/connect4")
int egret_cage_c4(struct bpf_sock_addr *ctx)
{
	return cage_v4(ctx);
}

SEC("cgroup/connect6")
int egret_cage_c6(struct bpf_sock_addr *ctx)
{
	return cage_v6(ctx);
}

SEC("cgroup/sendmsg4")
int egret_cage_s4(struct bpf_sock_addr *ctx)
{
	return cage_v4(ctx);
}

SEC("cgroup/sendmsg6")
int egret_cage_s6(struct bpf_sock_addr *ctx)
{
	return cage_v6(ctx);
}

static __always_inline int cage_bind(struct bpf_sock_addr *ctx, __u8 family)
{
	struct ask a = {
		.port = bpf_ntohs((__u16)ctx->user_port),
		.family = family,
		.proto = (__u8)ctx->protocol,
	};

	if (is_canary())
		return 0;
	count_refused(EGRET_R_CAGE_SOCKET);
	event_task(EGRET_EV_REFUSED, EGRET_R_CAGE_SOCKET, 0, bpf_get_socket_cookie(ctx), &a);
	return 0;
}

SEC("cgroup/bind4")
int egret_cage_b4(struct bpf_sock_addr *ctx)
{
	return cage_bind(ctx, AF_INET);
}

SEC("cgroup/bind6")
int egret_cage_b6(struct bpf_sock_addr *ctx)
{
	return cage_bind(ctx, AF_INET6);
}

SEC("cgroup/sock_create")
int egret_cage_sock(struct bpf_sock *ctx)
{
	struct ask a = { .family = (__u8)ctx->family, .proto = (__u8)ctx->protocol };
	__u32 type = ctx->type, proto = ctx->protocol;

	if ((type == SOCK_STREAM && proto == IPPROTO_TCP) ||
	    (type == SOCK_DGRAM && proto == IPPROTO_UDP))
		return 1;
	if (is_canary())
		return 0;
	count_refused(EGRET_R_CAGE_SOCKET);
	event_task(EGRET_EV_REFUSED, EGRET_R_CAGE_SOCKET, 0, 0, &a);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
