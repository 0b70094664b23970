/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps and constants that all objects share. maps.bpf.c defines them; every other .bpf.c sees
 * the same declarations with `extern`, and `bpftool gen object` joins them. What they hold is in
 * abi.h; userspace pins them all.
 */
#ifndef EGRET_MAPS_H
#define EGRET_MAPS_H

#include "kernel.h"
#include "abi.h"

#ifdef EGRET_MAPS_HERE
#define SHARED
#else
#define SHARED extern
#endif

/* tests/chaos/upgrade.sh has an egretd whose tables are of another shape. */
#ifdef EGRET_TEST_SHAPE
#define ENTRIES(n) (2 * (n))
#else
#define ENTRIES(n) (n)
#endif

/* The verifier goes through such a function by itself, once, and not anew for each way that leads
 * to it: inlined, they made it take ten times as long to load egret. What is pointed to may be NULL
 * to it, and it has to answer something. Weak: several objects have it, and one is kept. */
#define ONCE __attribute__((noinline, weak))

/* Depth of the cgroup where the programs of jobs are attached; set before loading. */
extern const volatile __u32 egret_attach_level;
extern const volatile __u64 egret_attach_id; /* that cgroup's id */
extern const volatile __u64 egret_listen_id; /* of the cgroup where listeners are made */
/* The attach point is shared with others (a kubelet's pods): a cgroup that was never registered
 * passes untouched. One with job 0 is refused in either case. */
extern const volatile bool egret_unknown_pass;

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES(65536));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct egret_cgroup);
} egret_cgroups SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES(16384));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct egret_listener_key);
	__type(value, struct egret_listener);
} egret_listeners SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES(65536));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct egret_port_key);
	__type(value, __u64);
} egret_ports SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct egret_flow_key);
	__type(value, struct egret_record);
} egret_flows SEC(".maps");

/* On the client's socket. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct egret_origin);
} egret_origin SEC(".maps");

/* On the accepted socket. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct egret_record);
} egret_accepted SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, ENTRIES(262144));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct egret_cage_key);
	__type(value, struct egret_cage_entry);
} egret_cage SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES(16384));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u8[16]);
	__type(value, __u8);
} egret_hostaddrs SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} egret_events SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} egret_lost SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EGRET_R_ROOM);
	__type(key, __u32);
	__type(value, __u64);
} egret_refused SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES(65536));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct egret_member_key);
	__type(value, __u8);
} egret_members SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES(65536));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct egret_published_key);
	__type(value, __u8);
} egret_published SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct egret_direct_key);
	__type(value, struct egret_direct_entry);
} egret_direct SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct egret_told);
} egret_told SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct egret_link);
} egret_links SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct egret_spoken_key);
	__type(value, __u8);
} egret_spoken SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct egret_changes);
} egret_changes SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct egret_seen);
} egret_seen SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct egret_crowd);
} egret_crowd SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct egret_heard_key);
	__type(value, __u64);
} egret_heard SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct egret_dialler);
} egret_dialler SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct egret_dialled);
} egret_dialled SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u8);
} egret_own SEC(".maps");

/* On egretd's control socket: confined jobs may connect to it. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u8);
} egret_control SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} egret_holds SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct egret_beat);
} egret_beat SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} egret_held SEC(".maps");

#endif
