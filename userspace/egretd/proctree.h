/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process and all that descends from it, moved into another cgroup; and the sockets they hold.
 * Reads /proc only: names in it are never interpreted. Called by egretd when a runner registers its
 * job.
 */
#ifndef EGRET_EGRETD_PROCTREE_H
#define EGRET_EGRETD_PROCTREE_H

#include "base/bytes.h"
#include <sys/types.h>

/* True when `pid` is `ancestor` or descends from it (parents followed, at most 4096). */
bool proctree_descends(pid_t pid, pid_t ancestor);

pid_t proctree_parent(pid_t pid); /* 0: there is none */
bool proctree_stands(pid_t pid);  /* stopped by a signal, in a mount namespace not ours */
/* Does everything in `cgroup` and below it descend from root, or is it root? */
int proctree_only(int cgroup, pid_t root, bool *ret) MUST_CHECK;

/* Every process in `cgroup` and below it. The caller frees. */
int proctree_pids(int cgroup, pid_t **ret, size_t *n) MUST_CHECK;

/* Moves root and its descendants from the cgroup `from` (and cgroups below it) to `to`, and looks
 * again until a look finds nothing new: what is forked meanwhile is born in `to`. root is checked
 * by its start time (child_started), so that a pid used again is not taken for it: -ESRCH. What is
 * orphaned before its first look stays in `from`. 0 or -errno (proctree_why; some may be in `to`
 * then); ret_moved: how many. */
int proctree_move(int from, pid_t root, uint64_t root_started, int to,
		  unsigned *ret_moved) MUST_CHECK;
/* The sentence for an errno of proctree_move. */
const char *proctree_why(int err);

/* Inode numbers of the sockets that processes of `cgroup` (exactly) hold and that no process of
 * `but_not` (-1: none) holds: of a shared socket it is not known whose it is. The caller frees.
 * 0 or -errno. */
int proctree_sockets(int cgroup, int but_not, uint64_t **ret, size_t *n) MUST_CHECK;

#endif
