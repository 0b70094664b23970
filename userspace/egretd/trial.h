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

/* The job that the canary's cgroups are registered as, with EGRET_CG_TRIAL. No real job has it. */
#define TRIAL_JOB 1u

struct trial {
	struct kernel *k;
	const struct cgroups *cg;
	int cgroup; /* the canary's: below the attach point */
	uint64_t cgroup_id;
	int caged; /* the canary's below the proxies' */
	uint64_t caged_id;
};

/* 0: the act was refused, as it must be. -ENOTSUP: this kernel or host has no such wall. -EPERM:
 * the act went through although the programs are there. Others: the trial itself failed, which
 * proves nothing. With a sentence in why for all but 0. Blocks some milliseconds. */
typedef int (*trial_fn)(const struct trial *t, char *why, size_t n);

int trial_turn(const struct trial *t, char *why, size_t n) MUST_CHECK;	  /* trial.c */
int trial_sockets(const struct trial *t, char *why, size_t n) MUST_CHECK; /* trial.c */
int trial_packets(const struct trial *t, char *why, size_t n) MUST_CHECK; /* trial_packets.c */
int trial_cage(const struct trial *t, char *why, size_t n) MUST_CHECK;	  /* trial.c */
int trial_tc(const struct trial *t, char *why, size_t n) MUST_CHECK;	  /* trial_tc.c */
/* Families, passed files, foreign sockets, egret's own objects: all of them, or it does not stand. */
int trial_lsm(const struct trial *t, char *why, size_t n) MUST_CHECK;  /* trial_lsm.c */
int trial_unix(const struct trial *t, char *why, size_t n) MUST_CHECK; /* trial_lsm.c */

#endif
