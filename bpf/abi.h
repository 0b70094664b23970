/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The only truth shared by kernel programs and userspace: map keys and values, records, reasons. A
 * change here needs a new pin folder (EGRET_ABI). Addresses are 16 bytes, IPv4 in the mapped form
 * ::ffff:a.b.c.d; ports are in host order unless the name ends in _be.
 */
#ifndef EGRET_ABI_H
#define EGRET_ABI_H

#include <linux/types.h>

/* Pins are in /sys/fs/bpf/egret/INSTANCE/v2. Maps may be added; when one changes its shape the
 * number is raised, and egretd/kernel_older.h says what becomes of the folder before. Not fixed
 * here: tests build an egretd of the next number. */
#ifndef EGRET_ABI
#define EGRET_ABI 2
#endif
#define EGRET_CGROUP_LEVELS 8 /* how deep below the attach point a registered cgroup may be */

/* egret_cgroups: HASH, cgroup id -> this. A job is many cgroups; unknown below the attach point:
 * denied, or (egret_unknown_pass) not egret's. Job 0: of no job, denied in either case. */
struct egret_cgroup {
	__u64 job;
	__u32 flags;  /* EGRET_CG_* */
	__u32 policy; /* whose entries of egret_direct it has; 0: none */
};
#define EGRET_CG_READY \
	1u /* listeners are served; without it every connection is refused (not ready) */
#define EGRET_CG_HOST_NET \
	2u /* the job shares the host's network namespace: no loopback of its own */
#define EGRET_CG_INBOUND 4u  /* inbound: allow: others may connect to what it serves */
#define EGRET_CG_SERVICES 8u /* a rule "services": may connect to the job's other members */
#define EGRET_CG_PUBLISHED \
	16u /* the engine publishes ports of it: the host's own addresses may connect to it */
#define EGRET_CG_DIRECT                                                                           \
	32u /* its namespace has a link and its policy rules `direct`: what egret_direct names    \
	       goes as asked. Without a link such addresses are turned to the proxy as all others \
	     */
#define EGRET_CG_CONFINED                                                                         \
	64u /* called confined: UNIX sockets of others are closed to it, where the kernel has the \
	       hook (guard.bpf.c) */
#define EGRET_CG_TRIAL                                                             \
	128u /* the canary (egretd/trial.h): refusals are neither counted nor told \
	      */

#define EGRET_CG_DIALS 256u /* its proxy dials from the network namespace that it lives in */

/* The job that the canary's cgroups are registered as, and the link that is tried: numbers that
 * nobody else has. What of them is still under way when they are out of the tables is refused
 * as all that is unknown, and is nobody's news either. */
#define EGRET_TRIAL_JOB 1ull
#define EGRET_TRIAL_LINK 0x7ffffff0u

/* egret_members: HASH, this -> u8: addresses of a job's members in their own network namespaces.
 * Members always hear each other; who may speak first is EGRET_CG_SERVICES. */
struct egret_member_key {
	__u64 job;
	__u8 addr[16]; /* mapped form */
};

/* egret_published: HASH, this -> u8 (EGRET_PUBLISHED_*): ports on the host's loopback that the
 * engine publishes for the job's own services; a job in the host's namespace with EGRET_CG_SERVICES
 * reaches them, at the address that the engine listens at: the other may be somebody else's. */
#define EGRET_PUBLISHED_4 1u /* 127.0.0.1 */
#define EGRET_PUBLISHED_6 2u /* ::1 */
struct egret_published_key {
	__u64 job;
	__u16 port; /* host order */
	__u16 pad[3];
};

/* egret_direct: LPM_TRIE, what the rules `direct` of one policy name. All policies share it; jobs
 * of one policy share its entries. Key: (policy, address). Only the longest prefix is found, so an
 * entry holds what shorter ones allow too, and what a deny rule takes away is left out of it. */
struct egret_direct_key {
	__u32 prefixlen; /* 32 + prefix length in the mapped 128-bit form */
	__u8 policy[4];	 /* the u32, as bytes in memory order */
	__u8 addr[16];
};
#define EGRET_DIRECT_RANGES 8
#define EGRET_DIRECT_UDP 1u /* a range for UDP; else TCP */
#define EGRET_DIRECT_UNTIL                                                                       \
	1 /* flags >> this: the second of CLOCK_BOOTTIME from which the range stands no more; 0: \
	     none */
