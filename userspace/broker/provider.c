/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of providers, and the one that needs no child: `store`. lease.c calls it with a
 * credential image that was checked when the job was opened.
 */
#include "broker/provider.h"

#include "base/clock.h"
#include <errno.h>
#include <stdio.h>

const struct provider_row provider_rows[] = {
	{ PROVIDER_STORE, "store", provider_store_get },
};
const size_t provider_rows_n = ARRAY_SIZE(provider_rows);

const struct provider_row *provider_find(enum provider id)
{
	for (size_t i = 0; i < provider_rows_n; i++)
		if (provider_rows[i].id == id)
			return &provider_rows[i];
	return NULL;
}

int provider_store_get(struct broker *b, const struct credential *c, struct secret *ret_value,
		       uint64_t *ret_expires_us, char *why, size_t size)
{
	uint64_t ttl_ms = credential_ttl_ms(c);
	struct str from = credential_param(c, PARAM_VALUE);
	int r;

	if (!str_starts(from, "store:")) {
		snprintf(why, size, "store: the credential names no secret of the store");
		return -EBADMSG;
	}
	r = store_get(&b->store, (struct str){ from.p + 6, from.n - 6 }, ret_value, why, size);

	if (r < 0)
		return r;
	/* The value itself does not end; a ttl makes the proxy ask again, so that a secret set anew
	 * is found. */
	*ret_expires_us = 0;
	if (ttl_ms && ttl_ms < UINT64_MAX / 2000)
		*ret_expires_us = clock_wall_us() + ttl_ms * 1000;
	return 0;
}
