/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic addresses: each name the job asks for gets one slot, and with it one IPv4 and one IPv6
 * address, for as long as the job lives. Called by resolver.c (name -> address) and conn.c (address
 * -> name).
 *
 * The n-th name gets slot n. The table is a file of 256-byte entries (length, then the name) in a
 * memfd that egretd keeps, written before an address is handed out: a proxy that is started anew
 * reads what its forerunner gave, so no address ever changes its name, and an address that no entry
 * explains is refused, never guessed. Names are canonical (host_canonical).
 */
#ifndef EGRET_PROXY_NAMES_H
#define EGRET_PROXY_NAMES_H

#include "base/bytes.h"
#include "proxy/address.h"

struct names;

/* v4 and v6 say where the addresses come from: at most /24 and /96. fd: the table, or -1 to keep
 * none; taken over on success. 0, -EINVAL (ranges), -errno of reading. */
int names_new(const struct address_block *v4, const struct address_block *v6, size_t max, int fd,
	      struct names **ret) MUST_CHECK;
struct names *names_free(struct names *n); /* NULL */

/* The slot of a name, made if need be; *ret_new says so. 0; -ENOSPC: limits.names is reached;
 * -errno: it could not be written down. */
int names_add(struct names *n, struct str name, uint32_t *ret_slot, bool *ret_new) MUST_CHECK;
int names_find(const struct names *n, struct str name,
	       uint32_t *ret_slot) MUST_CHECK; /* 0 or -ENOENT */
void names_addr4(const struct names *n, uint32_t slot, uint8_t ret[4]);
void names_addr6(const struct names *n, uint32_t slot, uint8_t ret[16]);
bool names_owns(const struct names *n,
		const uint8_t addr[16]); /* in one of our ranges, handed out or not */
int names_of(const struct names *n, const uint8_t addr[16],
	     struct str *ret) MUST_CHECK; /* 0 or -ENOENT */

/* A mark on a name, kept in this process only: in audit mode its client did not trust our CA, pass
 * it next time. */
void names_mark(struct names *n, uint32_t slot);
bool names_marked(const struct names *n, uint32_t slot);

#endif