struct egret_direct_range {
	__u16 port_lo, port_hi; /* host order, inclusive; unused: port_hi 0 */
	__u32 flags;
};
struct egret_direct_entry {
	struct egret_direct_range range[EGRET_DIRECT_RANGES];
};

/* egret_told: SK_STORAGE, the destination of a socket's last datagram that went `direct`: told. */
struct egret_told {
	__u8 addr[16];
	__u16 port;
	__u16 pad;
};

/* egret_links: HASH, ifindex in egretd's network namespace (u32) -> this: the host's side of a
 * job's link, where egret_link (tc.bpf.c) drops what the job's own sockets did not rightly send. A
 * link that the program stands at and that is not in the map lets nothing through. */
struct egret_link {
	__u64 job;
	__u32 flags;  /* EGRET_CG_* of the members behind it, joined */
	__u32 policy; /* as in struct egret_cgroup */
};

/* egret_spoken: LRU_HASH, this -> u8: who was let in and spoke first, by a SYN. Answers may leave
 * by the link to nobody else. */
struct egret_spoken_key {
	__u64 job;
	__u8 addr[16];	  /* the peer, mapped form */
	__u16 port, here; /* the peer's and the job's port, host order */
	__u32 pad;
};

/* egret_changes: ARRAY[1], mapped by egretd: it counts `begun` before and `done` after every change
 * of egret_cgroups, _members, _hostaddrs, _direct, _links and _spoken. While the two differ nothing
 * is kept in egret_seen, and what was kept before counts for nothing (seen.h). */
struct egret_changes {
	__u32 begun, done;
};

/* egret_seen: SK_STORAGE: flows of this TCP or UDP socket that the walls let pass; or in place of
 * the first one that there are more, and in place of the second at most loopback. egret_crowd:
 * those of a UDP socket that has more of them, each in one of two sets of four by its tag. Each
 * stamp is egret_changes.begun << 32, and in the lower half when (of jiffies the lower half), or
 * for `link` by which link (ifindex); 0: not yet. A flow but for its link is in one line of the
 * cache, with the word that the kernel puts before all. */
#define EGRET_SEEN_FLOWS 2
#define EGRET_SEEN_CROWD 1  /* as a family: they are in egret_crowd */
#define EGRET_CROWD_SETS 13 /* with what the kernel puts before it, below 4 KiB */
#define EGRET_CROWD_ROOM (4 * EGRET_CROWD_SETS)
struct egret_seen_flow {
	__u64 left, came;
	__u32 far[4], near[4]; /* mapped form */
	__u32 ports;	       /* as in a packet that leaves: near, far; network order */
	__u16 family;	       /* 0: the job's own loopback, whatever the packet says */
	__u8 proto;
	__u8 any_port; /* the addresses alone were asked about: the ports do not count */
	__u64 link;
};
struct egret_seen {
	struct egret_seen_flow flow[EGRET_SEEN_FLOWS];
};
struct egret_crowd {
	__u32 tags[EGRET_CROWD_ROOM];	/* a hash of the flow, when it is written; 0: not yet */
	__u32 claims[EGRET_CROWD_ROOM]; /* who counted it from 0 to 1 may write that flow, once */
	__u64 made;			/* a stamp, of its first flow */
	__u32 pad[4];
	struct egret_seen_flow flow[EGRET_CROWD_ROOM];
};

/* egret_own: HASH, cgroup id -> u8 (EGRET_OWN_*): cgroups of egret's own processes (guard.bpf.c):
 * no task of a job may signal or trace what is in them, root or not. egret_control: SK_STORAGE, u8:
 * on egretd's control socket, which confined jobs reach too. */
#define EGRET_OWN_ALONE 1u /* that cgroup alone: egretd's, which may be others' too */
#define EGRET_OWN_BELOW 2u /* and all below it */

/* Holding: a task that executes in a cgroup that nobody registered, below one in egret_holds (HASH,
 * cgroup id -> u32 EGRET_HOLD_*), is stopped and told of in egret_held (RINGBUF). Comfort, not a
 * wall. Only while egretd is awake: egret_beat (ARRAY[1]) holds its last sign of life; after
 * EGRET_BEAT_NS nobody is stopped, only refused. A cgroup in egret_cgroups, also with job 0, is
 * known: not held. */
#define EGRET_HOLD_HOST \
	1u /* a unit: also tasks in that very cgroup, and in the host's own mount namespace */
