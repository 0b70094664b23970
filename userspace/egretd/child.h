/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting egret's own programs: each in its cgroup, under its numeric uid, with 0, 1, 2 and one
 * socket to egretd (descriptor PROTO_SOCKET_FD). Descriptor PROTO_SPARE_FD is a duplicate of
 * egretd's own end, unused by the child: it keeps the pair open when egretd dies, and the next
 * egretd takes it back with pidfd_getfd (adopt.c).
 */
#ifndef EGRET_EGRETD_CHILD_H
#define EGRET_EGRETD_CHILD_H

#include "base/bytes.h"
#include <sys/types.h>

struct child {
	pid_t pid; /* 0: none */
	int pidfd; /* readable when it ended */
	int sock;  /* egretd's end: non-blocking SOCK_SEQPACKET */
};

struct child_plan {
	const char *program; /* "egret-proxy": beside egretd's own executable, or in libexec */
	int cgroup_dir;	     /* O_PATH or directory descriptor of its cgroup */
	uid_t uid;
	gid_t gid;
	bool new_pid_ns; /* egret-init: becomes process 1 of a job and enters the other namespaces
			    itself */
	bool keep_root;	 /* egret-init: drops later, and is nobody's spare */
	const int *park; /* the broker: egretd's parking place, two descriptors; NULL else */
	const char *arg; /* one argument, for `ps`: the job's name; NULL */
	bool alone;	 /* it ends when its socket does: no spare end */
	bool enter;	 /* it lives in another network namespace: */
	int netns;	 /* this one */
};

#define CHILD_NONE ((struct child){ .pidfd = -1, .sock = -1 })

/* 0 or -errno with a sentence in why. The program may still fail to start: its socket then closes
 * and pidfd is readable. */
int child_start(const struct child_plan *plan, struct child *ret, char *why,
		size_t why_n) MUST_CHECK;
/* Takes up a child of an egretd that died: its spare end by pidfd_getfd. */
int child_adopt(pid_t pid, uint64_t started, struct child *ret) MUST_CHECK;
/* The same without a socket: egret-init has none any more. */
int child_adopt_silent(pid_t pid, uint64_t started, struct child *ret) MUST_CHECK;
/* Field 22 of /proc/PID/stat: with the pid it names a process for ever. 0 if there is none. */
uint64_t child_started(pid_t pid);
void child_kill(struct child *c, int sig);
/* Reaps if it ended. true and *ret_status (waitid's si_status, 128 + n for a signal) then. Adopted
 * children give -1. */
bool child_reap(struct child *c, int *ret_status);
void child_done(struct child *c); /* closes; does not kill */
void child_end(struct child *c);  /* kills, waits for it, closes: for what is not needed any more */
/* Descriptors as many as the host lets egretd have; jobs' commands get back what egretd was started
 * with. */
void child_raise_descriptors(void);
void child_lower_descriptors(void); /* in a child: as egretd was started */
/* Folder of egret's programs: where egretd itself lies when egret-proxy is beside it, else
 * /usr/libexec/egret. */
const char *child_folder(void);

#endif
