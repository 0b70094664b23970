/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one line of the event stream back: strict JSON, bounded, flattened to paths ("dest.host"),
 * unknown keys kept, lists skipped. For the command line (any file may be given to it) and for the
 * audit process's look at its own log.
 */
#ifndef EGRET_EVENT_JSONREAD_H
#define EGRET_EVENT_JSONREAD_H

#include "base/bytes.h"

#define JSON_VALUES_MAX 128
#define JSON_PATH_MAX 80

enum json_kind { JSON_TEXT = 1, JSON_NUM, JSON_BOOL, JSON_OTHER };

struct json_value {
	char path[JSON_PATH_MAX];
	enum json_kind kind;
	struct str text; /* TEXT: unescaped, UTF-8, no NUL. Else: as written */
	uint64_t num;	 /* NUM (whole, not negative), BOOL */
};

struct json_line {
	struct json_value v[JSON_VALUES_MAX];
	unsigned n;
	char *bytes; /* owned */
	size_t used, size;
};

struct json_line *json_line_new(void);
struct json_line *json_line_free(struct json_line *l); /* NULL */
/* 0; -EBADMSG: not one JSON object; -EMSGSIZE: past a bound. What l held before is gone in each
 * case. */
int json_line_read(struct json_line *l, struct str line) MUST_CHECK;

const struct json_value *json_get(const struct json_line *l, const char *path); /* NULL */
struct str json_text(const struct json_line *l,
		     const char *path); /* n = 0 when absent or no text */
bool json_num(const struct json_line *l, const char *path, uint64_t *ret); /* NUM */

#endif
