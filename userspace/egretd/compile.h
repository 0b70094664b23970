/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking egret-compile: JSON sources in, sealed packs out. One short-lived process without
 * privileges a question. Called by job.c (files given with a job) and library.c (the configured
 * folders).
 */
#ifndef EGRET_EGRETD_COMPILE_H
#define EGRET_EGRETD_COMPILE_H

#include "egretd/daemon.h"

#define COMPILE_SOURCES_MAX (MSG_FDS_MAX - 2)
#define COMPILE_CALLER_IS_NO_ADMIN 1u

struct compile_source {
	int fd;		 /* borrowed until compile_start returns */
	char name[4352]; /* for messages, and for resolving includes: its last part without .json */
	const char *kind; /* "policy", "include", "credential" */
};

struct compile;
/* policies and credentials are descriptors that done owns (-1: none). On failure err < 0 and text
 * says every fault, a line each. */
typedef void (*compile_fn)(void *owner, int err, const char *text, int policies, int credentials);

/* 0: done will be called once, never from inside. Else -errno and why. */
int compile_start(struct daemon *d, const struct compile_source *sources, unsigned n,
		  unsigned flags, compile_fn done, void *owner, struct compile **ret, char *why,
		  size_t why_n) MUST_CHECK;
void compile_cancel(struct compile *c);

#endif
