/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages on their way to egretd. The socket never blocks the broker: what does not fit is kept in
 * order, within a bound. When the bound is passed, or egretd is gone, the message is dropped and
 * the loss is counted.
 */
#ifndef EGRET_BROKER_OUTBOX_H
#define EGRET_BROKER_OUTBOX_H

#include "base/loop.h"
#include "base/msg.h"

#define OUTBOX_MAX 8192u

struct outbox_item;

struct outbox {
	int fd;		     /* borrowed; -1: egretd is gone */
	struct watch *watch; /* asked for EPOLLOUT while something waits; may be NULL */
	struct outbox_item *first, **last;
	unsigned count;
	uint64_t lost;
};

void outbox_init(struct outbox *o, int fd);
/* Takes the message over; its descriptors are duplicated if it has to wait. */
void outbox_send(struct outbox *o, struct msg_out *m);
bool outbox_flush(struct outbox *o); /* true: nothing waits any more */
void outbox_done(struct outbox *o);

#endif
