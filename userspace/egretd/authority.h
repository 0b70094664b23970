/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is on the other end of the control socket: the uid is not enough (uid 0 in a container is uid
 * 0 here), so the peer's cgroup and namespaces count too, read by a pidfd that is checked again
 * afterwards.
 */
#ifndef EGRET_EGRETD_AUTHORITY_H
#define EGRET_EGRETD_AUTHORITY_H

#include "egretd/daemon.h"

struct caller {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	unsigned ngroups;
	bool in_job;  /* its cgroup is below the jobs' slice */
	char job[24]; /* then: the job's name, if it is one of ours */
	bool admin;   /* uid 0, in no managed cgroup, in the host's pid and mount namespaces */
	int pidfd;
};

int caller_of(const struct daemon *d, int sock, struct caller *ret, char *why, size_t n) MUST_CHECK;
void caller_done(struct caller *c);
/* Pure: the path of the cgroup2 line ("0::/a/b") of a /proc/PID/cgroup text. 0 or -ENOENT. */
int authority_cgroup_path(struct str text, struct str *ret) MUST_CHECK;

#endif
