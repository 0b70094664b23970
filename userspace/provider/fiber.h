/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack of its own for each question, so that a provider is written from top to bottom and many
 * of them wait at once on one loop. No threads: one runs until it waits. Called by serve.c (start)
 * and by whatever waits for an event.
 */
#ifndef EGRET_PROVIDER_FIBER_H
#define EGRET_PROVIDER_FIBER_H

#include "base/bytes.h"

struct fiber;

/* Runs fn at once, until it waits or returns. */
void fiber_start(void (*fn)(void *owner), void *owner);
struct fiber *fiber_self(void);	  /* NULL: not on one */
void fiber_wait(void);		  /* until fiber_wake; only on a fiber */
void fiber_wake(struct fiber *f); /* from the loop, not from another fiber */

#endif
