/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confined or cooperative: could this job leave? Promises P1 and P2 are claimed for confined jobs.
 * Each finding is told to job_cooperative() in words that complete "this job ...". Reads what the
 * kernel says of processes and files, and root's own sudoers files (searched for names, not
 * interpreted).
 */
#ifndef EGRET_EGRETD_TIER_H
#define EGRET_EGRETD_TIER_H

#include "egretd/job.h"

struct tier_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[2 * JOB_GROUPS_MAX];
	unsigned n;
	char name[256]; /* "": of no account */
	bool no_new_privileges;
};

void tier_of_run(struct job *j); /* uid, gid, groups and host_net are set */
/* A runner's worker: its user may reach an engine's socket (then also j->reaches_engine), or become
 * root. */
void tier_of_worker(struct job *j, pid_t pid);
/* The same for a registrar's uid, before there is a job: for `egret doctor`. NULL: confined. */
const char *tier_of_uid(uid_t uid);
/* tier_sudo.c: becomes another user; has cron or at start its programs, outside egret.slice. */
bool tier_sudo(const struct tier_user *u);
bool tier_cron(const struct tier_user *u);
bool tier_sudoers_line(char *line, const struct tier_user *u); /* cuts line up */
/* INSPECT_* of a container. */
void tier_of_container(struct job *j, unsigned inspect_flags);

#endif
