/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: AES-256-GCM with a fresh random nonce, bound to the bytes that say what is sealed. A box
 * is nonce (12), ciphertext, tag (16). Keys and opened values are secrets (base/secret.h).
 */
#ifndef EGRET_BROKER_SEAL_H
#define EGRET_BROKER_SEAL_H

#include "base/secret.h"

#define SEAL_KEY 32u
#define SEAL_NONCE 12u
#define SEAL_TAG 16u
#define SEAL_OVER (SEAL_NONCE + SEAL_TAG)

/* Seals value with a fresh data key that is wrapped by `key`: wrapped key box, then value box. */
#define SEAL_WRAPPED (SEAL_KEY + SEAL_OVER)
#define SEAL_ENVELOPE_OVER (SEAL_WRAPPED + SEAL_OVER)

/* HKDF-SHA256 of a master key: one key a purpose. 0 or -EIO, -ENOMEM. */
int seal_derive(const struct secret *master, const char *purpose, struct secret *ret) MUST_CHECK;

/* to has room for n + SEAL_OVER bytes. 0 or -EIO. */
int seal_box(const struct secret *key, struct str aad, const void *p, size_t n,
	     uint8_t *to) MUST_CHECK;
/* 0, -EBADMSG (key, bytes or what they are bound to differ), -ENOMEM, -EIO. */
int seal_open(const struct secret *key, struct str aad, const uint8_t *box, size_t n,
	      struct secret *ret) MUST_CHECK;

/* The same with a data key between: to has room for n + SEAL_ENVELOPE_OVER bytes. */
int seal_envelope(const struct secret *key, struct str aad, const void *p, size_t n,
		  uint8_t *to) MUST_CHECK;
int seal_envelope_open(const struct secret *key, struct str aad, const uint8_t *box, size_t n,
		       struct secret *ret) MUST_CHECK;

/* The data key of an envelope in another key's wrap; the value's own box stays. 1; 0: it is in
 * key's already; -EBADMSG: in neither's. */
int seal_rewrap(const struct secret *key, const struct secret *old, struct str aad,
		uint8_t box[SEAL_WRAPPED]) MUST_CHECK;

/* Makes libcrypto wipe what it frees and read no configuration file. First thing in main(). */
void seal_init(void);

#endif
