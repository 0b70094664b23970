/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files and numbers in them, for what lies sealed on disk: store, journal, the root. */
#ifndef EGRET_BROKER_DISK_H
#define EGRET_BROKER_DISK_H

#include "base/bytes.h"

/* All of a regular file from its beginning; *ret is owned. 0; -EBADMSG: no such file; -EMSGSIZE:
 * larger than max; -errno. */
int disk_read(int fd, size_t max, char **ret, size_t *ret_n) MUST_CHECK;
int disk_write(int fd, const void *p, size_t n) MUST_CHECK; /* all of it: 0, -errno */

/* Numbers of n bytes, the least first. */
static inline void le_set(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t le_get(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

#endif
