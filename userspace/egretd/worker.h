/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner's worker: the process that a registrar names as the job's, with all that descends from
 * it. At the start it is moved from the unit's cgroup to a fresh one below it, and sockets made
 * earlier are destroyed; at an end that the job's own hook asks for, worker and hook go back to the
 * unit, so that the runner can report, and everything else is killed. Reads the kernel's answers
 * only.
 */
#ifndef EGRET_EGRETD_WORKER_H
#define EGRET_EGRETD_WORKER_H

#include "egretd/job.h"

struct caller;

struct worker {
	pid_t pid;
	uint64_t started; /* with the pid: this process and no other */
	int pidfd;
	struct watch ended;
	int from; /* the unit's cgroup */
	uint64_t from_id;
	char *unit;  /* its path below the jobs' slice */
	pid_t spare; /* who ends the job from inside: it and its ancestors live */
	struct member *member;
};

/* The worker of a registration: pid is an ancestor of the caller and in its unit; checked. */
int worker_of(struct job *j, const struct caller *who, pid_t pid, char *why, size_t n) MUST_CHECK;
int worker_make(struct job *j, char *why, size_t n) MUST_CHECK; /* its cgroup and namespace */
int worker_take(struct job *j, char *why, size_t n) MUST_CHECK; /* moves it there */
/* -EPERM: it could open packet sockets where nothing would stop those (bounds.h). */
int worker_bound(const struct job *j, char *why, size_t n) MUST_CHECK;
void worker_taken_up(struct job *j);
void worker_release(struct job *j); /* idempotent */
/* After a restart: pid, started and unit are known. */
int worker_unparked(struct job *j, pid_t pid, uint64_t started, const char *unit) MUST_CHECK;

#endif
