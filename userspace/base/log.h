/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's voice: one line to stderr, with the priority prefix of sd-daemon(3) when journald
 * reads it. Libraries do not log; they return reasons. Control bytes in arguments are escaped
 * before they are written. The auditor's voice is event/event.h.
 */
#ifndef EGRET_BASE_LOG_H
#define EGRET_BASE_LOG_H

#include "base/bytes.h"

void log_init(const char *program);		      /* name before each line; opens nothing */
void log_err(const char *fmt, ...) PRINTF_LIKE(1, 2); /* what happened, why, what to do */
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
