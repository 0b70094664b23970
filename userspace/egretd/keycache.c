/* SPDX-License-Identifier: Apache-2.0 */
/* See keycache.h. */
#include "egretd/keycache.h"

#include <unistd.h>

static void forget(struct keycache *k)
{
	if (k->have)
		close(k->fd);
	k->have = false;
}

void keycache_put(struct keycache *k, int fd, uint64_t said_ms, uint64_t now)
{
	uint64_t ms = said_ms == KEYCACHE_UNSAID ? KEYCACHE_USUAL_MS : said_ms;

	if (ms < KEYCACHE_LEAST_MS)
		ms = KEYCACHE_LEAST_MS;
	if (ms > KEYCACHE_MOST_MS)
		ms = KEYCACHE_MOST_MS;
	forget(k);
	k->have = true;
	k->fd = fd;
	k->until = now + ms;
}

int keycache_get(struct keycache *k, uint64_t now)
{
	if (k->have && now >= k->until)
		forget(k);
	return k->have ? k->fd : -1;
}

bool keycache_ask(struct keycache *k, uint64_t now)
{
	/* Without keys each question may be the one that brings them. */
	if (keycache_get(k, now) >= 0 && k->asked && now - k->asked_at < KEYCACHE_AGAIN_MS)
		return false;
	k->asked = true;
	k->asked_at = now;
	return true;
}

void keycache_done(struct keycache *k)
{
	forget(k);
	*k = (struct keycache){ 0 };
}
