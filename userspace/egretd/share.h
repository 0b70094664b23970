/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one proxy may take of the host, so that who floods a proxy pays alone: processor time by
 * weight, processes, memory. Bounds are those of cgroup version 2, where the root of the hierarchy
 * gives its controllers to those below (systemd does; a hybrid layout has them in version 1). Not
 * there: jobs run without, and `egret doctor` and `egret status` say so. Called by egretd.
 */
#ifndef EGRET_EGRETD_SHARE_H
#define EGRET_EGRETD_SHARE_H

#include "egretd/cgroup.h"

enum share { SHARE_CPU = 1, SHARE_PIDS = 2, SHARE_MEMORY = 4 };
#define SHARES_TEXT_MAX 32

/* What a directory of the hierarchy gives to those below it, in bits of enum share. */
unsigned shares_given(int dir);
/* "cpu pids memory", those of bits. */
void shares_text(unsigned bits, char to[SHARES_TEXT_MAX]);
/* Gives what the root gives down to the proxies' cgroups; what stands then is the answer. */
unsigned shares_open(const struct cgroups *cg);
/* One proxy's, before it is in there. bits: of shares_open. 0 or -errno. */
int share_set(int proxy, unsigned bits, uint64_t memory) MUST_CHECK;
/* It has up to so many helpers beside it. */
int share_helpers(int proxy, unsigned bits, unsigned helpers) MUST_CHECK;
/* How many of its processes the kernel ended because their memory was at its bound. */
uint64_t share_killed(int proxy);

#endif
