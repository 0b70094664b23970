// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The last wall: every packet of a job's sockets, judged once more by where it really leaves or
 * comes from. Source routes, sockets connected before they came here, and whatever else went round
 * connect() end here.
 *
 *  loopback device (always index 1)
 *    own namespace     the listeners and the job's own services
 *    shared namespace  only sockets that came by the door (EGRET_REC_REDIRECTED, _LOCAL)
 *    both              what was turned, to a socket of egret's alone
 *  other devices, by the address in the packet itself
 *    out  to a member, from a socket that asked the door for one (EGRET_REC_MEMBER); to what a rule
 *         `direct` names now, from one that asked for such (EGRET_REC_DIRECT); answers to who
 *         may speak to the job, to that peer alone (EGRET_REC_INBOUND); neighbour discovery
 *    in   from who may speak to the job: members; the host's own addresses where ports are
 *         published; anybody where inbound is allowed; for a socket that asked for it, what a rule
 *         `direct` names
 *
 * Packets without a socket of the job (resets, packet sockets) do not come here; tc and LSM are for
 * those. Who was let in by a first word (SYN) is noted in egret_spoken: answers pass the job's link
 * (tc.bpf.c) to nobody else.
 */
#include "direct.h"
#include "heard.h"
#include "job.h"

static __always_inline void packet_event(struct __sk_buff *skb, __u16 reason, __u64 job)
{
	struct packet p = {};
	struct egret_event *e;

	packet_read(skb, 0, true, &p);
	/* The kernel's own talk on a link, which no process asked for: counted only. */
	if (p.far.family == AF_INET6 && (p.far.proto == IPPROTO_ICMPV6 || p.far.proto == 0))
		return;
	e = event_open(EGRET_EV_REFUSED, reason);
	if (!e)
		return;
	record_ask(&e->record, &p.far);
	e->record.job = job;
	e->record.time_ns = bpf_ktime_get_ns();
	e->record.cgroup = bpf_skb_cgroup_id(skb);
	e->record.cookie = bpf_get_socket_cookie(skb);
	event_send(e);
}

/* Who may speak to the job. Nothing is published of a job without a namespace of its own. */
static __always_inline bool is_peer(const struct egret_cgroup *job, const __u32 addr[4])
{
	if (job->flags & EGRET_CG_INBOUND)
		return true;
	if (is_member(job->job, addr))
		return true;
	return (job->flags & (EGRET_CG_PUBLISHED | EGRET_CG_HOST_NET)) == EGRET_CG_PUBLISHED &&
	       is_host(addr);
}

/* A member needs none: its address is enough at the link. Also noted when an answer leaves, which
 * brings back what newer ones drove out of the table, or what was there before the link's wall. */
static __always_inline void note_spoken(const struct egret_cgroup *job, const struct packet *p)
{
	struct egret_spoken_key key = { .job = job->job,
					.port = p->far.port,
					.here = p->near_port };
	__u8 one = 1;

	if ((job->flags & EGRET_CG_HOST_NET) || is_member(job->job, p->far.addr))
		return;
	__builtin_memcpy(key.addr, p->far.addr, sizeof(key.addr));
	if (!bpf_map_lookup_elem(&egret_spoken, &key))
		bpf_map_update_elem(&egret_spoken, &key, &one, BPF_ANY);
}

/* IPv6 finds its neighbours by packets, of the kernel's own socket, which has the cgroup of whoever
 * made the namespace; a job has no socket that could send one. Which neighbours are looked for was
 * decided at the door, who is answered asked; no router passes them on. */
static __always_inline bool is_discovery(const struct packet *p)
{
	if (p->far.family != AF_INET6 || p->hops != 255)
		return false;
	if (p->first != ND_SOLICIT && p->first != ND_ADVERT)
		return false;
	return addr_class(p->far.addr) != ADDR_MULTICAST ||
	       ADDR_HOST32(p->far.addr[0]) >> 16 == 0xff02;
}

/* Of a socket that asked the door for it, while a rule names the packet's own other end; never over
 * a loopback device that others share, nor for a socket that listens by now. */
static __always_inline enum passes is_direct_packet(struct __sk_buff *skb, struct bpf_sock *sk,
						    const struct egret_record *r,
						    const struct egret_cgroup *job,
						    const struct packet *p)
{
	if (!p->plain || sk->state == TCP_LISTENING || skb->ifindex == LO_IFINDEX)
		return PASS_NO;
	if (!r || !(r->flags & EGRET_REC_DIRECT) || r->job != job->job)
		return PASS_NO;
	return is_direct(job->flags, job->policy, &p->far);
}

