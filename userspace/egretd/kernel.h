/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel programs of bpf/ as egretd sees them: loaded once, pinned below
 * /sys/fs/bpf/egret/INSTANCE/v2 (mode 0700), so that they stand when egretd dies. A second
 * start of the same instance takes over the pinned maps and replaces the programs of the
 * pinned links atomically. kernel.c alone includes libbpf and the skeleton. Called by egretd only;
 * no byte from a network or a job comes here.
 *
 * Every failing function that has `why` writes one sentence there: what is missing and what to do.
 */
#ifndef EGRET_EGRETD_KERNEL_H
#define EGRET_EGRETD_KERNEL_H

#include "abi.h"
#include "base/bytes.h"

struct kernel;

struct kernel_where {
	const char *instance; /* names the pin folder; letters, digits, '-' */
	int jobs;	      /* cgroup directory: where the programs of jobs are attached */
	unsigned jobs_level;  /* its depth below the cgroup root (struct cgroups.jobs_level) */
	bool unknown_pass;    /* cgroups below it that were never set pass untouched */
	int listen;	      /* cgroup directory: where listeners are made */
	int proxies;	      /* cgroup directory: parent of the proxies' cgroups, the cage */
};

/* In three steps, so that an upgrade fails before anything in force is changed. kernel_load: the
 * programs are in the kernel, attached nowhere; maps of the same shape are taken over, also from an
 * older version's folder. Then the tables are filled from the jobs. kernel_attach: every link gets
 * its new program, atomically each. kernel_settle: the older folder goes. */
int kernel_load(const struct kernel_where *w, struct kernel **ret, char *why,
		size_t size) MUST_CHECK;
int kernel_attach(struct kernel *k, const struct kernel_where *w, char *why,
		  size_t size) MUST_CHECK;
int kernel_settle(struct kernel *k, char *why, size_t size) MUST_CHECK;
/* An upgrade failed: this one's programs are on the links again, and what it made is gone. */
int kernel_back(struct kernel *k, const struct kernel_where *w, char *why, size_t size) MUST_CHECK;
/* An older version's folder stands, until kernel_settle. */
bool kernel_is_older(const struct kernel *k);
/* The table of cages is of another shape than the older folder's, and empty. */
bool kernel_cage_anew(const struct kernel *k);
/* After the jobs are in: if the table of cgroups was made anew, those which only the older one knew
 * are known as nobody's. Where the unknown pass they would otherwise be let out. */
int kernel_cgroups_nobodys(struct kernel *k) MUST_CHECK;
/* All steps at once: where there are no jobs to take up. */
int kernel_open(const struct kernel_where *w, struct kernel **ret, char *why,
		size_t size) MUST_CHECK;
/* Frees what this process holds; pins, and so the refusals, stay. NULL; accepts NULL. */
struct kernel *kernel_free(struct kernel *k);
/* Takes the pins of an instance away: nothing is enforced any more. 0 also when there were none. */
int kernel_unpin(const char *instance, char *why, size_t size) MUST_CHECK;
/* True when this kernel_open found the programs standing (egretd was started again). */
bool kernel_reused(const struct kernel *k);

/* Cgroups of jobs. flags: EGRET_CG_*. Setting again changes the flags (not ready -> ready). Job 0:
 * known, so not held, but of no job: refused. */
int kernel_cgroup_set(struct kernel *k, uint64_t cgroup, uint64_t job, uint32_t flags) MUST_CHECK;
int kernel_cgroup_put(struct kernel *k, uint64_t cgroup, const struct egret_cgroup *v) MUST_CHECK;
bool kernel_cgroup_known(struct kernel *k, uint64_t cgroup); /* true also when it cannot be told */
int kernel_cgroup_del(struct kernel *k,
		      uint64_t cgroup) MUST_CHECK; /* 0 also when it is not there */

/* Listeners of (job, namespace). The ports are reserved in that namespace until
 * kernel_listener_del. */
int kernel_listener_set(struct kernel *k, uint64_t job, uint64_t netns,
			const struct egret_listener *l) MUST_CHECK;
