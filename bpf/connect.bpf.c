// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * connect() of a job, and what getpeername() says afterwards. Attached to the cgroup of all jobs;
 * the address comes from the job, the verdict from door.h. Also reached by TFO's sendto and by
 * io_uring.
 */
#include "door.h"

SEC("cgroup/connect4")
int egret_connect4(struct bpf_sock_addr *ctx)
{
	return door_v4(ctx, true);
}

SEC("cgroup/connect6")
int egret_connect6(struct bpf_sock_addr *ctx)
{
	return door_v6(ctx, true);
}

/* The job sees the peer that it asked for. */
static __always_inline struct egret_record *turned(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct egret_record *r;

	if (!sk)
		return NULL;
	r = record_of(sk);
	return r && (r->flags & EGRET_REC_REDIRECTED) ? r : NULL;
}

SEC("cgroup/getpeername4")
int egret_peername4(struct bpf_sock_addr *ctx)
{
	struct egret_record *r = turned(ctx);
	__u32 ip[4];

	if (r) {
		__builtin_memcpy(ip, r->addr, sizeof(ip));
		ctx->user_ip4 = ip[3];
		ctx->user_port = bpf_htons(r->port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int egret_peername6(struct bpf_sock_addr *ctx)
{
	struct egret_record *r = turned(ctx);
	__u32 ip[4];

	if (r) {
		__builtin_memcpy(ip, r->addr, sizeof(ip));
		ctx->user_ip6[0] = ip[0];
		ctx->user_ip6[1] = ip[1];
		ctx->user_ip6[2] = ip[2];
		ctx->user_ip6[3] = ip[3];
		ctx->user_port = bpf_htons(r->port);
	}
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
