/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of bounds (limits.def), as a struct with a field a key. */
#ifndef EGRET_BASE_LIMITS_H
#define EGRET_BASE_LIMITS_H

#include "base/bytes.h"

struct limits {
#define LIMIT(key, def, min, max, unit, past) uint64_t key;
#include "base/limits.def"
#undef LIMIT
};

struct limit_row {
	const char *key;
	uint64_t def, min, max;
	const char *unit, *past;
	size_t offset; /* of the field in struct limits */
};

extern const struct limit_row limit_rows[];
extern const size_t limit_rows_n;

void limits_init(struct limits *l); /* all defaults */
/* 0, -ENOENT (no such key) or -ERANGE. */
int limits_set(struct limits *l, struct str key, uint64_t value) MUST_CHECK;

#endif