int kernel_listener_del(struct kernel *k, uint64_t job, uint64_t netns) MUST_CHECK;

/* Addresses of members, published ports (abi.h). Setting twice and deleting what is not there: 0.
 * -EINVAL: a member with an unspecified, loopback, link-local, metadata or multicast address. An
 * address that is no longer the member's must be deleted at once: the kernel goes by it alone. */
int kernel_member_set(struct kernel *k, uint64_t job, const uint8_t addr[16]) MUST_CHECK;
int kernel_member_del(struct kernel *k, uint64_t job, const uint8_t addr[16]) MUST_CHECK;
int kernel_published_set(struct kernel *k, uint64_t job, uint16_t port,
			 uint8_t ways) MUST_CHECK; /* EGRET_PUBLISHED_* */
int kernel_published_del(struct kernel *k, uint64_t job, uint16_t port) MUST_CHECK;

/* The host's side of a job's link (net_link.h): an interface of the caller's network namespace, by
 * its index. An entry that is not there, at a link where the program stands: nothing gets through.
 * kernel_link_attach: the program of this kernel_open, in place of an older one if it stands there.
 * -EOPNOTSUPP: no clsact or cls_bpf; -EEXIST: another's filter is in its place; -ENODEV: no such
 * interface. kernel_link_stands: 1 it is there and runs first, 0 it is not, -EBUSY a program of
 * others is before it (TCX). Deleting and detaching what is not there: 0. */
int kernel_link_set(struct kernel *k, uint32_t ifindex, const struct egret_link *v) MUST_CHECK;
int kernel_link_del(struct kernel *k, uint32_t ifindex) MUST_CHECK;
int kernel_link_attach(struct kernel *k, uint32_t ifindex) MUST_CHECK;
int kernel_link_detach(struct kernel *k, uint32_t ifindex) MUST_CHECK;
int kernel_link_stands(struct kernel *k, uint32_t ifindex) MUST_CHECK;
/* Every entry: fn may delete it. */
int kernel_link_each(struct kernel *k,
		     void (*fn)(void *owner, uint32_t ifindex, const struct egret_link *v),
		     void *owner) MUST_CHECK;

/* Holding (abi.h). The beat must come at least every second. Where the kernel cannot hold:
 * kernel_hold_set gives -EOPNOTSUPP, kernel_no_hold says why (NULL: it can). */
const char *kernel_no_hold(const struct kernel *k);
int kernel_hold_set(struct kernel *k, uint64_t cgroup, uint32_t flags) MUST_CHECK;
int kernel_hold_del(struct kernel *k, uint64_t cgroup) MUST_CHECK;
int kernel_hold_beat(struct kernel *k) MUST_CHECK;
/* Borrowed, readable (epoll) when tasks were held; then kernel_held_each calls fn for each. The
 * same task may come twice (it executed again before it was known); one that came may be gone. */
int kernel_held_fd(struct kernel *k);
void kernel_held_each(struct kernel *k, void (*fn)(void *owner, const struct egret_held *h),
		      void *owner);
/* The LSM programs (bpf/guard.bpf.c). Why they are not loaded or attached, or which hooks this
 * kernel lacks; NULL: all are attached, which does not prove that the kernel calls them (trial.h).
 */
const char *kernel_no_guard(const struct kernel *k);
/* egretd's control socket: confined jobs may connect to it. */
int kernel_guard_control(struct kernel *k, int sock) MUST_CHECK;
/* egret's own cgroups, and the one that the caller is in: jobs do not signal or trace what is in
 * them. */
struct cgroups;
int kernel_guard_own(struct kernel *k, const struct cgroups *cg) MUST_CHECK;
/* Every cgroup in egret_cgroups, for the sweep after a restart: fn may delete it. */
int kernel_cgroup_each(struct kernel *k,
		       void (*fn)(void *owner, uint64_t cgroup, const struct egret_cgroup *c),
		       void *owner) MUST_CHECK;
/* Removes members, published ports, listeners and who spoke to it, of a job that is over. */
int kernel_job_forget(struct kernel *k, uint64_t job) MUST_CHECK;

/* What one proxy may dial although the cage refuses such addresses: the whole list replaces the one
 * before. */
