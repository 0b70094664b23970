/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A credential's value put into a request, by the bindings of policy/credential.h, and what the
 * client sent in those places taken out. The formed values live in locked memory until inject_done;
 * those that a lease alone decides as long as the lease.
 */
#ifndef EGRET_PROXY_INJECT_H
#define EGRET_PROXY_INJECT_H

#include "base/secret.h"
#include "http/head.h"
#include "policy/credential.h"

#define INJECT_MAX 16

/* Of a lease, by the place of the binding in its credential: values that nothing else decides (a
 * header's, Basic), formed when they are first sent. Who has the lease wipes them with it. */
struct formed {
	struct secret values[INJECT_MAX];
};

struct inject {
	struct secret values[INJECT_MAX];
	size_t n;
	struct formed *formed; /* of the lease whose value is put in; NULL: formed for this once */
};

enum carrier_body { CARRIER_NONE, CARRIER_JSON, CARRIER_FORM };

/* What of a request a credential can stand in. */
struct carrier {
	struct head *head;
	struct arena *arena;
	struct str target; /* path and query, as they are sent */
	enum carrier_body kind;
	struct str body; /* read whole; n = 0: it was not */
	struct str held; /* a header in which something stands that no binding replaces; or n = 0 */
	struct str *parts; /* of the body to be sent, where a value was put into it */
	size_t nparts, length;
};

/* Could something of the credential stand in this request: a binding for the host that sets a
 * place, or its placeholder where a binding looks for it? */
bool inject_wanted(const struct credential *c, struct str host, const struct carrier *k);
/* Is it a placeholder of the credential that makes it wanted? */
bool inject_has_placeholder(const struct credential *c, struct str host, const struct carrier *k);
/* Drops the client's own authorization, and every header and query key that a binding of this
 * credential names for the host, unless its placeholder stands there or it is held. */
void inject_strip(const struct credential *c, struct str host, struct carrier *k);
/* 0; -EINVAL: the formed value cannot stand in its place; -ENOMEM: no locked memory, or more places
 * than INJECT_MAX. */
int inject_put(const struct credential *c, struct str host, struct str value, struct carrier *k,
	       struct inject *to) MUST_CHECK;
void inject_done(struct inject *i);
void formed_done(struct formed *f);

/* Which of the two that are looked into the head says its body is. */
enum carrier_body carrier_body(const struct head *h);
/* Does a binding for the host look for a placeholder in such a body? */
bool inject_reads_body(const struct credential *c, struct str host, enum carrier_body kind);
/* A placeholder stands in the body and could be read in two ways: why, in words. NULL: no. */
const char *inject_body_doubt(const struct credential *c, struct str host, const struct carrier *k);

/* For the files of inject*.c and derived.c. Every `what` in s becomes `by`, in locked memory. */
int inject_swap(struct str s, struct str what, struct str by, struct secret *ret) MUST_CHECK;
bool inject_basic(struct str header,
		  struct secret *ret); /* what "Basic ..." says; false: it is none */
int inject_basic_form(struct str plain, struct secret *ret) MUST_CHECK;
int inject_encode(struct str s, struct secret *ret) MUST_CHECK; /* percent-encoded */
int inject_keep(struct inject *to, struct secret s, struct str *ret) MUST_CHECK;
bool inject_in_query(struct str target, struct str name, struct str placeholder);
/* The target without the fields of this name; those that hold `mark` stay if it is given. */
struct str inject_query_strip(struct str target, struct str name, struct str mark, struct arena *a);
int inject_query_set(struct str target, struct str name, struct str value,
		     struct secret *ret) MUST_CHECK;
int inject_query_swap(struct str target, struct str name, struct str what, struct str by,
		      struct secret *ret) MUST_CHECK;
bool inject_in_body(const struct credential *c, struct str host, const struct carrier *k);
int inject_body_swap(const struct credential *c, struct str host, struct str value,
		     struct carrier *k, struct inject *to) MUST_CHECK;

#endif
