/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs as frames in the parking place (adopt.h): one of the job, one a network namespace, one a
 * member. Written by an egretd, read by the next, of whatever version (park_form.h); they passed
 * through no other process's hands, only through the broker's and systemd's keeping, so their form
 * is checked.
 */
#ifndef EGRET_EGRETD_PARK_H
#define EGRET_EGRETD_PARK_H

#include "egretd/job.h"

/* A frame of any kind: 0, or -errno and nothing is taken up of it; -EPROTO: of another form. */
int park_take(struct daemon *d, struct msg_in *m) MUST_CHECK;
/* All frames of it were read: the kernel's tables are made to say the same. */
int park_refill(struct job *j) MUST_CHECK;
/* The job goes on, or ends if it cannot. */
void park_taken(struct job *j);

#endif