struct kernel_dial {
	uint8_t addr[16];	   /* mapped form */
	uint8_t prefix;		   /* of the 128-bit form: 96 + n for IPv4 */
	uint16_t port_lo, port_hi; /* host order, inclusive */
	uint32_t flags;		   /* EGRET_CAGE_UDP */
};
/* -E2BIG: more than EGRET_CAGE_RANGES port ranges hold for one address. */
int kernel_cage_set(struct kernel *k, uint64_t proxy_cgroup, const struct kernel_dial *d,
		    size_t n) MUST_CHECK;
int kernel_cage_del(struct kernel *k, uint64_t proxy_cgroup) MUST_CHECK;
/* This proxy dials from its job's network namespaces too; in `host` (SO_NETNS_COOKIE) its sockets
 * are as everybody's. Deleting what is not there is no fault. */
int kernel_dialler_set(struct kernel *k, uint64_t proxy_cgroup, uint64_t job,
		       uint64_t host) MUST_CHECK;
int kernel_dialler_del(struct kernel *k, uint64_t proxy_cgroup) MUST_CHECK;
/* Ranges that no proxy may dial unless its own list names them; ports 1 to 65535. */
int kernel_cage_close(struct kernel *k, const struct kernel_dial *d, size_t n) MUST_CHECK;

/* What the rules `direct` of one policy name (policy: its number, not 0; jobs of one policy share
 * it), deny rules among them: the whole list replaces the one before. until_us: wall clock, 0 for
 * ever. A cgroup has it by struct egret_cgroup and EGRET_CG_DIRECT. -EINVAL: every address, or what
 * cannot be; -E2BIG: as above; -ENOSPC: the table of all policies is full. */
struct kernel_direct {
	uint8_t addr[16];
	uint8_t prefix;
	bool deny, udp;
	uint16_t port_lo, port_hi;
	uint64_t until_us;
};
int kernel_direct_set(struct kernel *k, uint32_t policy, const struct kernel_direct *d,
		      size_t n) MUST_CHECK;
int kernel_direct_del(struct kernel *k, uint32_t policy) MUST_CHECK;
/* Keeps the entries of these policies and no others: after a restart. */
int kernel_direct_keep(struct kernel *k, const uint32_t *policies, size_t n) MUST_CHECK;

/* The host's own addresses (hostaddr.h): the whole list replaces the one before. */
int kernel_hostaddr_set(struct kernel *k, const uint8_t (*addrs)[16], size_t n) MUST_CHECK;

/* New descriptors, CLOEXEC, the caller closes them. */
int kernel_accepted_fd(struct kernel *k,
		       int *ret) MUST_CHECK; /* egret_accepted, read-only: for proxies */
int kernel_events_fd(struct kernel *k,
		     int *ret) MUST_CHECK;		   /* egret_events: for the audit process */
int kernel_lost_fd(struct kernel *k, int *ret) MUST_CHECK; /* egret_lost, read-only */

/* Descriptors of all links, borrowed: whoever holds them keeps the programs attached, pins or not.
 * How many, at most max; none before kernel_attach. */
unsigned kernel_links(const struct kernel *k, int *to, unsigned max);

/* Looks at each link and pin, and puts back what was taken away: fn says what it found (err 0: it
 * stands again). 0, or -errno: a link is gone that cannot be put back, so a wall does not stand. */
typedef void (*kernel_lost_fn)(void *owner, const char *what, const char *happened, int err);
int kernel_links_check(struct kernel *k, kernel_lost_fn fn, void *owner) MUST_CHECK;

/* Sums over all CPUs. */
int kernel_lost(struct kernel *k, uint64_t *ret) MUST_CHECK;
int kernel_refused(struct kernel *k, uint64_t ret[EGRET_R_MAX]) MUST_CHECK;

/* Read the record of an accepted socket, as the proxy does: 0, -ENOENT (none: refuse) or -errno.
 * For tests and the proxy's twin of this call see the bpf(2) lookup by descriptor. */
int kernel_record(int accepted_fd, int sock, struct egret_record *ret) MUST_CHECK;

#endif
