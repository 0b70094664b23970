/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an issuer's key set is believed, and how often it is asked for. The issuer's server says
 * it (Cache-Control), within bounds: a key that was withdrawn is believed for an hour at most, and
 * nobody who shows tokens of keys that are not there makes egretd ask more than once a minute.
 * Called by identity.c. The time that is said is hostile.
 */
#ifndef EGRET_EGRETD_KEYCACHE_H
#define EGRET_EGRETD_KEYCACHE_H

#include <stdbool.h>
#include <stdint.h>

#define KEYCACHE_LEAST_MS 60000	 /* also when it says not to keep them */
#define KEYCACHE_USUAL_MS 600000 /* it says nothing */
#define KEYCACHE_MOST_MS 3600000
#define KEYCACHE_AGAIN_MS 60000 /* between two questions while there are keys */
#define KEYCACHE_UNSAID UINT64_MAX

struct keycache {
	bool have, asked;
	int fd;		   /* sealed memfd, owned: the key set as it came, unread */
	uint64_t until;	   /* clock_now() */
	uint64_t asked_at; /* the last question, whatever came of it */
};

/* In place of what there was; fd is the cache's now. */
void keycache_put(struct keycache *k, int fd, uint64_t said_ms, uint64_t now);
/* The keys, while they are good; else -1, and what there was is gone. */
int keycache_get(struct keycache *k, uint64_t now);
/* May the issuer be asked? If so it counts as asked. */
bool keycache_ask(struct keycache *k, uint64_t now);
void keycache_done(struct keycache *k);

#endif
