/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of bounds as data: rows for documentation and configuration, defaults, and the one
 * setter that holds a value against its row. egretd sets them from the configuration, the proxy
 * from MSG_PROXY_START.
 */
#include "base/limits.h"

#include <errno.h>

const struct limit_row limit_rows[] = {
#define LIMIT(key, def, min, max, unit, past) \
	{ #key, def, min, max, unit, past, offsetof(struct limits, key) },
#include "base/limits.def"
#undef LIMIT
};
const size_t limit_rows_n = ARRAY_SIZE(limit_rows);

static uint64_t *field(struct limits *l, const struct limit_row *row)
{
	return (uint64_t *)(void *)((char *)l + row->offset);
}

void limits_init(struct limits *l)
{
	for (size_t i = 0; i < limit_rows_n; i++)
		*field(l, &limit_rows[i]) = limit_rows[i].def;
}

int limits_set(struct limits *l, struct str key, uint64_t value)
{
	for (size_t i = 0; i < limit_rows_n; i++) {
		const struct limit_row *row = &limit_rows[i];

		if (!str_is(key, row->key))
			continue;
		if (value < row->min || value > row->max)
			return -ERANGE;
		*field(l, row) = value;
		return 0;
	}
	return -ENOENT;
}
