/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A credential's definition as jobs share it: its image, known by its digest. It outlives the jobs
 * while a lease of it is owed a revocation. Images come from egret-compile (MSG_JOB_OPEN) and from
 * the journal of leases; each is opened, which checks it, before it stands here.
 */
#ifndef EGRET_BROKER_DEFINITION_H
#define EGRET_BROKER_DEFINITION_H

#include "broker/helper.h"
#include "policy/credential.h"

struct definition {
	struct definition *next;
	unsigned refs;
	unsigned jobs; /* that have it, by job.c */
	char *bytes;   /* owned: the image */
	size_t n;
	struct credential cred;
	uint8_t key[HELPER_KEY];
	bool journalled; /* its image is in the journal's file */
};

/* The one there is, or a new one; with one more reference. NULL: the image is none. */
struct definition *definition_get(struct broker *b, struct str image);
struct definition *definition_hold(struct definition *d);
void definition_put(struct broker *b, struct definition *d); /* accepts NULL */

/* Its value lies on this host (store, file, mtls): no process is asked. */
bool definition_local(const struct definition *d);
/* Then: the value, and for mtls the certificate (PEM). 0 or -errno and a sentence that begins with
 * the provider's name. */
int definition_value(struct broker *b, const struct definition *d, struct secret *ret_value,
		     struct secret *ret_cert, char *why, size_t size) MUST_CHECK;
/* Else: NAME, KIND, PARAM*, SECRET* of a question. 0 or -errno and a sentence. */
int definition_put_question(struct broker *b, const struct definition *d, struct msg_out *m,
			    char *why, size_t size) MUST_CHECK;
uint32_t definition_ask_ms(const struct definition *d); /* a question's time */
const char *definition_provider(const struct definition *d);

#endif
