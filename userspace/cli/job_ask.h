/* SPDX-License-Identifier: Apache-2.0 */
/* A question to egretd that is answered by a job: `egret job register`, `egret attach`. */
#ifndef EGRET_CLI_JOB_ASK_H
#define EGRET_CLI_JOB_ASK_H

#include "cli/cli.h"
#include "cli/sources.h"

#define JOB_LABELS_MAX 24

/* The egretd that runs, or an exit status and the sentence is written. */
int job_connect(int *ret);
/* "KEY=VALUE", or 2 and the sentence is written; -1: kept. */
int job_label_add(const char **list, unsigned *n, const char *label);
void job_put_sources(struct msg_out *m, const struct source_list *sources);
/* Sends m (freed). 0 and the answer, a job; or an exit status and the sentence is written. */
int job_ask(int sock, struct msg_out *m, struct msg_in *ret) MUST_CHECK;
/* The job's name, or with json all of it, on standard output. Frees in. The exit status. */
int job_answer(struct msg_in *in, bool json);

int job_register(int argc, char **argv); /* job_register.c; argv from "register" on */

#endif
