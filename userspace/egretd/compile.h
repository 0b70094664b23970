/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking egret-compile: JSON sources in, sealed packs out. One short-lived process without
 * privileges a question. Called by job_run.c (files given with a job: their descriptors go on as
 * they came) and library.c (the configured folders: any number of files, in one archive).
 */
#ifndef EGRET_EGRETD_COMPILE_H
#define EGRET_EGRETD_COMPILE_H

#include "egretd/daemon.h"

#define COMPILE_GIVEN_MAX (MSG_FDS_MAX - 2) /* files in one message */
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
/* The same of an archive (policy/archive.h), borrowed until it returns. */
int compile_archive(struct daemon *d, int archive, compile_fn done, void *owner,
		    struct compile **ret, char *why, size_t why_n) MUST_CHECK;
void compile_cancel(struct compile *c);

#endif
