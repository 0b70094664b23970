/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One document over https, for main.c: TLS verified against the roots given, no redirect, no proxy,
 * no more than FETCH_SIZE_MAX bytes, all of it before a deadline. Names are looked up here and
 * given to libcurl, which would start a thread for it. Hostile bytes: what nameservers and servers
 * answer.
 */
#ifndef EGRET_IDENTITY_FETCH_H
#define EGRET_IDENTITY_FETCH_H

#include "base/bytes.h"

#define FETCH_SIZE_MAX 65536
#define FETCH_MS 10000 /* both documents together */

struct fetch {
	struct str roots;	       /* PEM */
	const struct str *hosts;       /* "name=ip,ip": not looked up */
	const struct str *nameservers; /* "ip", "ip:port" */
	unsigned nhosts, nnameservers;
	uint64_t until;	   /* clock_now() */
	struct loop *loop; /* these two: NULL; fetch_done frees what was made of them */
	struct resolve *resolve;
};

/* Before the jail. 0 or -EIO. */
int fetch_early(void) MUST_CHECK;
/* 0, or -errno with a sentence that begins with the address. ret is initialised by the caller with
 * FETCH_SIZE_MAX. */
int fetch_get(struct fetch *f, const char *url, struct buf *ret, char *why, size_t n) MUST_CHECK;
void fetch_done(struct fetch *f);

#endif
