// SPDX-License-Identifier: Apache-2.0
/* The places that are dialled ahead: see ahead.h. Reads no byte of anybody. */
#include "proxy/ahead.h"

static struct ahead_place *find(struct ahead *a, struct str host, uint16_t port, uint64_t netns)
{
	for (unsigned i = 0; i < AHEAD_PLACES; i++) {
		struct ahead_place *p = &a->places[i];

		if (p->id && p->key.port == port && p->key.netns == netns &&
		    str_eq((struct str){ p->key.host, p->key.host_n }, host))
			return p;
	}
	return NULL;
}

struct ahead_place *ahead_get(struct ahead *a, struct str host, uint16_t port, uint64_t netns)
{
	struct ahead_place *p = find(a, host, port, netns);

	if (!p) {
		p = &a->places[0];
		for (unsigned i = 1; i < AHEAD_PLACES; i++)
			if (a->places[i].used < p->used)
				p = &a->places[i];
		*p = (struct ahead_place){ .id = ++a->ids };
		memcpy(p->key.host, host.p, host.n);
		p->key.host_n = host.n;
		p->key.port = port;
		p->key.netns = netns;
	}
	p->used = ++a->uses;
	return p;
}

struct ahead_place *ahead_of(struct ahead *a, uint64_t id)
{
	for (unsigned i = 0; id && i < AHEAD_PLACES; i++)
		if (a->places[i].id == id)
			return &a->places[i];
	return NULL;
}

struct ahead_place *ahead_learn(struct ahead *a, const struct pool_key *key,
				const struct hello_shape *shape)
{
	struct ahead_place *p =
		ahead_get(a, (struct str){ key->host, key->host_n }, key->port, key->netns);

	p->key = *key;
	p->shape = *shape;
	p->learned = true;
	return p;
}

void ahead_forget(struct ahead *a, const struct pool_key *key)
{
	struct ahead_place *p =
		find(a, (struct str){ key->host, key->host_n }, key->port, key->netns);

	if (p)
		p->learned = false;
}

void ahead_forget_all(struct ahead *a)
{
	for (unsigned i = 0; i < AHEAD_PLACES; i++)
		a->places[i].learned = false;
}
