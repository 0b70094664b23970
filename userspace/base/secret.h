/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a secret rests: one arena of locked, dump-excluded pages a process, made once at start
 * before the jail. Chunks are wiped when freed. Never format a secret, never put one in argv, a log
 * or an event.
 */
#ifndef EGRET_BASE_SECRET_H
#define EGRET_BASE_SECRET_H

#include "base/bytes.h"

struct secret {
	uint8_t *p;
	size_t n;
};

int secret_arena_init(size_t size) MUST_CHECK; /* once; 0 or -errno (RLIMIT_MEMLOCK) */
int secret_new(size_t n,
	       struct secret *ret) MUST_CHECK; /* zeroed; 0 or -ENOMEM when the arena is full */
int secret_dup(const void *p, size_t n, struct secret *ret) MUST_CHECK;
void secret_done(struct secret *s);	    /* wipes, frees; also on a zeroed one */
bool secret_eq(struct str a, struct str b); /* constant time in the bytes; lengths are not hidden */
void wipe(void *p, size_t n);		    /* cannot be optimised away */

#endif
