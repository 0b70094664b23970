/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking egret-mount: the job's bundles over the known files of a container that runs already. One
 * short-lived process a question, in the container's mount namespace; egretd itself never enters
 * one.
 */
#ifndef EGRET_EGRETD_MOUNTING_H
#define EGRET_EGRETD_MOUNTING_H

#include "egretd/job.h"

struct mounting;
typedef void (*mounting_fn)(void *owner, int err, const char *text);

/* 0: done will be called once, never from inside. Else -errno and why. */
int mounting_start(struct job *j, pid_t pid, int pidfd, mounting_fn done, void *owner,
		   struct mounting **ret, char *why, size_t n) MUST_CHECK;
void mounting_cancel(struct mounting *m); /* accepts NULL */

#endif
