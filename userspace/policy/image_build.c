/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that grow until an image is put together, and its seal. Called by image_write.c and
 * credential_write.c. */
#include "policy/image.h"
#include "policy/sha256.h"

#include <errno.h>

void image_out_init(struct image_out *o, const size_t *records, size_t n)
{
	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < n; i++) {
		buf_init(&o->tables[i].bytes, IMAGE_SIZE_MAX);
		o->tables[i].record = records[i];
	}
	buf_init(&o->strings, IMAGE_SIZE_MAX);
}

void image_out_done(struct image_out *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_done(&o->tables[i].bytes);
	buf_done(&o->strings);
}

uint32_t image_row(struct image_out *o, unsigned table, const void *record)
{
	struct table_out *t = &o->tables[table];

	if (buf_add(&t->bytes, record, t->record) < 0)
		o->failed = true;
	return t->n++;
}

struct img_str image_str(struct image_out *o, struct str s)
{
	struct img_str at = { (uint32_t)o->strings.n, (uint32_t)s.n };

	if (s.n && buf_add_str(&o->strings, s) < 0)
		o->failed = true;
	return at;
}

void image_fors(struct image_out *o, const struct for_entry *fors, unsigned t_for, unsigned t_cond,
		unsigned t_value)
{
	for (const struct for_entry *e = fors; e; e = e->next) {
		struct img_for out = { .cond = o->tables[t_cond].n,
				       .nconds = e->nconds,
				       .assurance = (uint8_t)e->assurance,
				       .any = e->any,
				       .names_event = e->names_event };

		for (const struct for_cond *c = e->conds; c; c = c->next) {
			struct img_cond cond = { c->key, o->tables[t_value].n, c->nvalues };

			for (unsigned i = 0; i < c->nvalues; i++) {
				struct img_str v = image_str(o, c->values[i]);

				image_row(o, t_value, &v);
			}
			image_row(o, t_cond, &cond);
		}
		image_row(o, t_for, &out);
	}
}

static void digest_text(const uint8_t *p, size_t n, char to[72])
{
	const size_t from = 8 + 72;
	uint8_t raw[32];

	sha256(p + from, n - from, raw);
	memcpy(to, "sha256:", 7);
	for (unsigned i = 0; i < 32; i++) {
		to[7 + 2 * i] = "0123456789abcdef"[raw[i] >> 4];
		to[8 + 2 * i] = "0123456789abcdef"[raw[i] & 15];
	}
	to[71] = 0;
}

void image_seal(uint8_t *p, size_t n)
{
	uint32_t size = (uint32_t)n;

	memcpy(p + 4, &size, 4);
	digest_text(p, n, (char *)p + 8);
}

bool image_sealed(const uint8_t *p, size_t n)
{
	char digest[72];
	uint32_t size;

	memcpy(&size, p + 4, 4);
	if (size != n)
		return false;
	digest_text(p, n, digest);
	return memcmp(digest, p + 8, sizeof(digest)) == 0;
}

int image_finish(struct image_out *o, struct arena *a, void *head, size_t head_n,
		 struct img_table *places, size_t ntables, struct img_table *strings,
		 struct str *ret)
{
	size_t size = head_n + o->strings.n, at = head_n;
	uint8_t *p;

	for (size_t i = 0; i < ntables; i++)
		size += o->tables[i].bytes.n;
	if (o->failed || size > IMAGE_SIZE_MAX)
		return -EFBIG;
	p = arena_new(a, size);
	for (size_t i = 0; i < ntables; i++) {
		places[i] = (struct img_table){ (uint32_t)at, o->tables[i].n };
		if (o->tables[i].bytes.n)
			memcpy(p + at, o->tables[i].bytes.p, o->tables[i].bytes.n);
		at += o->tables[i].bytes.n;
	}
	*strings = (struct img_table){ (uint32_t)at, (uint32_t)o->strings.n };
	if (o->strings.n)
		memcpy(p + at, o->strings.p, o->strings.n);
	memcpy(p, head, head_n); /* places and strings may be in it */
	image_seal(p, size);
	*ret = (struct str){ (const char *)p, size };
	return 0;
}
