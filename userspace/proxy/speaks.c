// SPDX-License-Identifier: Apache-2.0
/* What hosts speak: see speaks.h. */
#include "proxy/speaks.h"

static struct learned *find(const struct speaks *s, struct str host, uint16_t port)
{
	/* They fill up from the first on. */
	for (unsigned i = 0; i < LEARNED && s->learned[i].n; i++) {
		const struct learned *l = &s->learned[i];

		if (l->port == port && str_eq((struct str){ l->host, l->n }, host))
			return (struct learned *)l;
	}
	return NULL;
}

enum upstream_speaks speaks_of(const struct speaks *s, struct str host, uint16_t port)
{
	const struct learned *l = host.n ? find(s, host, port) : NULL;

	return l ? l->speaks : SPEAKS_UNKNOWN;
}

void speaks_learn(struct speaks *s, const struct pool_key *key, enum upstream_speaks speaks)
{
	struct str host = { key->host, key->host_n };
	struct learned *l = host.n ? find(s, host, key->port) : NULL;

	if (!l && host.n) {
		l = &s->learned[s->at++ % LEARNED];
		memcpy(l->host, host.p, host.n);
		l->n = host.n;
		l->port = key->port;
	}
	if (l && (speaks != SPEAKS_H2 || l->speaks != SPEAKS_H2_ONLY))
		l->speaks = speaks;
}
