/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4) over an image, for its digest. Our own, because the compiler and the matcher
 * run where no library may open its configuration; nothing secret is hashed with it.
 */
#ifndef EGRET_POLICY_SHA256_H
#define EGRET_POLICY_SHA256_H

#include "base/bytes.h"

void sha256(const void *p, size_t n, uint8_t to[32]);

#endif