#define EGRET_BEAT_NS 3000000000ull
struct egret_beat {
	__u64 time_ns;	/* CLOCK_MONOTONIC */
	__u32 host_mnt; /* inode of the host's mount namespace */
	__u32 holds;	/* how many cgroups are in egret_holds: 0, nobody looks further */
};
struct egret_held {
	__u64 cgroup;
	__u32 pid; /* thread group, initial pid namespace */
	__u32 pad;
};

/* egret_listeners: HASH, (job, network namespace) -> where its proxy listens in that namespace. */
struct egret_listener_key {
	__u64 job;
	__u64 netns; /* SO_NETNS_COOKIE */
};
struct egret_listener {
	__u8 addr4[4];		/* network order, 127.0.0.1 */
	__u8 addr6[16];		/* ::1 */
	__u16 tcp4_be, tcp6_be; /* ports, network order; 0: none, refused */
	__u16 dns4_be, dns6_be; /* UDP and TCP resolver, same port for both */
};

/* Where a connection wanted to go and who asked: made at connect(), carried by socket storage, read
 * by the proxy from the accepted socket with bpf_map_lookup_elem(egret_accepted, &fd, &record). */
struct egret_record {
	__u64 job;
	__u32 flags; /* EGRET_REC_* */
	__u16 port;
	__u8 family;   /* AF_INET or AF_INET6 as the caller used it; a mapped address has AF_INET6
			  here */
	__u8 proto;    /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 addr[16]; /* original destination */
	__u64 cookie;  /* of the client socket */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 cgroup;  /* of the calling task */
	__u32 pid, tid, uid, gid; /* in the initial pid and user namespace */
	char comm[16];
};
#define EGRET_REC_REDIRECTED \
	1u		      /* the turn was made: packets of this socket may pass the last wall */
#define EGRET_REC_DNS 2u      /* turned to the resolver */
#define EGRET_REC_LOCAL 4u    /* the job's own loopback, or a published port of its services */
#define EGRET_REC_MEMBER 8u   /* another member of the same job */
#define EGRET_REC_INBOUND 16u /* accepted from outside where that is allowed */
#define EGRET_REC_DIRECT 32u  /* what a rule `direct` names, as asked */

/* egret_origin: SK_STORAGE, on the client's socket. What a packet asks for stands in the first 56
 * bytes: with the word that the kernel puts before them, a line of the cache. */
struct egret_origin {
	__u32 begun, done; /* counted around each writing of the record */
	__u64 heard[2];	   /* of IPv4 and IPv6: as in egret_heard */
	struct egret_record record;
	__u64 netns; /* of the socket that was turned */
};

/* egret_heard: LRU_HASH, this -> u64: where a listener's or resolver's socket was found to be
 * egret's own: egret_changes.begun << 32, then the port (host order) << 16, then when (of jiffies
 * >> 6 the lower 16 bits). The end of one is a change. */
struct egret_heard_key {
	__u64 netns;
	__u16 port; /* host order */
	__u8 six;
	__u8 proto;
	__u32 pad;
};
#define EGRET_MARK_GONE 0x65677265u /* such a socket that is being closed */

/* egret_ports: HASH, ports of egret's own listeners: a job cannot bind them in that namespace, also
 * when nobody listens. Value: the job (u64). */
struct egret_port_key {
	__u64 netns;
	__u16 port; /* host order */
	__u16 pad[3];
};

/* egret_flows: LRU_HASH, from SYN to accept. */
struct egret_flow_key {
	__u64 netns;
	__u8 saddr[16];
	__u32 sport; /* host order */
	__u32 pad;
};

/* egret_cage: LPM_TRIE, what one proxy may dial although the cage refuses such addresses. Key:
 * (proxy's cgroup id, address). */
struct egret_cage_key {
	__u32 prefixlen; /* 64 + prefix length in the mapped 128-bit form */
	__u8 cgroup[8];	 /* the u64 cgroup id, as bytes in memory order */
	__u8 addr[16];
};
struct egret_cage_value {
	__u16 port_lo, port_hi; /* host order, inclusive */
	__u32 flags;		/* EGRET_CAGE_UDP: nameserver, UDP allowed too */
};
#define EGRET_CAGE_UDP 1u
#define EGRET_CAGE_ALL                                                             \
	0ull /* in place of a cgroup: what is closed to every proxy, on all ports, \
		unless its own entries name it */
