/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that must be done inside another network namespace, by a short-lived child: egretd's own
 * namespace never changes, and a socket belongs to the cgroup of the task that made it. The child
 * shares nothing but descriptors; it answers once, with bytes and descriptors, and ends. Called by
 * netns.c and sockdiag.c; reads what its own child wrote.
 */
#ifndef EGRET_EGRETD_NSTASK_H
#define EGRET_EGRETD_NSTASK_H

#include "base/bytes.h"

#define NSTASK_FDS 12
#define NSTASK_DATA 256

struct nstask {
	char why[160];		   /* the child's sentence when it fails */
	uint8_t data[NSTASK_DATA]; /* what it has to say, in a form of the caller's */
	int fds[NSTASK_FDS];	   /* -1: none; the caller's from then on */
};

/* In the child. 0, or -errno with t->why. */
typedef int (*nstask_fn)(struct nstask *t, void *arg);

/* cgroup: where the child is born (-1: the caller's own). netns: entered before fn is called (-1:
 * none). Blocks at most five seconds. 0 or -errno with a sentence, and no descriptor then. */
int nstask_run(int cgroup, int netns, nstask_fn fn, void *arg, struct nstask *ret, char *why,
	       size_t size) MUST_CHECK;
/* -err with "what (strerror)". */
int nstask_fail(struct nstask *t, int err, const char *what) MUST_CHECK;

#endif
