/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a leaf certificate, written straight as DER: a tenth of the time that OpenSSL's
 * objects take. Called by leaf.c only. */
#ifndef EGRET_PROXY_LEAF_DER_H
#define EGRET_PROXY_LEAF_DER_H

#include "base/bytes.h"
#include <openssl/types.h>

struct leaf_form {
	struct str issuer;   /* the intermediate's subject, DER */
	struct str spki;     /* the leaves' public key, DER */
	struct str key_id;   /* the intermediate's subject key identifier */
	struct str name;     /* dNSName; n = 0: the address */
	const uint8_t *addr; /* 4 or 16 bytes */
	size_t addr_n;
	uint64_t not_before, not_after; /* seconds since 1970 */
	uint8_t serial[16];		/* made positive and non-zero here */
};

#define LEAF_DER_MAX 2048

/* Writes a whole certificate, signed ecdsa-with-SHA256 (P-256) or -SHA384 (other curves) by
 * `signer`, into to[LEAF_DER_MAX]. */
int leaf_der_write(const struct leaf_form *f, EVP_PKEY *signer, bool sha384, uint8_t *to,
		   size_t *ret_n) MUST_CHECK;

#endif
