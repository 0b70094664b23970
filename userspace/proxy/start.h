/* SPDX-License-Identifier: Apache-2.0 */
/* Reads MSG_PROXY_START and the later words of egretd. Called by main.c, in the jail. */
#ifndef EGRET_PROXY_START_H
#define EGRET_PROXY_START_H

#include "base/loop.h"

/* Serves until egretd says MSG_STOP or the listeners are of no use: an exit status. control is the
 * socket to egretd. */
int proxy_serve(struct loop *l, int control) MUST_CHECK;

#endif
