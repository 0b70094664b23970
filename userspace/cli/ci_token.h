/* SPDX-License-Identifier: Apache-2.0 */
/* The CI server's signed word on who this job is, asked for with egretd's audience before any step
 * runs. */
#ifndef EGRET_CLI_CI_TOKEN_H
#define EGRET_CLI_CI_TOKEN_H

#include "cli/ci_facts.h"

/* *ret: a memfd with the token, or -1 when this job may not have one. -1 (go on), or an exit status
 * and the sentence is written. */
int ci_token(enum ci_provider p, pid_t worker, const char *audience, int *ret) MUST_CHECK;
/* From a file, "-" is standard input. */
int ci_token_file(const char *path, int *ret) MUST_CHECK;

/* ci_fetch.c: GET by https with "Authorization: bearer TOKEN"; at most 10 s and 64 KiB. 0, or -EIO
 * with a sentence. */
int ci_fetch(const char *url, const char *bearer, struct buf *to, char *why, size_t n) MUST_CHECK;

#endif
