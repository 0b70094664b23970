// SPDX-License-Identifier: Apache-2.0
/* The configuration's hosts and address rules: see hosts.h. */
#include "proxy/hosts.h"

#include <errno.h>
#include <stdlib.h>

static int read_host(struct str s, struct host *ret)
{
	const char *equals = memchr(s.p, '=', s.n), *end = s.p + s.n, *at, *comma;

	if (!equals ||
	    host_canonical((struct str){ s.p, (size_t)(equals - s.p) }, ret->name, &ret->n))
		return -EINVAL;
	for (at = equals + 1; at < end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (!comma)
			comma = end;
		if (ret->naddrs == HOST_ADDRS ||
		    address_parse((struct str){ at, (size_t)(comma - at) },
				  ret->addrs[ret->naddrs]))
			return -EINVAL;
		ret->naddrs++;
	}
	return ret->naddrs ? 0 : -EINVAL;
}

static int read_blocks(const struct str *list, unsigned n, struct address_block *to)
{
	for (unsigned i = 0; i < n; i++)
		if (address_block_parse(list[i], &to[i]))
			return -EINVAL;
	return 0;
}

int hosts_read(struct hosts *h, const struct upstream_setup *s)
{
	unsigned n = s->nallow_private + s->nlocal + s->nsynthetic;
	struct address_block *allow, *local, *synthetic;

	h->list = mem_new((s->nhosts + 1) * sizeof(*h->list));
	for (unsigned i = 0; i < s->nhosts; i++)
		if (read_host(s->hosts[i], &h->list[h->n++]))
			return -EINVAL;
	h->blocks = mem_new((n + 1) * sizeof(*h->blocks));
	allow = h->blocks;
	local = allow + s->nallow_private;
	synthetic = local + s->nlocal;
	h->rules = (struct address_rules){ allow,     s->nallow_private, local,
					   s->nlocal, synthetic,	 s->nsynthetic };
	if (read_blocks(s->allow_private, s->nallow_private, allow) ||
	    read_blocks(s->local, s->nlocal, local) ||
	    read_blocks(s->synthetic, s->nsynthetic, synthetic))
		return -EINVAL;
	return 0;
}

void hosts_done(struct hosts *h)
{
	free(h->list);
	free(h->blocks);
}

const struct host *hosts_find(const struct hosts *h, struct str name)
{
	for (size_t i = 0; name.n && i < h->n; i++)
		if (str_eq((struct str){ h->list[i].name, h->list[i].n }, name))
			return &h->list[i];
	return NULL;
}
