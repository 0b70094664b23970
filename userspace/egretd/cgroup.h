/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups (version 2 only; in hybrid layouts its own mount is used): the slice where jobs run, the
 * slice with egret's own processes, and what egretd does to one cgroup. Called by egretd, the probe
 * and tests. Reads /proc/self/mountinfo and cgroup files: the kernel's bytes, but names in them
 * were chosen by whoever may make cgroups.
 *
 *   INSTANCE "egret":  egret.slice     egretd.slice/{listen,proxy,broker,audit,work}
 *   INSTANCE "x7":     egret-x7.slice  egretd-x7.slice/...
 *   "attach":          kubepods        egretd.slice/...
 */
#ifndef EGRET_EGRETD_CGROUP_H
#define EGRET_EGRETD_CGROUP_H

#include "base/bytes.h"
#include <sys/types.h>

#define CGROUP_PATH_MAX 4096

/* Where cgroup2 is mounted. */
struct cgroup_mount {
	char path[CGROUP_PATH_MAX];
	bool hybrid; /* there are version 1 hierarchies beside it */
};

struct cgroups {
	struct cgroup_mount mount;
	char jobs_path[CGROUP_PATH_MAX]; /* of the jobs' slice, in the file system */
	char own_path[CGROUP_PATH_MAX];
	int root;	     /* directory descriptors, CLOEXEC */
	int jobs;	     /* egret.slice, or the attach point that is others' too */
	unsigned jobs_level; /* its depth: 1 when it is right below the root */
	bool attached;	     /* jobs is not ours: never removed, and most in it is not egret's */
	int own;	     /* egretd.slice */
	int listen;	     /* egretd.slice/listen: listeners are made in it */
	int proxies;	     /* egretd.slice/proxy: parent of the proxies' cgroups */
	unsigned shares;     /* of a proxy, by cgroups: bits of enum share (share.h) */
	int broker, audit, work; /* egretd.slice/broker, audit, work (compilers and other
				    short-lived children) */
};

/* Pure: finds cgroup2 in the text of a mountinfo. 0, or -ENOENT when there is none. Of several
 * mounts the one whose root is "/" and which comes last at the shortest path is taken. */
int cgroup_mount_parse(struct str mountinfo, struct cgroup_mount *ret) MUST_CHECK;
/* The same for this process. 0 or -errno with a sentence. */
int cgroup_mount_find(struct cgroup_mount *ret, char *why, size_t size) MUST_CHECK;

/* Finds or makes the slices of an instance. attach: NULL, or a cgroup that others have made or use
 * too, in place of the jobs' slice: a path from the root of version 2 ("/a/b", made when it is not
 * there), or "kubepods": whichever of /kubepods.slice and /kubepods is there. -ENOENT: neither. */
int cgroups_open(const char *instance, const char *attach, struct cgroups *ret, char *why,
		 size_t size) MUST_CHECK;
void cgroups_close(struct cgroups *c);
/* Removes both slices with all below them, but an attach point; kills nothing: -EBUSY when a
 * process is left. */
int cgroups_remove(struct cgroups *c) MUST_CHECK;

/* Makes `name` below the directory `parent` or opens it when it is there. ret_fd: O_DIRECTORY,
 * CLOEXEC, fit for CLONE_INTO_CGROUP and for attaching programs. ret_id: what
 * bpf_get_current_cgroup_id() gives. */
int cgroup_make(int parent, const char *name, int *ret_fd, uint64_t *ret_id) MUST_CHECK;
int cgroup_id(int fd, uint64_t *ret) MUST_CHECK;
/* True only when no cgroup has this id any more (they are never used again). root: a directory of
 * the same mount. */
bool cgroup_is_gone(int root, uint64_t id);
/* A small file of the directory `at`: whole, NUL-terminated; or one line written to it. */
int cgroup_read(int at, const char *name, char *to, size_t size) MUST_CHECK;
int cgroup_write(int at, const char *name, const char *text) MUST_CHECK;
int cgroup_add(int fd, pid_t pid) MUST_CHECK; /* 0 in pid: the caller */
int cgroup_populated(int fd, bool *ret) MUST_CHECK;
/* cgroup.events, for epoll with EPOLLPRI: changes when the last process leaves. Ask
 * cgroup_populated then. */
int cgroup_events_open(int fd, int *ret) MUST_CHECK;
/* SIGKILL to every process in it and below. Uses cgroup.kill, else walks. */
int cgroup_kill(int fd) MUST_CHECK;
/* Blocks at most ms. 0, or -ETIMEDOUT. */
int cgroup_wait_empty(int fd, int ms) MUST_CHECK;
/* Removes `name` below parent with everything under it. 0 also when it is not there; -EBUSY when
 * processes are left. */
int cgroup_remove(int parent, const char *name) MUST_CHECK;

#endif
