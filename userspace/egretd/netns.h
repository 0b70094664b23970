/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's network namespace and the listeners in it. The work is done in a short-lived child that
 * is created right in the `listen` cgroup (clone3, CLONE_INTO_CGROUP), because a listener belongs
 * to the cgroup of the task that made it, and the program that hands the record over is attached
 * there. The child sends the descriptors back and ends; egretd's own namespace never changes.
 * Called by egretd and tests; reads the kernel's answers only.
 */
#ifndef EGRET_EGRETD_NETNS_H
#define EGRET_EGRETD_NETNS_H

#include "abi.h"
#include "base/bytes.h"

#define NETNS_ADDR4 \
	"198.19.255.254" /* on lo, so that lookups with AI_ADDRCONFIG ask for A and AAAA */
#define NETNS_ADDR6 "fd65:6772:6574::1"

struct netns {
	int netns;		/* the namespace */
	int tcp4, tcp6;		/* listeners for redirected connections, non-blocking, CLOEXEC */
	int dns_udp4, dns_udp6; /* resolver */
	int dns_tcp4, dns_tcp6;
	int engine_dns; /* UDP, connected to 127.0.0.11:53 there (NETNS_ENTER); -1 else */
	int route; /* rtnetlink socket of that namespace, subscribed to addresses (NETNS_ENTER); -1
		      else: netns_addrs() */
	uint64_t cookie;		/* SO_NETNS_COOKIE, the netns of abi.h */
	struct egret_listener listener; /* ready for kernel_listener_set */
};

enum netns_how {
	NETNS_NEW,   /* make one: lo up, two addresses, no way out */
	NETNS_ENTER, /* a given one of a job's own (a container's): lo is brought up and gets ::1 */
	NETNS_SHARED, /* a given one that others use too (the host's): nothing in it is changed,
			 ports are outside the ephemeral range */
};

/* listen_cgroup: struct cgroups.listen. given: namespace descriptor, or -1 with NETNS_NEW (with
 * NETNS_SHARED: the caller's own). An IPv6 listener that the namespace cannot have (no IPv6) is -1
 * with port 0: IPv6 is refused there then. Takes some milliseconds, blocks at most five seconds. 0
 * or -errno with a sentence; nothing is left open on failure. */
int netns_open(int listen_cgroup, enum netns_how how, int given, struct netns *ret, char *why,
	       size_t size) MUST_CHECK;
void netns_close(struct netns *n); /* closes what is not -1 */
#define NETNS_NONE                         \
	((struct netns){ .netns = -1,      \
			 .tcp4 = -1,       \
			 .tcp6 = -1,       \
			 .dns_udp4 = -1,   \
			 .dns_udp6 = -1,   \
			 .dns_tcp4 = -1,   \
			 .dns_tcp6 = -1,   \
			 .engine_dns = -1, \
			 .route = -1 })

/* Addresses of the namespace that `route` was made in, mapped form, without loopback, link-local
 * and our own NETNS_ADDR*; the caller frees. Also empties the socket of what it was told. */
int netns_addrs(int route, uint8_t (**ret)[16], size_t *n) MUST_CHECK;
int netns_cookie_here(uint64_t *ret) MUST_CHECK; /* SO_NETNS_COOKIE of this process's own */
/* SO_NETNS_COOKIE of a namespace given as descriptor (by a child that enters it), and whether it is
 * this process's own. */
int netns_cookie(int netns, uint64_t *ret, bool *ret_own) MUST_CHECK;

#endif
