/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a credential's value comes from: a row a provider. A provider that speaks to a network does
 * so in a child of the broker (promise P4); `store` reads the sealed store in place.
 */
#ifndef EGRET_BROKER_PROVIDER_H
#define EGRET_BROKER_PROVIDER_H

#include "broker/broker.h"
#include "policy/credential.h"

struct provider_row {
	enum provider id;
	const char *name;
	/* 0, *ret_value and *ret_expires_us (wall; 0: never); or -errno with a sentence that begins
	 * with the provider's name. */
	int (*get)(struct broker *b, const struct credential *c, struct secret *ret_value,
		   uint64_t *ret_expires_us, char *why, size_t size);
};

extern const struct provider_row provider_rows[];
extern const size_t provider_rows_n;

const struct provider_row *provider_find(enum provider id); /* NULL: not known to this broker */

int provider_store_get(struct broker *b, const struct credential *c, struct secret *ret_value,
		       uint64_t *ret_expires_us, char *why, size_t size) MUST_CHECK;

#endif
