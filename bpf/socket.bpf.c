// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What sockets a job may have (TCP, MPTCP, UDP: no raw, ping, SCTP, UDP-Lite), bind() on ports that
 * are egret's own (a job that could take them after a crash would catch other jobs' connections in
 * a shared network namespace), and options that make the kernel itself speak: it reports each
 * membership of a group to the link, with the group and the list of sources as the job wrote them,
 * in packets that are of no socket.
 */
#include "job.h"
#include "record.h"

/* Both families have MCAST_JOIN_GROUP to MCAST_MSFILTER. */
#define IP_ADD_MEMBERSHIP 35
#define IPV6_ADD_MEMBERSHIP 20
#define IPV6_DROP_MEMBERSHIP 21
#define IPV6_JOIN_ANYCAST 27
#define IPV6_LEAVE_ANYCAST 28
#define MCAST_JOIN_GROUP 42
#define MCAST_MSFILTER 48

SEC("cgroup/sock_create")
int egret_sock(struct bpf_sock *ctx)
{
	struct egret_cgroup *job = job_of_task();
	struct ask a = { .family = (__u8)ctx->family, .proto = (__u8)ctx->protocol };
	__u32 type = ctx->type, proto = ctx->protocol;
	int reason = EGRET_R_UNREGISTERED;

	if (is_others(job))
		return 1;
	if (job && job->job) {
		if (type == SOCK_STREAM && (proto == IPPROTO_TCP || proto == IPPROTO_MPTCP))
			return 1;
		if (type == SOCK_DGRAM && proto == IPPROTO_UDP)
			return 1;
		reason = EGRET_R_FAMILY;
	}
	if (is_trial(job))
		return 0;
	count_refused(reason);
	event_task(EGRET_EV_REFUSED, reason, job ? job->job : 0, 0, &a);
	return 0;
}

static __always_inline int bind_check(struct bpf_sock_addr *ctx, const struct ask *a)
{
	struct egret_cgroup *job = job_of_task();
	struct egret_port_key key = { .netns = bpf_get_netns_cookie(ctx), .port = a->port };
	int reason = EGRET_R_UNREGISTERED;

	if (is_others(job))
		return 1;
	if (job && job->job) {
		if (!a->port || !bpf_map_lookup_elem(&egret_ports, &key))
			return 1;
		reason = EGRET_R_PORT;
	}
	if (is_trial(job))
		return 0;
	count_refused(reason);
	event_task(EGRET_EV_REFUSED, reason, job ? job->job : 0, bpf_get_socket_cookie(ctx), a);
	return 0;
}

SEC("cgroup/bind4")
int egret_bind4(struct bpf_sock_addr *ctx)
{
	struct ask a = {
		.addr = { 0, 0, ADDR_MAPPED_WORD, ctx->user_ip4 },
		.port = bpf_ntohs((__u16)ctx->user_port),
		.family = AF_INET,
		.proto = (__u8)ctx->protocol,
	};

	return bind_check(ctx, &a);
}

SEC("cgroup/bind6")
int egret_bind6(struct bpf_sock_addr *ctx)
{
	struct ask a = {
		.addr = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] },
		.port = bpf_ntohs((__u16)ctx->user_port),
		.family = AF_INET6,
		.proto = (__u8)ctx->protocol,
	};

	return bind_check(ctx, &a);
}

static __always_inline bool joins(__s32 level, __s32 name)
{
	if (level == IPPROTO_IP)
		return name >= IP_ADD_MEMBERSHIP && name <= MCAST_MSFILTER;
	if (level != IPPROTO_IPV6)
		return false;
	return name == IPV6_ADD_MEMBERSHIP || name == IPV6_DROP_MEMBERSHIP ||
	       name == IPV6_JOIN_ANYCAST || name == IPV6_LEAVE_ANYCAST ||
	       (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER);
}

SEC("cgroup/setsockopt")
int egret_option(struct bpf_sockopt *ctx)
{
	struct ask a = { .proto = IPPROTO_UDP };
	struct egret_cgroup *job;

	if (!joins(ctx->level, ctx->optname)) {
		/* The value as the caller has it: what is longer than a page is not handed here. */
		ctx->optlen = 0;
		return 1;
	}
	job = job_of_task();
	if (is_others(job)) {
		ctx->optlen = 0;
		return 1;
	}
	if (is_trial(job))
		return 0;
	a.family = ctx->level == IPPROTO_IP ? AF_INET : AF_INET6;
	count_refused(EGRET_R_MULTICAST);
	event_task(EGRET_EV_REFUSED, EGRET_R_MULTICAST, job ? job->job : 0, 0, &a);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
