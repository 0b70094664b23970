/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `egret`: one file a verb (verb_NAME.c), one table in main.c. A verb gets argv from
 * its own name on and returns the exit status: 0 done, 1 it failed or the answer is no, 2 usage or
 * configuration. Output for people on stdout, errors on stderr as one sentence "egret VERB: what
 * happened: why; what to do". --json prints what a machine may read.
 */
#ifndef EGRET_CLI_CLI_H
#define EGRET_CLI_CLI_H

#include "base/bytes.h"
#include "base/msg.h"
#include "base/proto.h"

struct cli_verb {
	const char *name;    /* "run", "policy" */
	const char *summary; /* one line for `egret --help` */
	int (*main)(int argc, char **argv);
};

int verb_run(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_job(int argc, char **argv);
int verb_attach(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_policy(int argc, char **argv);
int verb_secret(int argc, char **argv);
int verb_events(int argc, char **argv);
int verb_why(int argc, char **argv);
int verb_summary(int argc, char **argv);
int verb_lease(int argc, char **argv);
int verb_override(int argc, char **argv);
int verb_ca(int argc, char **argv);
int verb_config(int argc, char **argv);
int verb_upgrade(int argc, char **argv);

void cli_verb_is(const char *name); /* main.c: whose sentences follow; NULL: egret's own */
/* A sentence on stderr with the verb's name before it. Returns its first argument, so `return
 * cli_fail(2, ...)`. */
int cli_fail(int status, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Connects to the running daemon: $EGRET_RUN_DIR or run_dir of the configuration or /run/egret. The
 * socket or -errno. */
int cli_connect(void);
/* One question, one answer (type MSG_OK, MSG_FAILED or other in ret). 0 or -errno. Waits at most 30
 * s. */
int cli_ask(int sock, struct msg_out *q, struct msg_in *ret) MUST_CHECK;
/* The options of a verb that knows --json and --help alone, usage printed as asked. -1: go on at
 * optind; else the exit status. */
int cli_json_option(int argc, char **argv, const char *usage, bool *ret_json);
bool cli_color(int fd);		 /* a terminal, and NO_COLOR is not set */
const char *cli_state_dir(void); /* $EGRET_STATE_DIR or /var/lib/egret: where events.ndjson is */

#endif
