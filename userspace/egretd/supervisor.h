/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd is told (ready, watchdog) and what it keeps for egretd: a second pair of the parking
 * place's descriptors (adopt.h) in its descriptor store, so that jobs also outlive egretd and the
 * broker dying together. Called by main.c and adopt.c. An egretd without systemd, and the one of
 * `egret run`, whose environment is a caller's, say and keep nothing here.
 */
#ifndef EGRET_EGRETD_SUPERVISOR_H
#define EGRET_EGRETD_SUPERVISOR_H

#include "egretd/daemon.h"

void supervisor_init(bool once); /* before everything else here */
/* READY=1; from now on the watchdog is fed out of the loop, at half of its interval: not when the
 * loop hangs. */
void supervisor_ready(struct daemon *d);
void supervisor_say(const char *state); /* sd_notify(3) */
/* The parking place that systemd kept: 0 and two descriptors, or -ENOENT. */
int supervisor_park_take(int ret[2]) MUST_CHECK;
void supervisor_park_keep(const int park[2]); /* also the same one again */
/* An upgrade (handover.h): the process that serves from now on; before that one says a word. */
void supervisor_main(pid_t pid);
void supervisor_taken_over(void); /* the new one: the watchdog is its own now */

#endif