static __always_inline enum passes may_leave(struct __sk_buff *skb, struct bpf_sock *sk,
					     const struct egret_cgroup *job, const struct packet *p)
{
	struct egret_record *r;
	enum passes direct;
	__u32 was[4];

	if (!p->plain || !sk)
		return PASS_NO;
	if (p->far.proto == IPPROTO_ICMPV6)
		return is_discovery(p) ? PASS_YES : PASS_NO;
	r = record_of(sk);
	direct = is_direct_packet(skb, sk, r, job, p);
	if (direct)
		return direct;
	if (r && (r->flags & (EGRET_REC_MEMBER | EGRET_REC_DIRECT)) && r->job == job->job) {
		if ((r->flags & EGRET_REC_MEMBER) && (job->flags & EGRET_CG_SERVICES) &&
		    is_member(job->job, p->far.addr))
			return PASS_HOST;
		return PASS_NO;
	}
	/* Answers: TCP's alone, because only there a socket has one peer. */
	if (p->far.proto != IPPROTO_TCP || !is_peer(job, p->far.addr))
		return PASS_NO;
	if (sk->state == TCP_LISTENING)
		return (p->flags & TCP_SYN_ACK) == TCP_SYN_ACK ? PASS_YES : PASS_NO;
	if (!r || !(r->flags & EGRET_REC_INBOUND) || r->port != p->far.port)
		return PASS_NO;
	__builtin_memcpy(was, r->addr, sizeof(was));
	if (was[0] != p->far.addr[0] || was[1] != p->far.addr[1] || was[2] != p->far.addr[2] ||
	    was[3] != p->far.addr[3])
		return PASS_NO;
	note_spoken(job, p);
	return PASS_YES;
}

/* A socket of the job, by the deepest cgroup that is in the table. */
static __always_inline bool is_jobs(struct bpf_sock *to, __u64 job)
{
	struct egret_cgroup *c;
	__u64 found = 0;

	for (int i = 0; i < EGRET_CGROUP_LEVELS; i++) {
		__u64 id = bpf_sk_ancestor_cgroup_id(to, egret_attach_level + i);

		if (!id)
			break;
		c = bpf_map_lookup_elem(&egret_cgroups, &id);
		if (c)
			found = c->job;
	}
	return found && found == job;
}

/* What is turned goes to egret's own listener, as was found of it: asked of the first packet of a
 * connection and of each datagram. */
static __always_inline bool is_listeners(struct __sk_buff *skb, const struct bpf_sock *sk,
					 const struct egret_origin *o)
{
	return (o->record.proto == IPPROTO_TCP && sk->state != TCP_SYN_SENT) || heard_of(skb, o);
}

/* The listener's port is another's: egretd, the proxy and the broker are dead, and who shares the
 * namespace without being a job's (those cannot bind it) has taken it. What was found of
 * it is kept (heard.h). The source is left out, so that a listener is what is found, not
 * what is left of a connection. A socket that asked the resolver may send to the job's own loopback
 * too. */
static __always_inline bool is_captured(struct __sk_buff *skb, struct bpf_sock *sk,
					struct egret_origin *o, struct packet *p)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *to;
	__u32 size = sizeof(t.ipv4);
	bool captured;
	__u64 since;

	since = seen_begin(bpf_sk_fullsock(sk));
	packet_read(skb, 0, true, p);
	if (p->far.family == AF_INET) {
		t.ipv4.daddr = p->far.addr[3];
		t.ipv4.dport = bpf_htons(p->far.port);
	} else {
		__builtin_memcpy(t.ipv6.daddr, p->far.addr, sizeof(t.ipv6.daddr));
		t.ipv6.dport = bpf_htons(p->far.port);
		size = sizeof(t.ipv6);
	}
	to = p->far.proto == IPPROTO_TCP ? bpf_sk_lookup_tcp(skb, &t, size, BPF_F_CURRENT_NETNS, 0)
					 : bpf_sk_lookup_udp(skb, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!to)
		return false; /* the kernel refuses it by itself */
	captured = bpf_sk_cgroup_id(to) != egret_listen_id;
	if (!captured && to->mark != EGRET_MARK_GONE)
		heard_keep(o, since, p);
	else if (captured && p->far.proto == IPPROTO_UDP)
		captured = !is_jobs(to, o->record.job);
	bpf_sk_release(to);
	return captured;
}

/* A socket of the canary, which is out of the table by now. */
static __always_inline bool is_canarys(struct bpf_sock *sk)
{
	struct egret_record *r = record_of(sk);

	return r && r->job == EGRET_TRIAL_JOB;
}

/* What most packets are: known without a look at a table. The door was taken, and it leads to
 * loopback; or this very flow was let pass a moment ago, and nothing has changed. Not for a socket
 * that listens by now: who connects to it did not come by the door. */
static __always_inline bool is_known(struct __sk_buff *skb, bool leaves)
{
	struct bpf_sock *sk = skb->sk; /* not yet known to be more than the least of one */
	struct egret_origin *o;
	__u8 flags;

	if (!sk || sk->state == TCP_LISTENING)
		return false;
	if (skb->ifindex == LO_IFINDEX) {
		o = bpf_sk_storage_get(&egret_origin, sk, NULL, 0);
		if (o && (o->record.flags & (EGRET_REC_REDIRECTED | EGRET_REC_LOCAL)))
			return !leaves || !(o->record.flags & EGRET_REC_REDIRECTED) ||
			       is_listeners(skb, sk, o);
	}
	return seen_of(skb, sk, 0, leaves, skb->ifindex == LO_IFINDEX, &flags);
}

