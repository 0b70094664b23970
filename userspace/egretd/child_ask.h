/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question to one of egret's programs that answers once and ends: egret-compile (compile.c,
 * inspect.c), egret-identity (identity.c) and egret-mount (mounting.c), each of which reads what
 * egretd must not. A frame of the right type is all that is known of an answer; what is in it is
 * the asker's to check.
 */
#ifndef EGRET_EGRETD_CHILD_ASK_H
#define EGRET_EGRETD_CHILD_ASK_H

#include "egretd/child.h"
#include "egretd/daemon.h"

struct child_ask;
/* The program has ended and child_ask_stop need not be called. err 0: m is the answer, lent; else
 * text says why, and m is MSG_FAILED, lent, or NULL. */
typedef void (*child_ask_fn)(struct child_ask *a, int err, struct msg_in *m, const char *text);

/* The first member of what the asker has of its question. */
struct child_ask {
	uint16_t answer; /* its type; another one but MSG_FAILED is -EPROTO */
	int refused;	 /* err of MSG_FAILED */
	unsigned ms;	 /* until -ETIMEDOUT with the text `late` */
	const char *late;
	child_ask_fn done;
	/* ---- child_ask.c ---- */
	const char *program;
	struct child child;
	struct watch sock;
	struct timer timer;
};

/* Sends the question, and frees it in each case. 0: done will be called once, never from inside.
 * Else -errno and why. */
int child_ask_start(struct daemon *d, const struct child_plan *plan, struct msg_out *question,
		    struct child_ask *a, char *why, size_t n) MUST_CHECK;
void child_ask_stop(struct child_ask *a); /* done is not called */

#endif
