// SPDX-License-Identifier: Apache-2.0
/*
 * Is this a record? The gate between a ring's bytes (a proxy that may be taken over wrote them) and
 * everything behind: called by ring_read and by the audit process for MSG_EVENT, on a private copy.
 * After it, event_walk cannot run past the end, every number is known, every text is UTF-8 without
 * NUL, and no field comes twice.
 */
#include "event/ring.h"
#include "event/rows.h"
#include <errno.h>

static bool text_ok(const uint8_t *p, size_t n)
{
	size_t at = 0;

	while (at < n) {
		unsigned len = utf8_sequence(p + at, n - at);

		if (!len)
			return false;
		at += len;
	}
	return true;
}

static bool value_ok(const struct field_row *row, const uint8_t *p, size_t n)
{
	switch (row->kind) {
	case FIELD_IS_TEXT:
	case FIELD_IS_DIGEST:
		return n <= row->max && text_ok(p, n);
	case FIELD_IS_NUM:
		return n == 8;
	case FIELD_IS_BOOL:
		return n == 8 && load_le64(p) <= 1;
	case FIELD_IS_ADDR:
		return n == 16;
	}
	return false;
}

int event_check(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	bool seen[FIELDS_END] = { false };
	size_t at = EVENT_HEAD_SIZE;
	unsigned count, kind, reason;

	if (n < EVENT_HEAD_SIZE || n > EVENT_SIZE_MAX)
		return -EBADMSG;
	kind = load_le16(p);
	reason = load_le16(p + 4);
	if (!kind || kind >= EVENT_KINDS_END || p[2] > VERDICT_WOULD_DENY || p[3] ||
	    reason >= REASONS_END)
		return -EBADMSG;
	for (count = load_le16(p + 6); count; count--) {
		unsigned f, len;

		if (n - at < EVENT_FIELD_HEAD)
			return -EBADMSG;
		f = load_le16(p + at);
		len = load_le16(p + at + 2);
		at += EVENT_FIELD_HEAD;
		if (!f || f >= FIELDS_END || seen[f] || len > n - at ||
		    !value_ok(&field_rows[f], p + at, len))
			return -EBADMSG;
		seen[f] = true;
		at += len;
	}
	return at == n ? 0 : -EBADMSG;
}
