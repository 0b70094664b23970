/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of ID tokens (jti) that were taken once, for issuers whose audience cannot hold a nonce of
 * ours. Kept in state_dir/jti until the token has expired, written and synced before the job that
 * it names goes on: no crash and no upgrade gives a token a second use. Only egretd writes the file
 * and reads it; what stands in it are digests.
 */
#ifndef EGRET_EGRETD_JTI_H
#define EGRET_EGRETD_JTI_H

#include "base/bytes.h"

#define JTI_MAX 65536u /* at a time; beyond it no token is taken */
#define JTI_DAYS_MAX 7u

struct jti;
/* Takes what lies in the folder; expired ones are left out and the file is written anew. 0 or
 * -errno with a sentence. now: wall, s. */
int jti_open(const char *state_dir, uint64_t now, struct jti **ret, char *why, size_t n) MUST_CHECK;
void jti_close(struct jti *j); /* accepts NULL */
/* 0: it was not used before, and from now on it was. -EEXIST; -ENOSPC; -errno of the disk; each
 * with a sentence. */
int jti_take(struct jti *j, struct str issuer, struct str jti, uint64_t expires, uint64_t now,
	     char *why, size_t n) MUST_CHECK;

#endif
