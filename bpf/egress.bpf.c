// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The last wall: every packet of a job's sockets, judged once more by where it really leaves or
 * comes from. Source routes, sockets connected before they came here, and whatever else went round
 * connect() end here.
 *
 *  own namespace     only the loopback device (always index 1): the listeners and the job's own
 * services shared namespace  only the loopback device, and only sockets that came by the door
 * (EGRET_REC_REDIRECTED)
 *
 * Packets without a socket of the job (resets, packet sockets) do not come here; tc and LSM are for
 * those.
 */
#include "job.h"
#include "record.h"

struct l4 {
	__u16 source, dest;
};

/* Where the packet goes: read from the packet itself, which is what the wall is about. */
static __always_inline void packet_ask(struct __sk_buff *skb, struct ask *a)
{
	struct l4 ports = {};
	__u8 first = 0, proto = 0;
	__u32 at;

	bpf_skb_load_bytes(skb, 0, &first, 1);
	if (first >> 4 == 4) {
		a->family = AF_INET;
		a->addr[2] = ADDR_MAPPED_WORD;
		bpf_skb_load_bytes(skb, 9, &proto, 1);
		bpf_skb_load_bytes(skb, 16, &a->addr[3], 4);
		at = (first & 15) * 4;
	} else {
		a->family = AF_INET6;
		bpf_skb_load_bytes(skb, 6, &proto, 1);
		bpf_skb_load_bytes(skb, 24, a->addr, 16);
		at = 40;
	}
	a->proto = proto;
	if ((proto == IPPROTO_TCP || proto == IPPROTO_UDP) &&
	    !bpf_skb_load_bytes(skb, at, &ports, sizeof(ports)))
		a->port = bpf_ntohs(ports.dest);
}

static __always_inline void packet_event(struct __sk_buff *skb, __u16 reason, __u64 job)
{
	struct egret_event *e;
	struct ask a = {};

	packet_ask(skb, &a);
	e = event_open(EGRET_EV_REFUSED, reason);
	if (!e)
		return;
	record_ask(&e->record, &a);
	e->record.job = job;
	e->record.time_ns = bpf_ktime_get_ns();
	e->record.cgroup = bpf_skb_cgroup_id(skb);
	e->record.cookie = bpf_get_socket_cookie(skb);
	event_send(e);
}

/* 0 when the packet may pass, else the reason. */
static __always_inline int wall(struct __sk_buff *skb, __u32 ifindex, int reason, __u64 *ret_job)
{
	struct egret_cgroup *job;
	struct egret_record *r;
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	/* The common case first: the door was taken, and it leads to loopback. */
	if (sk && ifindex == LO_IFINDEX) {
		r = bpf_sk_storage_get(&egret_origin, sk, NULL, 0);
		if (r && (r->flags & (EGRET_REC_REDIRECTED | EGRET_REC_LOCAL)))
			return 0;
	}
	job = job_of_packet(skb);
	if (!job || !job->job)
		return EGRET_R_UNREGISTERED;
	*ret_job = job->job;
	if (ifindex == LO_IFINDEX && !(job->flags & EGRET_CG_HOST_NET))
		return 0;
	return reason;
}

SEC("cgroup_skb/egress")
int egret_egress(struct __sk_buff *skb)
{
	__u64 job = 0;
	int reason = wall(skb, skb->ifindex, EGRET_R_PACKET, &job);

	if (!reason)
		return 1;
	count_refused(reason);
	packet_event(skb, reason, job);
	return 0;
}

/* Counted only: what strangers send must not fill the ring. */
SEC("cgroup_skb/ingress")
int egret_ingress(struct __sk_buff *skb)
{
	__u64 job = 0;
	int reason = wall(skb, skb->ifindex, EGRET_R_INBOUND, &job);

	if (!reason)
		return 1;
	count_refused(reason);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
