/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Could a process have a packet socket? On a shared network such a socket goes round every wall but
 * the LSM one, so where that does not stand (walls_need_bounds), who could is not let in.
 * Capabilities and no_new_privs decide, as /proc shows them of each thread; a seccomp filter may
 * forbid the same, but the kernel shows nobody what a filter says. Called for workers, units and
 * containers.
 */
#ifndef EGRET_EGRETD_BOUNDS_H
#define EGRET_EGRETD_BOUNDS_H

#include "base/bytes.h"
#include <sys/types.h>

/* By the text of /proc/PID/status: has CAP_NET_RAW, CAP_NET_ADMIN or CAP_SYS_ADMIN, or may get one
 * by what it executes. True also for a text that is not whole. Not for a zombie. */
bool bounds_loose(const char *status);
/* 0: all threads of the process are bound, or it is gone; else -EPERM with a sentence. */
int bounds_process(pid_t pid, char *why, size_t n) MUST_CHECK;
/* The same of every process in a cgroup and below it. ret: NULL, or who it is with -EPERM. */
int bounds_cgroup(int cgroup, pid_t *ret, char *why, size_t n) MUST_CHECK;

#endif
