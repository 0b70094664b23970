/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job trusts: the system's roots and the job's own, as one PEM file and as a PKCS#12
 * truststore for Java (password "changeit", every entry a trustedCertEntry). The system's part is
 * made once; a job adds only its root.
 */
#ifndef EGRET_BROKER_BUNDLE_H
#define EGRET_BROKER_BUNDLE_H

#include "base/bytes.h"

struct bundle {
	struct buf pem;	 /* the roots as they were given */
	struct buf safe; /* the same as one ContentInfo of certificate bags, DER */
	uint8_t mac_key[20];
	unsigned roots;
};

#define BUNDLE_BYTES_MAX (32u << 20)

void bundle_init(struct bundle *b);
/* Adds one PEM file's content. 0 or -errno with a sentence. What is no certificate in it is passed
 * over, as OpenSSL does. */
int bundle_add(struct bundle *b, struct str pem, char *why, size_t size) MUST_CHECK;
int bundle_ready(struct bundle *b) MUST_CHECK; /* after the last bundle_add */
/* PKCS#12 parts that follow one another: *ret_head (owned by the caller's buf) then b->safe then
 * *ret_tail. */
int bundle_p12(const struct bundle *b, struct str root_der, struct buf *ret_head,
	       struct buf *ret_tail) MUST_CHECK;
void bundle_done(struct bundle *b);

#endif
