/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables behind event/event.h, and a record's bytes: for the files of this folder and for the
 * audit process, not for those who only build events. Nothing here checks: event_walk is for
 * records that event_check passed (or that event_* built).
 */
#ifndef EGRET_EVENT_ROWS_H
#define EGRET_EVENT_ROWS_H

#include "event/event.h"
#include <endian.h>

#define EVENT_HEAD_SIZE 16
#define EVENT_FIELD_HEAD 4

enum field_kind { FIELD_IS_TEXT = 1, FIELD_IS_NUM, FIELD_IS_BOOL, FIELD_IS_ADDR, FIELD_IS_DIGEST };

struct field_row {
	const char *path; /* "dest.host" */
	enum field_kind kind;
	uint16_t max; /* bytes */
};
extern const struct field_row field_rows[FIELDS_END]; /* [FIELD_NONE] is empty */

static inline uint16_t load_le16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void store_le16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_le64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static inline enum event_kind event_kind_of(const struct event *e)
{
	return (enum event_kind)load_le16(e->bytes);
}

static inline enum event_verdict event_verdict_of(const struct event *e)
{
	return (enum event_verdict)e->bytes[2];
}

static inline enum reason event_reason_of(const struct event *e)
{
	return (enum reason)load_le16(e->bytes + 4);
}

static inline uint64_t event_time_of(const struct event *e)
{
	return load_le64(e->bytes + 8);
}

static inline void event_stamp(struct event *e, uint64_t wall_us)
{
	store_le64(e->bytes + 8, wall_us);
}

struct event_item {
	enum event_field field;
	const uint8_t *p;
	uint16_t n;
};

/* Start with *at = 0; false past the last field. */
bool event_walk(const struct event *e, size_t *at, struct event_item *ret);

/* The length in bytes of the UTF-8 sequence that starts p[0..n), or 0 when there is none (overlong,
 * surrogate, truncated, NUL). */
unsigned utf8_sequence(const uint8_t *p, size_t n);

#endif
