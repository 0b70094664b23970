/* SPDX-License-Identifier: Apache-2.0 */
/* A job as egretd tells it (MSG_JOB), for people and for machines. Used by `egret status` and
 * `egret job`. */
#ifndef EGRET_CLI_JOB_PRINT_H
#define EGRET_CLI_JOB_PRINT_H

#include "base/msg.h"

void job_print_head(void); /* of the table */
void job_print_row(const struct msg_in *m);
void job_print_whole(const struct msg_in *m); /* a line a fact */
void job_print_json(const struct msg_in *m);  /* one object, no newline */

/* A JSON string on stdout, quotes included. */
void json_print_text(struct str s);

#endif
