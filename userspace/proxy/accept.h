/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the job's connections from the listeners that egretd made, each with its record. Called by
 * start.c. */
#ifndef EGRET_PROXY_ACCEPT_H
#define EGRET_PROXY_ACCEPT_H

#include "proxy/proxy.h"

#define LISTENERS_MAX 16

/* Takes over fd, a listening socket. 0 or -errno (-ENOSPC: more than LISTENERS_MAX). */
int accept_add(struct proxy *px, int fd) MUST_CHECK;
void accept_start(struct proxy *px); /* from now on connections are served */
void accept_stop(void);		     /* closes our descriptors; egretd keeps its own */

#endif
