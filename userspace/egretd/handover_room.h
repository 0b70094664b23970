/* SPDX-License-Identifier: Apache-2.0 */
/* What handover.c (the old egretd) and handover_new.c (the new one) share. */
#ifndef EGRET_EGRETD_HANDOVER_ROOM_H
#define EGRET_EGRETD_HANDOVER_ROOM_H

#include "egretd/daemon.h"

struct handover {
	struct daemon *d;
	int sock;   /* the new one's, to the old one */
	char *jobs; /* and the jobs' cgroup of that one */

	/* the old one's */
	struct child next;
	struct watch said, ended;
	struct timer late;
	uint64_t until;
	bool switched; /* MSG_HAND_GO was said */
	struct client *client;
	uint32_t question;
	char version[64];
};

#endif
