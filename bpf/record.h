/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records and events: who asked for what, kept with the socket, and what was refused, told to the
 * audit process. A full ring loses events but never a refusal: both are counted.
 */
#ifndef EGRET_RECORD_H
#define EGRET_RECORD_H

#include "addr.h"
#include "maps.h"

/* Where somebody wants to go. */
struct ask {
	__u32 addr[4]; /* network order, mapped form */
	__u16 port;    /* host order */
	__u8 family;
	__u8 proto;
};

/* An address of a member of this job, in its own network namespace. */
static __always_inline bool is_member(__u64 job, const __u32 addr[4])
{
	struct egret_member_key key = { .job = job };

	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	return bpf_map_lookup_elem(&egret_members, &key) != NULL;
}

/* An address of the host's own interfaces. */
static __always_inline bool is_host(const __u32 addr[4])
{
	__u8 key[16];

	__builtin_memcpy(key, addr, sizeof(key));
	return bpf_map_lookup_elem(&egret_hostaddrs, key) != NULL;
}

/* What a socket asked for; NULL: nothing yet. The compiler would add first and ask afterwards,
 * which the verifier refuses. */
static __always_inline struct egret_record *record_of(struct bpf_sock *sk)
{
	struct egret_origin *o = bpf_sk_storage_get(&egret_origin, sk, NULL, 0);

	if (!o)
		return NULL;
	asm volatile("" : "+r"(o));
	return &o->record;
}

/* In the context of the calling task only (connect, sendmsg, bind, socket). */
static __always_inline void record_task(struct egret_record *r)
{
	__u64 id = bpf_get_current_pid_tgid();

	r->time_ns = bpf_ktime_get_ns();
	r->cgroup = bpf_get_current_cgroup_id();
	r->pid = id >> 32;
	r->tid = (__u32)id;
	id = bpf_get_current_uid_gid();
	r->uid = (__u32)id;
	r->gid = id >> 32;
	bpf_get_current_comm(r->comm, sizeof(r->comm));
}

static __always_inline void record_ask(struct egret_record *r, const struct ask *a)
{
	__builtin_memcpy(r->addr, a->addr, sizeof(r->addr));
	r->port = a->port;
	r->family = a->family;
	r->proto = a->proto;
}

static __always_inline void count_refused(__u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&egret_refused, &reason);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Room for an event; NULL is counted as lost. Wakes by the kernel's own rule: when the reader had
 * caught up. */
static __always_inline struct egret_event *event_open(__u16 kind, __u16 reason)
{
	struct egret_event *e = bpf_ringbuf_reserve(&egret_events, sizeof(*e), 0);
	__u32 zero = 0;
	__u64 *lost;

	if (!e) {
		lost = bpf_map_lookup_elem(&egret_lost, &zero);
		if (lost)
			__sync_fetch_and_add(lost, 1);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->size = sizeof(*e);
	e->kind = kind;
	e->reason = reason;
	return e;
}

/* A reader that lags by half the ring is woken in any case. */
static __always_inline void event_send(struct egret_event *e)
{
	bool late = bpf_ringbuf_query(&egret_events, BPF_RB_AVAIL_DATA) > 1 << 19;

	bpf_ringbuf_submit(e, late ? BPF_RB_FORCE_WAKEUP : 0);
}

/* Event of a task's call: refused (reason), dialled or straight to a member. False: lost. */
static __always_inline bool event_task(__u16 kind, __u16 reason, __u64 job, __u64 cookie,
				       const struct ask *a)
{
	struct egret_event *e = event_open(kind, reason);

	if (!e)
		return false;
	record_task(&e->record);
	record_ask(&e->record, a);
	e->record.job = job;
	e->record.cookie = cookie;
	event_send(e);
	return true;
}

#endif
