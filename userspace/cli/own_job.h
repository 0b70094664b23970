/* SPDX-License-Identifier: Apache-2.0 */
/* Which job this command runs in, when none is named. */
#ifndef EGRET_CLI_OWN_JOB_H
#define EGRET_CLI_OWN_JOB_H

#include "base/bytes.h"

/* The name into to. False: this process is in no job that can be told. egretd decides what a caller
 * may see of it. */
bool own_job(char *to, size_t n);
/* Pure: the name in a text like /proc/self/cgroup. */
bool own_job_of(struct str cgroups, char *to, size_t n);

#endif
