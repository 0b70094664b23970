// SPDX-License-Identifier: Apache-2.0
/* What names led to: see resolve_cache.h. A job asks for few names, so they are compared one by
 * one. */
#include "base/resolve_cache.h"

#include "base/clock.h"
#include "base/resolve.h"
#include <stdlib.h>

#define NAME_MAX_BYTES 255

struct known {
	uint64_t until;
	size_t name_n;
	unsigned n;
	uint8_t addrs[RESOLVE_MAX][16];
	char name[NAME_MAX_BYTES];
};

struct resolve_cache {
	struct known *known[RESOLVE_KEPT];
	unsigned next; /* the oldest, once all are taken */
};

struct resolve_cache *resolve_cache_new(void)
{
	return mem_new(sizeof(struct resolve_cache));
}

struct resolve_cache *resolve_cache_free(struct resolve_cache *c)
{
	if (!c)
		return NULL;
	for (unsigned i = 0; i < RESOLVE_KEPT; i++)
		free(c->known[i]);
	free(c);
	return NULL;
}

static struct known *find(const struct resolve_cache *c, struct str name)
{
	for (unsigned i = 0; i < RESOLVE_KEPT && c->known[i]; i++)
		if (c->known[i]->name_n == name.n && !memcmp(c->known[i]->name, name.p, name.n))
			return c->known[i];
	return NULL;
}

void resolve_cache_put(struct resolve_cache *c, struct str name, const uint8_t (*addrs)[16],
		       unsigned n, uint32_t seconds)
{
	struct known *k;

	if (!seconds || !n || n > RESOLVE_MAX || name.n > NAME_MAX_BYTES)
		return;
	if (seconds > RESOLVE_KEPT_S)
		seconds = RESOLVE_KEPT_S;
	k = find(c, name);
	if (!k) {
		if (!c->known[c->next])
			c->known[c->next] = mem_new(sizeof(*k));
		k = c->known[c->next];
		c->next = (c->next + 1) % RESOLVE_KEPT;
		k->name_n = name.n;
		memcpy(k->name, name.p, name.n);
	}
	k->until = clock_now() + (uint64_t)seconds * 1000;
	k->n = n;
	memcpy(k->addrs, addrs, n * sizeof(*addrs));
}

unsigned resolve_cache_get(const struct resolve_cache *c, struct str name, uint8_t (*ret)[16])
{
	const struct known *k = find(c, name);

	if (!k || k->until <= clock_now())
		return 0;
	memcpy(ret, k->addrs, k->n * sizeof(*ret));
	return k->n;
}
