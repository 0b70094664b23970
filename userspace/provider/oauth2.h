/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OAuth 2.0 family: client_credentials (RFC 6749), token exchange (RFC 8693), JWT bearer (RFC
 * 7523), revocation (RFC 7009), metadata (RFC 8414). In three files: what is asked (oauth2_ask.c),
 * where (oauth2_find.c), and what an answer means (oauth2.c).
 */
#ifndef EGRET_PROVIDER_OAUTH2_H
#define EGRET_PROVIDER_OAUTH2_H

#include "provider/http.h"

struct oauth2_ends {
	struct str token, revoke; /* addresses; revoke.n = 0: there is none */
	struct str audience;	  /* whom our assertions are for */
};

/* From token_url and revoke_url, or from the issuer's metadata. 0 or -errno with the sentence. */
int oauth2_find(struct question *q, struct oauth2_ends *ret) MUST_CHECK;
/* What was asked there came to this status; 0: to nothing. Where it was not the place, the issuer
 * is asked anew the next time. */
void oauth2_looked(long status);
/* The same from a document: pure. mtls: its mtls_endpoint_aliases come first (RFC 8705 5). */
int oauth2_metadata(struct question *q, const struct node *document, bool mtls,
		    struct oauth2_ends *ret) MUST_CHECK;

/* Requests, whole. 0 or -errno with the sentence. */
int oauth2_ask_token(struct question *q, const struct oauth2_ends *ends,
		     struct http_ask *ret) MUST_CHECK;
int oauth2_ask_revoke(struct question *q, const struct oauth2_ends *ends,
		      struct http_ask *ret) MUST_CHECK;

/* A token's answer: 0 with value and expiry, or -errno with the sentence. Pure. */
int oauth2_answer(struct question *q, const struct http_ask *ask, const struct http_answer *got,
		  struct answer *ret) MUST_CHECK;

#endif
