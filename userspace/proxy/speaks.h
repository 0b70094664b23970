/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts were seen to speak by ALPN, for the proxy's life. Called by upstream.c; pure. */
#ifndef EGRET_PROXY_SPEAKS_H
#define EGRET_PROXY_SPEAKS_H

#include "proxy/pool.h"

#define LEARNED 256 /* hosts; the one learned first makes room */

struct learned {
	char host[HOST_MAX + 1];
	size_t n;
	uint16_t port;
	enum upstream_speaks speaks;
};

struct speaks {
	struct learned learned[LEARNED];
	unsigned at;
};

enum upstream_speaks speaks_of(const struct speaks *s, struct str host, uint16_t port);
void speaks_learn(struct speaks *s, const struct pool_key *key, enum upstream_speaks speaks);

#endif
