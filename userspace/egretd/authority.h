/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is on the other end of the control socket: the uid is not enough (uid 0 in a container is uid
 * 0 here), so the peer's cgroup and namespaces count too, read by a pidfd that is checked again
 * afterwards.
 */
#ifndef EGRET_EGRETD_AUTHORITY_H
#define EGRET_EGRETD_AUTHORITY_H

#include "egretd/daemon.h"

#define EGRET_COMM_MAX 15

/* Where a process stands relative to the jobs' slice. */
struct place_of {
	uid_t uid;
	bool in_slice;	 /* where the attach point is others' too: in a registered cgroup of it */
	char job[24];	 /* the job whose member's cgroup it is in; "" */
	char unit[1024]; /* path below the slice of the managed unit it is in; "" */
	const struct config_managed *managed; /* that unit's entry; NULL */
};

struct caller {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	unsigned ngroups;
	struct place_of place;
	bool in_job;  /* its cgroup is below the jobs' slice, whether it is a job's or nobody's */
	char job[24]; /* then: the job's name, if it is one of ours */
	bool admin;   /* uid 0, outside the slice, in the host's pid and mount namespaces */
	bool runs;    /* may `egret run`: an admin, or the same of another uid in the jobs' group */
	bool audits;  /* sees all jobs and changes none: an admin, or one of the auditors' group */
	char comm[EGRET_COMM_MAX + 1]; /* its name, as the kernel has it: others chose it */
	bool engine; /* an admin, or the same inside a unit that is an engine's own daemon */
	int pidfd;
};

/* 0 or -ESRCH. An unreadable cgroup file counts as inside: no authority. */
int authority_place(const struct daemon *d, pid_t pid, struct place_of *ret) MUST_CHECK;
int caller_of(const struct daemon *d, int sock, struct caller *ret, char *why, size_t n) MUST_CHECK;
void caller_done(struct caller *c);
/* "name" is a group of /etc/group or a number: 0, or -ENOENT. No other source is asked: a
 * directory's groups come over a network. */
int authority_group(struct str name, const char *file, gid_t *ret) MUST_CHECK;
void authority_groups(struct daemon *d); /* the configuration's, at the start */
void authority_log(const struct daemon *d, const char *path); /* the log is the auditors' to read */
/* Pure: the path of the cgroup2 line ("0::/a/b") of a /proc/PID/cgroup text. 0 or -ENOENT. */
int authority_cgroup_path(struct str text, struct str *ret) MUST_CHECK;

#endif
