// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * On the listeners' side, for sockets made in their cgroup: the end of one that jobs' connections
 * or datagrams are turned to. Called by the kernel in its close, of whichever process was the last
 * to hold it, and before its port is free for others. What a proxy itself might do to its listener
 * short of that counts with the second after which all is looked up again (heard.h).
 */
#include "seen.h"

SEC("cgroup/sock_release")
int egret_listener_end(struct bpf_sock *ctx)
{
	struct egret_changes *c;
	__u32 zero = 0;

	/* Not the connections that were accepted. */
	if (ctx->protocol != IPPROTO_UDP &&
	    !(ctx->protocol == IPPROTO_TCP && ctx->state == TCP_LISTENING))
		return 1;
	/* First, for who looks it up between this and its end. */
	ctx->mark = EGRET_MARK_GONE;
	c = bpf_map_lookup_elem(&egret_changes, &zero);
	if (c) {
		__sync_fetch_and_add(&c->begun, 1);
		__sync_fetch_and_add(&c->done, 1);
	}
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
