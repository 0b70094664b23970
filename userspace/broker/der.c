/* SPDX-License-Identifier: Apache-2.0 */
/* DER heads for bundle.c; definite lengths up to 4 GiB. It reads nothing. */
#include "broker/der.h"

size_t der_head(uint8_t to[DER_HEAD_MAX], uint8_t tag, size_t n)
{
	unsigned bytes = 1;

	to[0] = tag;
	if (n < 0x80) {
		to[1] = (uint8_t)n;
		return 2;
	}
	while (bytes < 4 && n >> (8 * bytes))
		bytes++;
	to[1] = (uint8_t)(0x80 | bytes);
	for (unsigned i = 0; i < bytes; i++)
		to[2 + i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
	return 2 + bytes;
}

int der_add(struct buf *b, uint8_t tag, struct str bytes)
{
	uint8_t head[DER_HEAD_MAX];
	size_t n = der_head(head, tag, bytes.n);
	int r = buf_reserve(b, n + bytes.n);

	if (r == 0)
		r = buf_add(b, head, n);
	return r < 0 ? r : buf_add_str(b, bytes);
}

int der_wrap(struct buf *b, uint8_t tag)
{
	uint8_t head[DER_HEAD_MAX];
	size_t n = der_head(head, tag, b->n);
	int r = buf_reserve(b, n);

	if (r < 0)
		return r;
	if (b->n)
		memmove(b->p + n, b->p, b->n);
	memcpy(b->p, head, n);
	b->n += n;
	return 0;
}
