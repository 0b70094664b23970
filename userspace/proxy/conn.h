/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the job, from accept to its end: peeked, decided, then opened, passed through
 * or refused. Called by accept.c and start.c. */
#ifndef EGRET_PROXY_CONN_H
#define EGRET_PROXY_CONN_H

#include "proxy/proxy.h"

/* Takes over fd; record says where it wanted to go, netns is the cookie of the network namespace it
 * was accepted in. Counts in px->connections until it is over. */
void conn_start(struct proxy *px, uint64_t netns, int fd, const struct egret_record *record);
/* The inside of a CONNECT: origin->name (or addr) is the authority. Takes over fd. */
void conn_inside(struct proxy *px, int fd, const struct origin *o);
/* After a reload: tunnels that the policies would not pass any more are cut. */
void conns_judge(struct proxy *px);
/* Ends every session at once: what they hold of the credentials is about to go. */
void conns_end_sessions(struct proxy *px);
/* The job ends: what is not yet a session or tunnel is closed, sessions finish their request;
 * at_once: everything is cut. */
void conns_stop(struct proxy *px, bool at_once);
/* A network namespace left the job: everything from it is cut. */
void conns_leave(struct proxy *px, uint64_t netns);
/* Closes with a reset: nothing was answered. */
void conn_reset(int fd);

#endif
