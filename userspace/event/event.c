// SPDX-License-Identifier: Apache-2.0
/*
 * Builds one record on the stack (event/event.h has the form). Called by the proxy, egretd and the
 * broker. The texts come from anywhere: a byte that is no UTF-8, or NUL, becomes U+FFFD here, so
 * that a record built here always passes event_check.
 */
#include "event/rows.h"
#include "base/clock.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define REPLACEMENT_N 3
#define CUT "..."
#define CUT_N 3

void event_begin(struct event *e, enum event_kind kind, enum event_verdict verdict,
		 enum reason reason)
{
	memset(e->bytes, 0, EVENT_HEAD_SIZE);
	store_le16(e->bytes, (uint16_t)kind);
	e->bytes[2] = (uint8_t)verdict;
	store_le16(e->bytes + 4, (uint16_t)reason);
	store_le64(e->bytes + 8, clock_wall_us());
	e->n = EVENT_HEAD_SIZE;
	e->fields = 0;
	e->has = 0;
}

_Static_assert(FIELDS_END <= 64, "struct event has a bit for each field");

/* A field twice would be a key twice in the stream: the first stands. */
static uint8_t *field_begin(struct event *e, enum event_field f, size_t most)
{
	if (e->n + EVENT_FIELD_HEAD + most > EVENT_SIZE_MAX || e->has & 1ull << f)
		return NULL;
	return e->bytes + e->n + EVENT_FIELD_HEAD;
}

static void field_end(struct event *e, enum event_field f, size_t n)
{
	store_le16(e->bytes + e->n, (uint16_t)f);
	store_le16(e->bytes + e->n + 2, (uint16_t)n);
	e->n += EVENT_FIELD_HEAD + n;
	e->has |= 1ull << f;
	e->fields++;
	store_le16(e->bytes + 6, e->fields);
}

unsigned utf8_sequence(const uint8_t *p, size_t n)
{
	uint32_t code;
	unsigned len, i;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (!n || !p[0])
		return 0;
	if (p[0] < 0x80)
		return 1;
	if ((p[0] & 0xe0) == 0xc0)
		len = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		len = 3;
	else if ((p[0] & 0xf8) == 0xf0)
		len = 4;
	else
		return 0;
	if (len > n)
		return 0;
	code = p[0] & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return len;
}

/* Nothing to replace: ASCII without a NUL, which nearly all texts are. Eight bytes a step. */
static bool is_plain(const uint8_t *p, size_t n)
{
	const uint64_t high = 0x8080808080808080u, ones = 0x0101010101010101u;
	uint64_t w, bad = 0;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&w, p, 8);
		bad |= w | (w - ones);
	}
	for (; n; p++, n--)
		bad |= *p | (uint64_t)(*p - 1);
	return !(bad & high);
}

/* How long the text is once every bad byte is replaced; stops counting past `enough`. */
static size_t clean_length(const uint8_t *p, size_t n, size_t enough)
{
	size_t at = 0, out = 0;

	while (at < n && out <= enough) {
		unsigned len = utf8_sequence(p + at, n - at);

		out += len ? len : REPLACEMENT_N;
		at += len ? len : 1;
	}
	return out;
}

void event_text(struct event *e, enum event_field f, struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t max, room, need, at = 0, n = 0;
	bool cut;
	uint8_t *to;

	if (!f || f >= FIELDS_END ||
	    (field_rows[f].kind != FIELD_IS_TEXT && field_rows[f].kind != FIELD_IS_DIGEST))
		die("event: field %d is not a text", (int)f);
	max = field_rows[f].max;
	if (s.n <= max && is_plain(p, s.n)) {
		to = field_begin(e, f, s.n);
		if (!to)
			return;
		if (s.n)
			memcpy(to, p, s.n);
		field_end(e, f, s.n);
		return;
	}
	need = clean_length(p, s.n, max);
	cut = need > max;
	to = field_begin(e, f, cut ? max : need);
	if (!to)
		return;
	room = cut ? max - CUT_N : max;
	while (at < s.n) {
		unsigned len = utf8_sequence(p + at, s.n - at), out = len ? len : REPLACEMENT_N;

		if (n + out > room)
			break;
		memcpy(to + n, len ? p + at : (const uint8_t *)REPLACEMENT, out);
		n += out;
		at += len ? len : 1;
	}
	if (cut) {
		memcpy(to + n, CUT, CUT_N);
		n += CUT_N;
	}
	field_end(e, f, n);
}

void event_num(struct event *e, enum event_field f, uint64_t v)
{
	uint8_t *to;

	if (!f || f >= FIELDS_END ||
	    (field_rows[f].kind != FIELD_IS_NUM && field_rows[f].kind != FIELD_IS_BOOL))
		die("event: field %d is not a number", (int)f);
	to = field_begin(e, f, 8);
	if (!to)
		return;
	store_le64(to, field_rows[f].kind == FIELD_IS_BOOL ? !!v : v);
	field_end(e, f, 8);
}

void event_addr(struct event *e, enum event_field f, const uint8_t addr[16])
{
	uint8_t *to;

	if (!f || f >= FIELDS_END || field_rows[f].kind != FIELD_IS_ADDR)
		die("event: field %d is not an address", (int)f);
	to = field_begin(e, f, 16);
	if (!to)
		return;
	memcpy(to, addr, 16);
	field_end(e, f, 16);
}

void event_part_of(const struct event *e, struct event_part *ret)
{
	size_t n = e->n - EVENT_HEAD_SIZE;

	if (n > EVENT_PART_MAX)
		die("event: a part of %zu bytes", n);
	ret->has = e->has;
	ret->n = (uint16_t)n;
	ret->fields = e->fields;
	memcpy(ret->bytes, e->bytes + EVENT_HEAD_SIZE, n);
}

void event_put(struct event *e, const struct event_part *p)
{
	if (e->n + p->n > EVENT_SIZE_MAX || e->has & p->has)
		return;
	memcpy(e->bytes + e->n, p->bytes, p->n);
	e->n += p->n;
	e->has |= p->has;
	e->fields = (uint16_t)(e->fields + p->fields);
	store_le16(e->bytes + 6, e->fields);
}

bool event_walk(const struct event *e, size_t *at, struct event_item *ret)
{
	const uint8_t *p;

	if (!*at)
		*at = EVENT_HEAD_SIZE;
	if (*at + EVENT_FIELD_HEAD > e->n)
		return false;
	p = e->bytes + *at;
	ret->field = (enum event_field)load_le16(p);
	ret->n = load_le16(p + 2);
	ret->p = p + EVENT_FIELD_HEAD;
	*at += EVENT_FIELD_HEAD + (size_t)ret->n;
	return true;
}
