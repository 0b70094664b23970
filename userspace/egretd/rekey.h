/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret secret rekey: another store key while jobs run. The new key lies beside the old until the
 * broker has sealed everything under it (broker/rekey.c) and the jobs' CAs that egretd keeps are
 * replaced and parked; then it takes the old one's place. Whoever dies in between, the next one
 * finds both keys and goes on. egretd opens key files and reads none.
 */
#ifndef EGRET_EGRETD_REKEY_H
#define EGRET_EGRETD_REKEY_H

#include "egretd/daemon.h"

/* At the start: a new key that waits. */
void rekey_open(struct daemon *d);
/* serial: of the question to the broker, whose answer goes to who asked. 0 or -errno, a sentence.
 */
int rekey_begin(struct daemon *d, uint32_t serial, char *why, size_t n) MUST_CHECK;
/* A broker that knows all jobs goes on with what was begun. */
void rekey_again(struct daemon *d);
void rekey_job(struct daemon *d, const struct msg_in *m); /* MSG_JOB_SEALED */
/* The broker's answer to it: 0 and what to add for who asked, or -errno and a sentence. */
int rekey_answered(struct daemon *d, const struct msg_in *m, char *why, size_t n) MUST_CHECK;

#endif
