/* SPDX-License-Identifier: Apache-2.0 */
/* Writing DER, as much as a truststore needs: a tag and a length before bytes that are already
 * there. */
#ifndef EGRET_BROKER_DER_H
#define EGRET_BROKER_DER_H

#include "base/bytes.h"

#define DER_INTEGER 0x02
#define DER_OCTETS 0x04
#define DER_BMP 0x1e
#define DER_SEQUENCE 0x30
#define DER_SET 0x31
#define DER_EXPLICIT0 0xa0
#define DER_HEAD_MAX 6u

/* Tag and length of n bytes, into `to`; returns how many it wrote. */
size_t der_head(uint8_t to[DER_HEAD_MAX], uint8_t tag, size_t n);
/* Appends tag, length and bytes. */
int der_add(struct buf *b, uint8_t tag, struct str bytes) MUST_CHECK;
/* Puts tag and length before everything in b. */
int der_wrap(struct buf *b, uint8_t tag) MUST_CHECK;

#endif
