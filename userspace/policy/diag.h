/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a file, said once: "file:line:column: key: sentence". Loading goes on after an
 * error where it can, so that one run names all of them; the list is bounded. Text from files is
 * escaped before it is kept.
 */
#ifndef EGRET_POLICY_DIAG_H
#define EGRET_POLICY_DIAG_H

#include "base/bytes.h"

#define DIAG_TEXT_MAX 16384
#define DIAG_COUNT_MAX 50

struct diag {
	struct buf text; /* lines, each ended by '\n' */
	unsigned count;
};

/* The file that is being read: its name and its bytes, for positions. */
struct diag_file {
	struct str name;
	struct str text;
};

void diag_init(struct diag *d);
void diag_done(struct diag *d);
/* at is a byte offset in the file; key may be n = 0. */
void diag_add(struct diag *d, const struct diag_file *f, size_t at, struct str key, const char *fmt,
	      ...) PRINTF_LIKE(5, 6);
void diag_merge(struct diag *to, const struct diag *from);
/* Line and column (in characters) of a byte offset, both from 1. */
void diag_position(struct str text, size_t at, unsigned *ret_line, unsigned *ret_column);

#endif
