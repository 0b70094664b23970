/* SPDX-License-Identifier: Apache-2.0 */
/* Do the links of the kernel programs still stand? Looked at every second. One that is gone is put
 * back and told; while one cannot be put back, jobs are frozen and none is started. Called by
 * main.c, job_run.c and member.c. */
#ifndef EGRET_EGRETD_LINKS_H
#define EGRET_EGRETD_LINKS_H

#include "base/bytes.h"

struct daemon;

/* The programs are attached: the first trials (walls_open). Jobs that an egretd before this one
 * left frozen go on with the first look. */
int links_attached(struct daemon *d, char *why, size_t n) MUST_CHECK;
void links_open(struct daemon *d);
void links_close(struct daemon *d);
/* 0, or -EPERM with a sentence: a wall is gone. */
int links_stand(const struct daemon *d, char *why, size_t n) MUST_CHECK;

#endif
