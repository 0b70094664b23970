/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp wall of the jail: everything that is not listed kills the process; for programs that
 * are not ours, what is listed fails. jail.c alone calls it. */
#ifndef EGRET_BASE_JAIL_CALLS_H
#define EGRET_BASE_JAIL_CALLS_H

#include "base/jail.h"

int jail_calls(uint32_t may) MUST_CHECK; /* 0 or -errno */
int jail_calls_exec(void) MUST_CHECK;
int jail_calls_program(bool may_signal) MUST_CHECK;
#ifdef EGRET_ASAN
extern int jail_raised; /* the sanitizers' runtime is told that it may not look at other threads */
#endif

#endif
