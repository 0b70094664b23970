/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which events a person asked for. The same filter repeated: one of them (OR); different ones: all
 * of them (AND); --not turns the next one round, and of those turned round none may fit. Texts are
 * shell patterns (`*.example`, `http.*`).
 */
#ifndef EGRET_CLI_FILTER_H
#define EGRET_CLI_FILTER_H

#include "base/clock.h"
#include "event/jsonread.h"

#define FILTERS_MAX 128

enum filter_key {
	FILTER_VERDICT,
	FILTER_KIND,
	FILTER_JOB,
	FILTER_REPO,
	FILTER_HOST,
	FILTER_CREDENTIAL,
	FILTER_LEASE,
	FILTER_RULE,
	FILTER_REASON,
	FILTER_METHOD,
	FILTER_STATUS,
	FILTER_KEYS
};

struct filter {
	enum filter_key key;
	const char *value; /* borrowed */
	bool negated;
};

struct filters {
	struct filter list[FILTERS_MAX];
	unsigned n;
	char since[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX]; /* "" when open */
	uint64_t after;					   /* numbers above this one only */
};

/* The key with this option name ("verdict"), or FILTER_KEYS. */
enum filter_key filter_key_of(const char *name);
/* 0; -EINVAL: not a value for this key (*ret_why says what is); -E2BIG. value is borrowed. */
int filter_add(struct filters *f, enum filter_key key, const char *value, bool negated,
	       const char **ret_why) MUST_CHECK;
bool filter_match(const struct filters *f, const struct json_line *l);
/* "5m", "2h30m", "3d" before now, or RFC 3339 (date alone, or with a time and Z). 0 or -EINVAL. to
 * holds CLOCK_TEXT_MAX bytes. */
int filter_time(const char *text, uint64_t now_us, char *to) MUST_CHECK;

#endif
