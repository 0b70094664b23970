/* SPDX-License-Identifier: Apache-2.0 */
/* See scrubs.h. Called by creds.c; hosts are canonical. */
#include "proxy/scrubs.h"

struct scrub *scrubs_find(const struct scrubs *s, struct str host)
{
	for (unsigned i = 0; i < SCRUBS; i++)
		if (s->list[i] && str_is(host, s->hosts[i]))
			return s->list[i];
	return NULL;
}

void scrubs_put(struct scrubs *s, struct str host, struct scrub *made)
{
	unsigned at = s->next++ % SCRUBS;

	scrub_free(s->list[at]);
	s->list[at] = made;
	memcpy(s->hosts[at], host.p, host.n);
	s->hosts[at][host.n] = 0;
}

void scrubs_forget(struct scrubs *s)
{
	for (unsigned i = 0; i < SCRUBS; i++)
		s->list[i] = scrub_free(s->list[i]);
}