/* The whole check: 0 when the packet may pass, else the reason. */
static __always_inline int wall(struct __sk_buff *skb, bool leaves, __u64 *ret_job, bool *ret_quiet)
{
	struct egret_cgroup *job;
	struct egret_origin *o;
	struct egret_record *r;
	struct packet p = {};
	struct bpf_sock *sk = skb->sk;
	__u32 ifindex = skb->ifindex;
	enum passes passes = PASS_NO;
	int reason = EGRET_R_INBOUND;
	__u64 since, wrote;

	if (sk && ifindex == LO_IFINDEX && sk->state != TCP_LISTENING) {
		o = bpf_sk_storage_get(&egret_origin, sk, NULL, 0);
		if (o && (o->record.flags & EGRET_REC_REDIRECTED) && leaves &&
		    is_captured(skb, sk, o, &p)) {
			*ret_job = o->record.job;
			*ret_quiet = o->record.job == EGRET_TRIAL_JOB;
			return EGRET_R_CAPTURED;
		}
		if (o && (o->record.flags & (EGRET_REC_REDIRECTED | EGRET_REC_LOCAL)))
			return 0;
	}
	if (sk)
		sk = bpf_sk_fullsock(sk);
	since = seen_begin(sk);
	wrote = sk ? origin_word(sk) : 0;
	if (wrote >> 32 != (__u32)wrote)
		since = 0; /* the record is being written */
	job = job_of_packet(skb);
	if (is_others(job))
		return 0;
	if (!job || !job->job) {
		*ret_quiet = is_trial(job) || (sk && is_canarys(sk));
		return EGRET_R_UNREGISTERED;
	}
	*ret_job = job->job;
	*ret_quiet = is_trial(job);
	if (ifindex == LO_IFINDEX && !(job->flags & EGRET_CG_HOST_NET)) {
		if (sk) {
			seen_keep(sk, since, NULL, true, false);
			seen_unless(sk, wrote);
		}
		return 0;
	}
	packet_read(skb, 0, leaves, &p);
	if (leaves) {
		reason = EGRET_R_PACKET;
		passes = may_leave(skb, sk, job, &p);
	} else if (is_peer(job, p.far.addr)) {
		passes = PASS_HOST;
		if (sk && sk->state == TCP_LISTENING && (p.flags & TCP_SYN_ACK) == TCP_SYN)
			note_spoken(job, &p);
	} else if (sk && (job->flags & EGRET_CG_DIRECT)) {
		r = record_of(sk);
		passes = is_direct_packet(skb, sk, r, job, &p);
	}
	if (!passes)
		return reason;
	/* TCP answers: what is kept of the way out is enough. */
	if (sk && passes != PASS_NOW && (leaves || sk->protocol == IPPROTO_UDP)) {
		seen_keep(sk, since, &p, leaves, passes == PASS_HOST);
		seen_unless(sk, wrote);
	}
	return 0;
}

/* Functions of their own, so that the way of what is known is short in the processor's caches too,
 * and one beside the other: the verifier of Linux 6.1 adds up the stacks of those that are called
 * within each other, and takes 512 bytes. */
static __noinline int check_egress(struct __sk_buff *skb, __u64 *ret_job)
{
	bool quiet = false;
	int reason = wall(skb, true, ret_job, &quiet);

	return quiet ? -reason : reason;
}

static __noinline int check_ingress(struct __sk_buff *skb)
{
	bool quiet = false;
	__u64 job;
	int reason = wall(skb, false, &job, &quiet);

	return quiet ? -reason : reason;
}

static __noinline int tell_refused(struct __sk_buff *skb, int reason, __u64 job)
{
	packet_event(skb, (__u16)reason, job);
	return 0;
}

/* The kernel's answer: 1 lets the packet go on. Below 0: refused, and nobody is told. */
SEC("cgroup_skb/egress")
int egret_egress(struct __sk_buff *skb)
{
	__u64 job = 0;
	int reason;

	if (is_known(skb, true))
		return 1;
	reason = check_egress(skb, &job);
	if (reason <= 0)
		return !reason;
	count_refused(reason);
	return tell_refused(skb, reason, job);
}

/* Counted only: what strangers send must not fill the ring. */
SEC("cgroup_skb/ingress")
int egret_ingress(struct __sk_buff *skb)
{
	int reason;

	if (is_known(skb, false))
		return 1;
	reason = check_ingress(skb);
	if (reason > 0)
		count_refused(reason);
	return !reason;
}

char _license[] SEC("license") = "Dual BSD/GPL";
