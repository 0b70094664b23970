// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The record's way from the client's socket to the accepted one. On the jobs' side: when the SYN's source port is chosen, the record
 * goes into egret_flows. On the listeners' side: when the handshake is complete, it moves from there into the storage of the new
 * socket, in the kernel, before the proxy can accept it; so a port that is used again is never taken for the connection before.
 *
 * Both are called for many other events of a socket: `op` is looked at first.
 */
#include "maps.h"
#include "addr.h"

SEC("sockops")
int egret_flow_out(struct bpf_sock_ops *ops)
{
	struct egret_flow_key key = {};
	struct egret_record *r;
	struct bpf_sock *sk;
	__u32 addr[4] = { 0, 0, ADDR_MAPPED_WORD, 0 };

	if (ops->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	r = bpf_sk_storage_get(&egret_origin, sk, NULL, 0);
	if (!r)
		return 1;
	key.netns = bpf_get_netns_cookie(ops);
	key.sport = ops->local_port;
	__builtin_memcpy(addr, r->addr, sizeof(addr));
	/* A mapped socket has no IPv6 source yet; the record tells what it is. */
	if (addr_is_mapped(addr)) {
		addr[3] = ops->local_ip4;
	} else {
		addr[0] = ops->local_ip6[0];
		addr[1] = ops->local_ip6[1];
		addr[2] = ops->local_ip6[2];
		addr[3] = ops->local_ip6[3];
	}
	__builtin_memcpy(key.saddr, addr, sizeof(addr));
	if (r->flags & EGRET_REC_REDIRECTED)
		bpf_map_update_elem(&egret_flows, &key, r, BPF_ANY);
	else
		bpf_map_delete_elem(&egret_flows, &key); /* left by a SYN that nobody took */
	return 1;
}

SEC("sockops")
int egret_flow_in(struct bpf_sock_ops *ops)
{
	struct egret_flow_key key = {};
	struct egret_record *r, *to;
	struct bpf_sock *sk;
	__u32 addr[4] = { 0, 0, ADDR_MAPPED_WORD, 0 };

	if (ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	if (ops->family == AF_INET) {
		addr[3] = ops->remote_ip4;
	} else {
		addr[0] = ops->remote_ip6[0];
		addr[1] = ops->remote_ip6[1];
		addr[2] = ops->remote_ip6[2];
		addr[3] = ops->remote_ip6[3];
	}
	__builtin_memcpy(key.saddr, addr, sizeof(addr));
	key.netns = bpf_get_netns_cookie(ops);
	key.sport = bpf_ntohl(ops->remote_port);
	r = bpf_map_lookup_elem(&egret_flows, &key);
	if (!r)
		return 1; /* no record: the proxy refuses it */
	to = bpf_sk_storage_get(&egret_accepted, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (to)
		*to = *r;
	bpf_map_delete_elem(&egret_flows, &key);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