#define EGRET_CAGE_RANGES 8
struct egret_cage_entry { /* the map's value: only the longest prefix is found, so it holds what
			     shorter ones allow too */
	struct egret_cage_value range[EGRET_CAGE_RANGES]; /* unused: port_hi 0 */
};

/* egret_dialler: HASH, cgroup id of a proxy that dials from its job's network namespaces -> this.
 */
struct egret_dialler {
	__u64 job;
	__u64 host; /* SO_NETNS_COOKIE of the host's namespace, where sockets are as everybody's */
};

/* egret_dialled: SK_STORAGE, on a socket of such a proxy in another namespace: where the cage let
 * it connect to. At the job's link its packets pass to there and to nowhere else (tc.bpf.c). */
struct egret_dialled {
	__u64 job;
	__u32 addr[4]; /* mapped form */
	__u16 port;
	__u16 pad[3];
};

/* egret_hostaddrs: HASH, addr[16] -> u8: addresses that the host itself owns. */

/* Why the kernel refused. Numbers are for ever; names and sentences are in
 * userspace/event/reasons.def. */
enum egret_reason {
	EGRET_OK = 0,
	EGRET_R_UNREGISTERED = 1, /* the cgroup belongs to no job */
	EGRET_R_NOT_READY = 2,
	EGRET_R_FOREIGN_SOCKET = 3, /* made outside the job, or in another */
	EGRET_R_NO_LISTENER = 4,    /* no listener in this network namespace */
	EGRET_R_UNSPECIFIED = 5,    /* 0.0.0.0, :: */
	EGRET_R_LOOPBACK = 6,	    /* loopback in a shared network namespace */
	EGRET_R_LINK_LOCAL = 7,
	EGRET_R_MULTICAST = 8,	   /* and broadcast */
	EGRET_R_UDP = 9,	   /* UDP that is not DNS */
	EGRET_R_FAMILY = 10,	   /* socket type or protocol that jobs may not have */
	EGRET_R_PORT = 11,	   /* bind to one of egret's own ports */
	EGRET_R_PACKET = 12,	   /* the last wall: a packet that did not come by the door */
	EGRET_R_STORAGE = 13,	   /* a map was full */
	EGRET_R_HOST_ADDRESS = 14, /* the host's own address */
	EGRET_R_CAGE_ADDRESS = 15, /* a proxy dialled what its job's rules do not name */
	EGRET_R_CAGE_UDP = 16,
	EGRET_R_CAGE_SOCKET = 17,
	EGRET_R_BAD_ADDRESS = 18, /* address too short, or of another family than the socket's */
	EGRET_R_INBOUND = 19,
	EGRET_R_UDP_CONNECT =
		20,	   /* connect() of a UDP socket, other than for DNS: nothing was sent yet */
	EGRET_R_LINK = 21, /* tc: a packet at the job's link that no socket of it may send */
	EGRET_R_FOREIGN_FILE = 22, /* LSM: a socket from outside was passed to the job */
	EGRET_R_UNIX = 23,	   /* LSM: a UNIX socket of others */
	EGRET_R_GUARD = 24,	   /* LSM: a job laid hands on egret's own objects */
	EGRET_R_CAPTURED = 25,	   /* what is turned would come to somebody else's socket */
	EGRET_R_MAX
};
#define EGRET_R_ROOM                                                                  \
	64 /* what egret_refused has room for: reasons are added without a new folder \
	    */

/* egret_events: RINGBUF. */
struct egret_event {
	__u32 size;   /* sizeof(struct egret_event), for a later reader */
	__u16 kind;   /* EGRET_EV_* */
	__u16 reason; /* enum egret_reason */
	struct egret_record record;
};
#define EGRET_EV_REFUSED 1 /* record: what was refused */
#define EGRET_EV_DIAL                                                                \
	2 /* a proxy dialled: record.job is 0, record.cgroup the proxy's, cookie the \
	     socket's; EGRET_REC_DNS: a nameserver */
#define EGRET_EV_MEMBER 3 /* record: a connection to another member or published port, allowed */
#define EGRET_EV_DIRECT 4 /* record: a connection that a rule `direct` allows */

/* egret_lost: PERCPU_ARRAY[1] of u64: events that the full ring did not take. egret_refused:
 * PERCPU_ARRAY[EGRET_R_ROOM] of u64: refusals by reason, counted also where the event was lost. */

#endif
