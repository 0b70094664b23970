/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects to one of several addresses (RFC 8305, "happy eyeballs"): the families in turn, a
 * further address each quarter of a second or as soon as one has failed, the first that connects
 * wins and the others are closed. Each is told to the audit process before it is dialled (told.h).
 * Called by dial.c with addresses that were judged; no byte is read.
 */
#ifndef EGRET_PROXY_RACE_H
#define EGRET_PROXY_RACE_H

#include "proxy/told.h"

#include "base/resolve.h"

struct race_want {
	const uint8_t (*addrs)[16]; /* the first one's family begins, unless it lost lately */
	unsigned n;		    /* at most RESOLVE_MAX */
	uint16_t port;
	uint64_t netns; /* where the sockets come from (sockets.h); 0: made here */
	struct told_for what;
	uint64_t ms; /* for all of them together */
};

struct race;
/* err 0: fd is the caller's, connected to addr. Else -errno of the address that failed last, or
 * -ETIMEDOUT, or -ENOLINK: it could not be told. The race is gone when this is called; never from
 * inside race_start. */
typedef void (*race_fn)(void *owner, int err, int fd, const uint8_t addr[16]);
/* The texts of `what` must outlive the race; the addresses are copied. n is not 0. */
struct race *race_start(struct proxy *px, const struct race_want *want, race_fn fn, void *owner);
/* The same host, in a text that lives as long as who took the race over. */
void race_host(struct race *r, struct str host);
/* Closes all; accepts NULL. True: dials were told, and the last one's address is written. */
bool race_cancel(struct race *r, uint8_t last[16]);

#endif
