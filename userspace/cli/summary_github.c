// SPDX-License-Identifier: Apache-2.0
/*
 * egret summary --format github: what was refused, as workflow commands for the log of a GitHub
 * Actions step: one line each, at most ANNOTATIONS of them, as many as GitHub shows of a step. The
 * texts are a job's: printable ASCII already (cli/tally.h), and escaped here once more as the
 * runner reads them (`%`, CR and LF), so that none begins a command of its own.
 */
#include "cli/summary_github.h"
#include "cli/suggest.h"
#include <inttypes.h>

#define ANNOTATIONS 10u

static int add_data(struct buf *to, const char *s)
{
	int r = 0;

	for (; *s && !r; s++) {
		if (*s == '%' || *s == '\r' || *s == '\n')
			r = buf_addf(to, "%%%02X", (unsigned char)*s);
		else
			r = buf_add(to, s, 1);
	}
	return r;
}

static int add_row(struct buf *to, const char *command, const char *did,
		   const struct tally_row *row)
{
	const char *sentence = suggest_sentence(str_of(row->why));
	int r = buf_addf(to, "::%s title=egret::", command);

	if (!r)
		r = add_data(to, row->what);
	if (!r && row->count > 1)
		r = buf_addf(to, " %s %" PRIu64 " times", did, row->count);
	else if (!r)
		r = buf_addf(to, " %s", did);
	if (!r && *row->why)
		r = buf_addf(to, ": %s", *sentence ? "" : "by rule ");
	if (!r && *row->why)
		r = add_data(to, *sentence ? sentence : row->why);
	if (!r && row->line) {
		r = buf_addf(to, "; to allow it, add to the policy's rules: ");
		if (!r)
			r = add_data(to, row->line);
	}
	return r ? r : buf_addf(to, " (egret why %" PRIu64 ")\n", row->first_seq);
}

/* Queries of kinds that are never answered break nothing. */
static bool of_note(const struct tally_row *row)
{
	return strcmp(row->why, "dns_type") != 0;
}

static int add_list(struct buf *to, const char *command, const char *did,
		    const struct tally_list *l, unsigned *left)
{
	uint64_t more = l->other;
	int r = 0;

	for (unsigned i = 0; i < l->n && !r; i++) {
		if (!of_note(&l->rows[i]))
			continue;
		if (!*left) {
			more += l->rows[i].count;
			continue;
		}
		(*left)--;
		r = add_row(to, command, did, &l->rows[i]);
	}
	if (!r && more)
		r = buf_addf(to, "egret: and %" PRIu64 " others; the step summary has them\n",
			     more);
	return r;
}

int summary_github(struct buf *to, const struct tally *t)
{
	unsigned left = ANNOTATIONS;
	int r = add_list(to, "error", "was refused", &t->refused, &left);

	if (!r)
		r = add_list(to, "warning", "would be refused when the policy is enforced",
			     &t->would, &left);
	return r;
}
