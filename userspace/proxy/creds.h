/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's side of credentials: asks the broker once a credential, keeps the value in locked
 * memory until it expires. */
#ifndef EGRET_PROXY_CREDS_H
#define EGRET_PROXY_CREDS_H

#include "base/secret.h"
#include "proxy/clientcert.h"
#include "proxy/inject.h"
#include "proxy/proxy.h"
#include "proxy/scrub.h"

#define LEASE_ID_MAX 63

struct lease {
	struct credential cred;
	/* Of a scope its signing key; n = 0 for who shows a certificate. */
	struct secret value;
	struct secret access_key, session; /* of a scope */
	struct client_cert *cert;	   /* or NULL */
	struct formed *formed;		   /* of value */
	char id[LEASE_ID_MAX + 1];
	struct event_part said; /* what events say of it */
	uint64_t expires_us;	/* wall; 0: never */
	bool is_static;
};

/* Exactly one call, never from inside creds_get: the lease (borrowed, good until the loop turns),
 * or NULL and a sentence. */
typedef void (*creds_fn)(void *owner, const struct lease *l, const char *fault);
struct creds_want;
int creds_new(struct proxy *px, struct pack creds, struct credentials **ret) MUST_CHECK;
/* What these need of those that were in force until now, whose credentials may be others: the
 * values to search for and what origins handed out, of each credential that is the same still.
 * Either may be NULL. */
void creds_adopt(struct credentials *c, struct credentials *before);
/* From now on what the broker says is heard, also unasked. 0 or -errno. Accepts NULL. */
int creds_listen(struct credentials *c) MUST_CHECK;
/* px->broker is another socket now: the broker was started anew. Accepts NULL. */
void creds_broker_changed(struct credentials *c);
void creds_free(struct credentials *c);
/* Index of the credential with this name, or -1. */
int creds_find(const struct credentials *c, struct str name);
struct credential creds_at(const struct credentials *c, int index);
int creds_count(const struct credentials *c);
/* A request with it goes out: told to the broker, soon and together. */
void creds_used(struct proxy *px, int index);
/* scope: of a credential that signs ("20261122/eu-west-1/s3"), else n = 0. */
struct creds_want *creds_get_scope(struct proxy *px, int index, struct str scope, creds_fn fn,
				   void *owner);
static inline struct creds_want *creds_get(struct proxy *px, int index, creds_fn fn, void *owner)
{
	return creds_get_scope(px, index, STR(""), fn, owner);
}
void creds_cancel(struct creds_want *w);
/* A request goes out with what there is: when that has little left the next one is asked for. */
void creds_ahead(struct proxy *px, int index, struct str scope);
/* The lease there is at this moment, good until the loop turns, or NULL: for who was told by
 * creds_get and now writes. */
const struct lease *creds_now_scope(const struct credentials *c, int index, struct str scope);
static inline const struct lease *creds_now(const struct credentials *c, int index)
{
	return creds_now_scope(c, index, STR(""));
}
/* Do all credentials with a value that could come back from this host let answers pass that cannot
 * be searched? */
bool creds_opaque(const struct credentials *c, struct str host);
/* What origins handed out to who came with one of these. */
struct derived;
struct derived *creds_derived(const struct credentials *c);
/* What of the values leased by now must not come back from this host; expired ones too, since a
 * value that left this proxy may come back at any time. Held for the caller (scrub_free); NULL when
 * nothing was ever leased. 0, -ENOMEM. */
int creds_scrub(struct credentials *c, struct str host, struct scrub **ret) MUST_CHECK;

#endif
