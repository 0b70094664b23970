// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What sockets a job may have (TCP, MPTCP, UDP: no raw, ping, SCTP, UDP-Lite), and bind() on ports
 * that are egret's own: a job that could take them after a crash would catch other jobs'
 * connections in a shared network namespace.
 */
#include "job.h"
#include "record.h"

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

char _license[] SEC("license") = "Dual BSD/GPL";
