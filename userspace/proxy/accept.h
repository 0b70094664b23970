/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the job's connections from the listeners that egretd made, each with its record. Called by
 * listen.c and start.c. */
#ifndef EGRET_PROXY_ACCEPT_H
#define EGRET_PROXY_ACCEPT_H

#include "proxy/proxy.h"

/* Takes over fd, a listening socket of the network namespace with this cookie, and serves it from
 * now on. 0 or -errno: fd is then still the caller's. */
int accept_add(struct proxy *px, uint64_t netns, int fd) MUST_CHECK;
void accept_close(uint64_t netns); /* closes our descriptors; egretd keeps its own */
void accept_stop(void);		   /* those of every namespace */

#endif
