/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written down of leases, and what a broker finds of one that died: leases of jobs that
 * still live go on, all others are owed a revocation. Between lease_ask.c and journal.c.
 */
#ifndef EGRET_BROKER_KEEP_H
#define EGRET_BROKER_KEEP_H

#include "broker/lease.h"

/* Before the loop: reads the journal. 0 or -errno and a sentence. */
int keep_open(struct broker *b, char *why, size_t size) MUST_CHECK;
void keep_tell(struct broker *b); /* what was wrong with it, once egretd listens */
/* Written down; not sure yet. */
int keep_lease(struct lease *l) MUST_CHECK;
int keep_sync(struct broker *b) MUST_CHECK;
int keep_rekey(struct broker *b)
	MUST_CHECK; /* under the journal's key of now: 1; 0: none; -errno */
void keep_over(struct lease *l);
/* back: egretd says that it had been opened before, so the leases under its number are its own. */
void keep_job_opened(struct job *j, bool back);
void keep_jobs_told(struct broker *b); /* what no job has is owed */

#endif
