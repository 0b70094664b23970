/* SPDX-License-Identifier: Apache-2.0 */
/* What creds.c still looks for. No byte here is a peer's. */
#include "proxy/kept.h"

#include "base/clock.h"

#define DAY_MS (24ull * 3600 * 1000)

static struct str value_of(const struct secret *s)
{
	return (struct str){ (char *)s->p, s->n };
}

void kept_add(struct kept *k, struct secret *value, uint64_t until)
{
	unsigned at;

	for (unsigned i = 0; i < KEPT_MAX; i++) {
		if (!k->list[i].value.p || !secret_eq(value_of(&k->list[i].value), value_of(value)))
			continue;
		k->list[i].until = until;
		secret_done(value);
		return;
	}
	at = k->next++ % KEPT_MAX;
	secret_done(&k->list[at].value);
	k->list[at].value = *value;
	k->list[at].until = until;
	*value = (struct secret){ 0 };
}

int kept_copy(struct kept *k, struct str value, size_t most, uint64_t expires_us)
{
	uint64_t now = clock_wall_us(), left = DAY_MS;
	struct secret copy;
	int r = secret_dup(value.p, value.n < most ? value.n : most, &copy);

	if (expires_us)
		left = expires_us > now ? (expires_us - now) / 1000 : KEPT_MS;
	if (r == 0)
		kept_add(k, &copy, clock_now() + left);
	return r;
}

void kept_move(struct kept *k, struct kept *from)
{
	for (unsigned n = 0, i = from->next; n < KEPT_MAX; n++, i++) {
		struct secret *s = &from->list[i % KEPT_MAX].value;

		if (s->p)
			kept_add(k, s, from->list[i % KEPT_MAX].until);
	}
}

size_t kept_list(const struct kept *k, struct str *to, size_t room)
{
	size_t n = 0;

	for (unsigned i = 0; i < KEPT_MAX && n < room; i++)
		if (k->list[i].value.p && k->list[i].until > clock_now())
			to[n++] = value_of(&k->list[i].value);
	return n;
}

void kept_done(struct kept *k)
{
	for (unsigned i = 0; i < KEPT_MAX; i++)
		secret_done(&k->list[i].value);
}
