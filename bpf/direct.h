/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a rule `direct` lets go as asked: one question for the door, for each packet and for the
 * job's link, so that all three judge alike and a rule taken away is gone for what stands, too.
 * The table is egretd's; what is never direct is refused here again, whatever the table says:
 * loopback, link-local, multicast, metadata and the host's own addresses, and port 53, which is the
 * job's resolver's.
 */
#ifndef EGRET_DIRECT_H
#define EGRET_DIRECT_H

#include "record.h"

static __always_inline bool is_never_direct(const struct ask *a)
{
	switch (addr_class(a->addr)) {
	case ADDR_UNSPECIFIED:
	case ADDR_LOOPBACK:
	case ADDR_LINK_LOCAL:
	case ADDR_MULTICAST:
	case ADDR_METADATA:
		return true;
	default:
		return a->port == 53 || is_host(a->addr);
	}
}

/* What a wall says of a packet. */
enum passes {
	PASS_NO = 0,
	PASS_YES,
	PASS_HOST, /* by its addresses, whatever the ports */
	PASS_NOW,  /* by a rule that ends: the next packet asks anew */
};

static __always_inline enum passes range_passes(const struct egret_direct_range *r,
						const struct ask *a)
{
	__u32 until = r->flags >> EGRET_DIRECT_UNTIL;

	if (!r->port_hi || a->port < r->port_lo || a->port > r->port_hi)
		return PASS_NO;
	if (!!(r->flags & EGRET_DIRECT_UDP) != (a->proto == IPPROTO_UDP))
		return PASS_NO;
	if (!until)
		return PASS_YES;
	return bpf_ktime_get_boot_ns() / 1000000000 < until ? PASS_NOW : PASS_NO;
}

/* flags, policy: of the cgroup, or of the link. a->proto is TCP or UDP. */
ONCE enum passes is_direct(__u32 flags, __u32 policy, const struct ask *a)
{
	struct egret_direct_key key = { .prefixlen = 32 + 128 };
	struct egret_direct_entry *e;
	enum passes passes;

	if (!a || !(flags & EGRET_CG_DIRECT) || !policy ||
	    (a->proto != IPPROTO_TCP && a->proto != IPPROTO_UDP))
		return PASS_NO;
	__builtin_memcpy(key.policy, &policy, sizeof(key.policy));
	__builtin_memcpy(key.addr, a->addr, sizeof(key.addr));
	e = bpf_map_lookup_elem(&egret_direct, &key);
	if (!e)
		return PASS_NO;
	for (int i = 0; i < EGRET_DIRECT_RANGES; i++) {
		passes = range_passes(&e->range[i], a);
		if (passes)
			return is_never_direct(a) ? PASS_NO : passes;
	}
	return PASS_NO;
}

#endif
