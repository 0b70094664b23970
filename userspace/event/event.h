/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auditor's voice: what an event is, in C. A record is a fixed head and fields (kinds.def,
 * fields.def, reasons.def); the audit process numbers it, adds time zone, node and job, and writes
 * one JSON line (schema egret.event/1, policies/event.schema.json).
 *
 *   head:  le16 kind  u8 verdict  u8 0  le16 reason  le16 count  le64 time (wall, us)   then fields
 *   field: le16 field  le16 length  bytes (TEXT, DIGEST) | le64 (NUM, BOOL) | 16 bytes (ADDR)
 *
 * Text that does not fit a field's length is cut at a character and ends in "...". A record never
 * passes EVENT_SIZE_MAX.
 */
#ifndef EGRET_EVENT_EVENT_H
#define EGRET_EVENT_EVENT_H

#include "base/bytes.h"

#define EVENT_SIZE_MAX 8192

enum event_kind {
	EVENT_NONE = 0,
#define EVENT_KIND(c, name) EVENT_##c,
#include "event/kinds.def"
#undef EVENT_KIND
	EVENT_KINDS_END
};

enum event_verdict { VERDICT_NONE = 0, VERDICT_ALLOW, VERDICT_DENY, VERDICT_WOULD_DENY };

enum reason {
	REASON_NONE = 0,
#define REASON(c, word, sentence) REASON_##c,
#include "event/reasons.def"
#undef REASON
	REASONS_END
};

enum event_field {
	FIELD_NONE = 0,
#define EVENT_FIELD(c, path, kind, max) FIELD_##c,
#include "event/fields.def"
#undef EVENT_FIELD
	FIELDS_END
};

const char *event_kind_name(enum event_kind k);	      /* "http.request"; "?" when unknown */
const char *event_verdict_name(enum event_verdict v); /* "allow"; "" for none */
const char *reason_word(enum reason r);
const char *reason_sentence(enum reason r);
enum reason reason_of_kernel(unsigned egret_reason); /* bpf/abi.h -> K_* */

/* Building one: on the stack, no allocation. */
struct event {
	size_t n;
	uint16_t fields;
	uint64_t has; /* of one that is being built: a bit a field */
	uint8_t bytes[EVENT_SIZE_MAX];
};

void event_begin(struct event *e, enum event_kind kind, enum event_verdict verdict,
		 enum reason reason);
/* A field that does not fit the record any more is left out; required fields go first. */
void event_text(struct event *e, enum event_field f, struct str s);
void event_num(struct event *e, enum event_field f, uint64_t v); /* NUM and BOOL */
void event_addr(struct event *e, enum event_field f, const uint8_t addr[16]);

/* Fields that many events have: made once, of an event with nothing else in it, and no longer than
 * EVENT_PART_MAX. */
#define EVENT_PART_MAX 256
struct event_part {
	uint64_t has;
	uint16_t n, fields;
	uint8_t bytes[EVENT_PART_MAX];
};
void event_part_of(const struct event *e, struct event_part *ret);
/* Left out, all of it, when it does not fit or one of its fields is there already. */
void event_put(struct event *e, const struct event_part *p);

#endif
