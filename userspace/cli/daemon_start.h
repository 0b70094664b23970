/* SPDX-License-Identifier: Apache-2.0 */
/* The egretd that answers: the running one, or one started for this command that ends with its last
 * job. */
#ifndef EGRET_CLI_DAEMON_START_H
#define EGRET_CLI_DAEMON_START_H

#include "base/bytes.h"

/* Where the egretd is that belongs to this egret. */
void daemon_path(char *to, size_t n);
/* -1 and a connected control socket, and whether that egretd was started for it; else an exit
 * status, and the sentence is written. config may be NULL. */
int daemon_connect(const char *config, int *ret_sock, bool *ret_started);

/* After an egretd of `egret run` that died: one is started that takes up what it left, ends the
 * jobs that are over, and ends itself. Never for a standing one: whoever keeps that starts it anew,
 * and what it left, walls above all, stays until then. */
void daemon_sweep(const char *config);

#endif
