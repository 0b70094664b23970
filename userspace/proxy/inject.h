/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A credential's value put into a request's head, by the bindings of policy/credential.h, and what
 * the client sent in those places taken out. The formed value lives in locked memory until
 * inject_done.
 */
#ifndef EGRET_PROXY_INJECT_H
#define EGRET_PROXY_INJECT_H

#include "base/secret.h"
#include "http/head.h"
#include "policy/credential.h"

#define INJECT_MAX 8

struct inject {
	struct secret values[INJECT_MAX];
	size_t n;
};

/* Could something of the credential stand in this request: a header or Basic binding for the host,
 * or its placeholder where a binding looks for it? */
bool inject_wanted(const struct credential *c, struct str host, const struct head *h);
/* Is it a placeholder of the credential that makes it wanted? */
bool inject_has_placeholder(const struct credential *c, struct str host, const struct head *h);
/* Drops the client's own authorization, and every header that a binding of this credential names
 * for the host, unless its placeholder stands there. */
void inject_strip(const struct credential *c, struct str host, struct head *h);
/* 0; -EINVAL: the formed value cannot stand in a header; -ENOMEM: no locked memory. */
int inject_put(const struct credential *c, struct str host, struct str value, struct head *h,
	       struct arena *a, struct inject *to) MUST_CHECK;
void inject_done(struct inject *i);

#endif
