/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of egret-init share: the job's first process, from MSG_INIT_START to the command's
 * exit status. */
#ifndef EGRET_INIT_INIT_H
#define EGRET_INIT_INIT_H

#include "base/bytes.h"
#include "base/msg.h"
#include "base/spec.h"
#include <stdio.h>
#include <sys/types.h>

#define INIT_GROUPS_MAX 64

/* world.c: own mount, ipc and cgroup namespaces; /proc anew; `hide` paths and /run replaced by
 * empty folders. 0 or -errno, why. */
int world_enter(const struct msg_in *start, int netns, char *why, size_t n) MUST_CHECK;
int world_hide(const char *path, char *why, size_t n) MUST_CHECK;

/* trust.c: writes the three files, lays the bundle over the system's own. Descriptors are read to
 * their end. */
int trust_install(int ca, int bundle, int p12, char *why, size_t n) MUST_CHECK;
/* The environment of the command: the caller's, with trust variables set, proxy variables gone,
 * placeholders in place. The user's own bundles are read with the user's rights. Returns a
 * NULL-terminated list in an arena. */
char **trust_of_command(struct arena *a, char *const *envp, const struct msg_in *start, uid_t uid,
			gid_t gid);

/* sockets.c: UNIX sockets of others. `list` is /proc/net/unix of the host's network namespace,
 * opened before it was left. */
int sockets_cover(FILE *list, char *why, size_t n) MUST_CHECK;
int sockets_scope(char *why,
		  size_t n) MUST_CHECK; /* abstract ones, for jobs on the host's network */

/* drop.c: becomes the user for good: no capability in any set, no new privileges, socket families
 * closed by seccomp. */
int drop_to(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups, char *why,
	    size_t n) MUST_CHECK;

/* reap.c: starts the command, hands signals on, reaps everything; the command's status as a shell
 * has it. */
int reap_command(const struct spec *spec, char **envp, const char *cwd);

#endif
