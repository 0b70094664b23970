/* SPDX-License-Identifier: Apache-2.0 */
/* A job's lines from egretd, for those who may see the job and may not open the log. */
#ifndef EGRET_CLI_EVENTS_ASK_H
#define EGRET_CLI_EVENTS_ASK_H

#include "cli/lines.h"

/* -1, or an exit status and the sentence is written. */
int events_ask(const char *job, struct lines **ret) MUST_CHECK;

#endif
