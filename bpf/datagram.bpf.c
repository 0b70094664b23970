// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sendto(), sendmsg(), sendmmsg() with an address, and the source that recvmsg() shows. Only DNS
 * passes, to the resolver of the job's proxy; its answers get the source back that the job asked
 * (musl checks it).
 *
 * A mapped destination on an unconnected AF_INET6 socket comes to sendmsg4, its answer to recvmsg6:
 * the record keeps the mapped form, so either can write it.
 */
#include "door.h"

SEC("cgroup/sendmsg4")
int egret_sendmsg4(struct bpf_sock_addr *ctx)
{
	return door_v4(ctx, false);
}

SEC("cgroup/sendmsg6")
int egret_sendmsg6(struct bpf_sock_addr *ctx)
{
	return door_v6(ctx, false);
}

/* The record of a socket that asked the resolver, with the listener it was turned to. */
static __always_inline struct egret_record *asked(struct bpf_sock_addr *ctx,
						  struct egret_listener **ret)
{
	struct egret_listener_key key = {};
	struct bpf_sock *sk = ctx->sk;
	struct egret_record *r;

	if (!sk)
		return NULL;
	r = record_of(sk);
	if (!r || !(r->flags & EGRET_REC_DNS))
		return NULL;
	key.job = r->job;
	key.netns = bpf_get_netns_cookie(ctx);
	*ret = bpf_map_lookup_elem(&egret_listeners, &key);
	return *ret ? r : NULL;
}

SEC("cgroup/recvmsg4")
int egret_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct egret_listener *l = NULL;
	struct egret_record *r = asked(ctx, &l);
	__u32 ip[4], from;

	if (!r)
		return 1;
	__builtin_memcpy(&from, l->addr4, sizeof(from));
	if (ctx->user_ip4 != from || (__u16)ctx->user_port != l->dns4_be)
		return 1;
	__builtin_memcpy(ip, r->addr, sizeof(ip));
	ctx->user_ip4 = ip[3];
	ctx->user_port = bpf_htons(r->port);
	return 1;
}

SEC("cgroup/recvmsg6")
int egret_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct egret_listener *l = NULL;
	struct egret_record *r = asked(ctx, &l);
	__u32 got[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };
	__u32 port = ctx->user_port;
	__u32 ip[4];

	if (!r)
		return 1;
	if (addr_is_mapped(got)) {
		__builtin_memcpy(ip, l->addr4, 4);
		if (got[3] != ip[0] || (__u16)port != l->dns4_be)
			return 1;
	} else {
		__builtin_memcpy(ip, l->addr6, 16);
		if (got[0] != ip[0] || got[1] != ip[1] || got[2] != ip[2] || got[3] != ip[3] ||
		    (__u16)port != l->dns6_be)
			return 1;
	}
	__builtin_memcpy(ip, r->addr, sizeof(ip));
	ctx->user_ip6[0] = ip[0];
	ctx->user_ip6[1] = ip[1];
	ctx->user_ip6[2] = ip[2];
	ctx->user_ip6[3] = ip[3];
	ctx->user_port = bpf_htons(r->port);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
