/* SPDX-License-Identifier: Apache-2.0 */
/* Counts for `egret summary`: what was allowed, refused and leased, by key, bounded. */
#ifndef EGRET_CLI_TALLY_H
#define EGRET_CLI_TALLY_H

#include "event/jsonread.h"

#define TALLY_ROWS 1000u /* kinds of thing a list keeps; the rest is counted together */
#define TALLY_SHOWN 100u /* rows of a list that text and markdown show */

struct tally_row {
	char *what; /* escaped: "POST https://api.github.com/gists" */
	char *why;  /* rule or reason */
	char *line; /* the rule that would allow it, or NULL */
	uint64_t count, first_seq;
};

struct tally_list {
	struct tally_row *rows;
	unsigned n;
	uint64_t other; /* events past TALLY_ROWS */
	uint64_t events;
};

struct tally {
	uint64_t lines, bad;
	uint64_t first_seq, last_seq;
	char since[40], until[40];
	uint64_t lost;
	struct tally_list allowed, refused, would, credentials, alerts;
};

void tally_add(struct tally *t, const struct json_line *l);
void tally_sort(struct tally *t); /* most first */
void tally_done(struct tally *t);

#endif
