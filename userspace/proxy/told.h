/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel sees of a proxy is its connect() calls. Each is told in the job's ring before it
 * is made, with the socket's cookie, so that the audit process can hold one against the other
 * (audit/dials.h): a connect() that was not told, or that no request's record follows, is an alert.
 * Called by race.c, dial.c, session.c and start.c.
 */
#ifndef EGRET_PROXY_TOLD_H
#define EGRET_PROXY_TOLD_H

#include "proxy/proxy.h"

/* What a dial is for: the host (n = 0: the address that is dialled) and port of its request. */
struct told_for {
	struct str host;
	uint16_t port;
	bool recorded; /* the request's record was written before (a tunnel's); else it comes after
			*/
};

/* addr and port are what the kernel will see; the port is a parent proxy's when it is another than
 * the request's. Waits and answers as record_wait() does. */
struct record_wait *told_dial(struct proxy *px, int fd, const struct told_for *what,
			      const uint8_t addr[16], uint16_t port, record_fn fn, void *owner);
/* The request that it was for is gone, and no record of it will come. */
void told_given_up(struct proxy *px, struct str host, const uint8_t addr[16], uint16_t port);
/* What a proxy before this one dialled last has no record if it died just then. */
void told_anew(struct proxy *px);

#endif
