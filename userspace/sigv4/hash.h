/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and HMAC for the signer's files: OpenSSL's, behind this header. */
#ifndef EGRET_SIGV4_HASH_H
#define EGRET_SIGV4_HASH_H

#include "base/bytes.h"

#define HASH_BYTES 32

struct hash;

int hash_new(struct hash **ret) MUST_CHECK; /* 0, -EIO */
void hash_add(struct hash *h, const void *p, size_t n);
int hash_end(struct hash *h, char ret_hex[2 * HASH_BYTES + 1]) MUST_CHECK; /* frees it; -EIO */
struct hash *hash_free(struct hash *h);					   /* NULL */
void hash_hex(const uint8_t bytes[HASH_BYTES], char ret[2 * HASH_BYTES + 1]);
int hmac(struct str key, struct str text, uint8_t ret[HASH_BYTES]) MUST_CHECK; /* 0, -EIO */

#endif
