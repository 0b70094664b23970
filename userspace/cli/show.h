/* SPDX-License-Identifier: Apache-2.0 */
/* Events on their way to the screen: filtered, a request joined with its answer, in order. */
#ifndef EGRET_CLI_SHOW_H
#define EGRET_CLI_SHOW_H

#include "cli/filter.h"

enum show_kind { SHOW_COMPACT, SHOW_JSON, SHOW_TABLE };

struct show_form {
	enum show_kind kind;
	bool color;
	bool terminal;
};

struct show;

struct show *show_new(int fd, const struct show_form *form, const struct filters *filters);
struct show *show_free(struct show *s); /* NULL */
/* 0, or -errno of writing. A line that is no event is counted. */
int show_line(struct show *s, struct str line) MUST_CHECK;
/* Writes what is ready; `all` also what waits for its answer. Otherwise that waits at most a
 * second. */
int show_flush(struct show *s, bool all) MUST_CHECK;
uint64_t show_bad(const struct show *s);

#endif
