/* SPDX-License-Identifier: Apache-2.0 */
/* config.v2.json, a NUL byte, hostconfig.json: what a container is to egret. What is read must keep
 * the bounds of its message. */
#include <stdlib.h>

#include "compile/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void walk(const struct container_list *l, size_t max)
{
	if (l->n > ARRAY_SIZE(l->at))
		abort();
	for (unsigned i = 0; i < l->n; i++)
		for (size_t k = 0; k < l->at[i].n; k++)
			if ((unsigned char)l->at[i].p[k] < ' ' || l->at[i].n > max)
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *nul = n ? memchr(data, 0, n) : NULL;
	struct str config = { (const char *)data, nul ? (size_t)(nul - data) : n };
	struct str host = { nul ? (const char *)nul + 1 : "", nul ? n - config.n - 1 : 0 };
	struct container_facts facts;
	struct arena arena;
	char why[256] = "";

	arena_init(&arena, CONTAINER_ARENA_MAX);
	if (container_read(&arena, config, host, &facts, why, sizeof(why)) == 0) {
		walk(&facts.labels, PROTO_NAME_MAX + CONTAINER_TEXT_MAX + 1);
		walk(&facts.networks, PROTO_NAME_MAX);
		walk(&facts.aliases, PROTO_NAME_MAX);
		walk(&facts.ports, 16);
	} else if (!why[0]) {
		abort(); /* refused, and nothing said */
	}
	arena_done(&arena);
	return 0;
}
