// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The record's way from the client's socket to the accepted one. On the jobs' side: when the SYN's
 * source port is chosen, the record goes into egret_flows. On the listeners' side: when the
 * handshake is complete, it moves from there into the storage of the new socket, in the kernel,
 * before the proxy can accept it; so a port that is used again is never taken for the connection
 * before. On the jobs' side too: an accepted connection is marked with its peer, because only there
 * its answers may go.
 *
 * All are called for many other events of a socket: `op` is looked at first.
 */
#include "record.h"

/* The compiler would join loads of two branches into one at a computed place, which the verifier
 * refuses: every field is loaded before the branch and kept from moving. */
#define LOAD(field)                               \
	({                                        \
		__u32 loaded_ = (field);          \
		asm volatile("" : "+r"(loaded_)); \
		loaded_;                          \
	})

static __always_inline void flow_source(struct egret_flow_key *key, bool four, __u32 ip4,
					const __u32 ip6[4])
{
	__u32 addr[4] = { 0, 0, ADDR_MAPPED_WORD, ip4 };

	if (!four)
		__builtin_memcpy(addr, ip6, sizeof(addr));
	__builtin_memcpy(key->saddr, addr, sizeof(addr));
}

/* Who was let in stands in egress.bpf.c; here only whom the socket talks to. Storage that cannot be
 * had leaves it mute. */
static __always_inline void mark_accepted(struct bpf_sock_ops *ops)
{
	struct egret_flow_key peer = {};
	struct bpf_sock *sk = ops->sk;
	struct egret_origin *o;
	struct egret_record *r;
	__u32 ip4, ip6[4];

	if (!sk)
		return;
	ip4 = LOAD(ops->remote_ip4);
	ip6[0] = LOAD(ops->remote_ip6[0]);
	ip6[1] = LOAD(ops->remote_ip6[1]);
	ip6[2] = LOAD(ops->remote_ip6[2]);
	ip6[3] = LOAD(ops->remote_ip6[3]);
	flow_source(&peer, ops->family == AF_INET, ip4, ip6);
	o = bpf_sk_storage_get(&egret_origin, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o)
		return;
	r = &o->record;
	__builtin_memcpy(r->addr, peer.saddr, sizeof(r->addr));
	r->port = (__u16)bpf_ntohl(ops->remote_port);
	r->proto = IPPROTO_TCP;
	r->flags = EGRET_REC_INBOUND;
}

SEC("sockops")
int egret_flow_out(struct bpf_sock_ops *ops)
{
	struct egret_flow_key key = {};
	struct egret_record *r;
	struct bpf_sock *sk;
	__u32 addr[4], ip4, ip6[4];

	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		mark_accepted(ops);
	if (ops->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	r = record_of(sk);
	if (!r)
		return 1;
	key.netns = bpf_get_netns_cookie(ops);
	key.sport = ops->local_port;
	ip4 = LOAD(ops->local_ip4);
	ip6[0] = LOAD(ops->local_ip6[0]);
	ip6[1] = LOAD(ops->local_ip6[1]);
	ip6[2] = LOAD(ops->local_ip6[2]);
	ip6[3] = LOAD(ops->local_ip6[3]);
	__builtin_memcpy(addr, r->addr, sizeof(addr));
	/* A mapped socket has no IPv6 source yet; the record tells what it is. */
	flow_source(&key, addr_is_mapped(addr), ip4, ip6);
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
	__u32 ip4, ip6[4];

	if (ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	ip4 = LOAD(ops->remote_ip4);
	ip6[0] = LOAD(ops->remote_ip6[0]);
	ip6[1] = LOAD(ops->remote_ip6[1]);
	ip6[2] = LOAD(ops->remote_ip6[2]);
	ip6[3] = LOAD(ops->remote_ip6[3]);
	flow_source(&key, ops->family == AF_INET, ip4, ip6);
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
