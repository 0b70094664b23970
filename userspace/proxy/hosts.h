/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration says of upstreams: addresses of names, and which addresses may be dialled.
 * Called by upstream.c; trusts the configuration. */
#ifndef EGRET_PROXY_HOSTS_H
#define EGRET_PROXY_HOSTS_H

#include "proxy/address.h"
#include "proxy/upstream.h"

#define HOST_ADDRS 8

struct host {
	char name[HOST_MAX + 1];
	size_t n;
	uint8_t addrs[HOST_ADDRS][16];
	unsigned naddrs;
};

struct hosts {
	struct host *list;
	size_t n;
	struct address_block *blocks; /* allow, local, synthetic */
	struct address_rules rules;
};

/* -EINVAL: something in it is malformed. hosts_done in either case. */
int hosts_read(struct hosts *h, const struct upstream_setup *s) MUST_CHECK;
void hosts_done(struct hosts *h);
/* NULL: the configuration gives it no address. */
const struct host *hosts_find(const struct hosts *h, struct str name);

#endif
