/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trial refusals: a wall stands only when a scratch task does the forbidden act and sees it
 * refused. That a program loaded and attached proves nothing (an LSM program does both where `lsm=`
 * leaves bpf out, and is never called). Each trial first does the act where it is allowed, so that
 * a refusal for another reason is not taken for the wall's. Called by walls.c at the start of
 * egretd and every minute, and by `egret doctor`; runs in short-lived children in cgroups of its
 * own, sends to nobody but itself.
 */
#ifndef EGRET_EGRETD_TRIAL_H
#define EGRET_EGRETD_TRIAL_H

#include "egretd/cgroup.h"
#include "egretd/kernel.h"

#include <errno.h>

#define TRIAL_CGROUP "egret-trial" /* below the attach point, and below the proxies' */

/* The job that the canary's cgroups are registered as, with EGRET_CG_TRIAL. No real job has it. */
#define TRIAL_JOB EGRET_TRIAL_JOB

struct trial {
	struct kernel *k;
	const struct cgroups *cg;
	int cgroup; /* the canary's: below the attach point */
	uint64_t cgroup_id;
	int caged; /* the canary's below the proxies' */
	uint64_t caged_id;
	int netns; /* a namespace with loopback alone, where somebody listens (trial_open) */
	uint64_t netns_cookie;
	int udp;	/* there, and of no job: receives at `port` of every address */
	uint16_t port;	/* TCP and UDP, IPv4 */
	uint16_t port6; /* 0: no IPv6 here */
	int holds[2];	/* the listeners */
};

/* Cgroups and namespace of one round, and what an interrupted one left. trial.c */
int trial_open(struct kernel *k, const struct cgroups *cg, struct trial *ret, char *why,
	       size_t n) MUST_CHECK;
void trial_close(struct trial *t); /* nothing is left: no cgroup, no entry in a map */

/* 0: the act was refused, as it must be. -ENOTSUP: this kernel or host has no such wall. -EPERM:
 * the act went through although the programs are there. Others: the trial itself failed, which
 * proves nothing. With a sentence in why for all but 0. Blocks some milliseconds. */
typedef int (*trial_fn)(const struct trial *t, char *why, size_t n);

/* What went wrong beside the act: never one of the two answers. */
static inline int trial_fault(int r)
{
	return r == -EPERM || r == -ENOTSUP ? -EIO : r;
}

int trial_turn(const struct trial *t, char *why, size_t n) MUST_CHECK;	  /* trial.c */
int trial_sockets(const struct trial *t, char *why, size_t n) MUST_CHECK; /* trial.c */
int trial_packets(const struct trial *t, char *why, size_t n) MUST_CHECK; /* trial_packets.c */
int trial_cage(const struct trial *t, char *why, size_t n) MUST_CHECK;	  /* trial.c */
int trial_tc(const struct trial *t, char *why, size_t n) MUST_CHECK;	  /* trial_tc.c */
/* Families, passed files, foreign sockets, egret's own objects: all of them, or it does not stand.
 */
int trial_lsm(const struct trial *t, char *why, size_t n) MUST_CHECK;  /* trial_lsm.c */
int trial_unix(const struct trial *t, char *why, size_t n) MUST_CHECK; /* trial_lsm.c */

#endif
