/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed store: one file a secret, NAME.sealed, in a folder that only the broker's uid may
 * enter.
 *
 *   "egretSS1"  le32 form (1)  le32 length of the value  le64 time (wall, us)  envelope (seal.h)
 *
 * The head and the name are bound to the envelope: a file renamed, cut or mixed from two is
 * refused. A file is written whole beside its place, synced, renamed, and the folder synced: a
 * crash leaves the old secret or the new.
 */
#ifndef EGRET_BROKER_STORE_H
#define EGRET_BROKER_STORE_H

#include "base/secret.h"
#include "base/storekey.h"

#define STORE_SECRETS_MAX 4096u

struct store {
	int dir;	   /* owned; -1: this broker has none */
	struct secret key; /* wraps the data keys */
	struct secret old; /* of what is not in key's wrap yet (rekey.c); no bytes: none */
};

struct store_entry {
	char name[STORE_NAME_MAX + 1];
	uint64_t time_us;
	uint64_t size;
};

/* All: 0, or -errno with a sentence in why. -ENOENT: no such secret; -EBADMSG: the file is damaged
 * or of another key. */
int store_put(struct store *s, struct str name, const void *value, size_t n, char *why,
	      size_t size) MUST_CHECK;
int store_get(struct store *s, struct str name, struct secret *ret, char *why,
	      size_t size) MUST_CHECK;
int store_remove(struct store *s, struct str name, char *why, size_t size) MUST_CHECK;
/* By name. Free *ret with free(). Files that are no secrets are left out; damaged ones have size 0
 * and time 0. */
int store_list(struct store *s, struct store_entry **ret, size_t *ret_n, char *why,
	       size_t size) MUST_CHECK;
/* Into key's wrap: 1; 0: it was, or is not there; -errno as above. */
int store_rewrap(struct store *s, struct str name, char *why, size_t size) MUST_CHECK;
void store_done(struct store *s);

#endif
