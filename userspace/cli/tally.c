// SPDX-License-Identifier: Apache-2.0
/*
 * Counts events by what they were about (cli/tally.h). A job chooses hosts and paths, so the number
 * of rows is bounded and every text is escaped and cut before it is kept.
 */
#include "cli/tally.h"
#include "cli/render.h"
#include "cli/suggest.h"
#include <stdio.h>
#include <stdlib.h>

#define WHAT_MAX 512u

static char *keep(const struct buf *b)
{
	struct str s = buf_str(b);

	if (s.n > WHAT_MAX)
		s.n = WHAT_MAX;
	return mem_dup(s);
}

/* "POST https://host/path" without its query: one row for one thing. */
static char *what_of(const struct json_line *l)
{
	struct buf b;
	char *found, *query;

	buf_init(&b, RENDER_MAX);
	if (render_what(l, &b) || !b.n)
		(void)!render_text(&b, json_text(l, "kind"));
	found = keep(&b);
	buf_done(&b);
	query = strchr(found, '?');
	if (query)
		*query = 0;
	return found;
}

static char *text_of(struct str s)
{
	struct buf b;
	char *found;

	buf_init(&b, RENDER_MAX);
	(void)!render_text(&b, s);
	found = keep(&b);
	buf_done(&b);
	return found;
}

static char *line_of(const struct json_line *l)
{
	struct buf b;
	char *found = NULL;

	if (!suggest_helps(json_text(l, "reason")))
		return NULL;
	buf_init(&b, RENDER_MAX);
	if (!suggest_line(l, &b) && b.n && b.n <= 2 * WHAT_MAX)
		found = mem_dup(buf_str(&b));
	buf_done(&b);
	return found;
}

/* Takes over what, why and line. */
static void count(struct tally_list *t, char *what, char *why, char *line, uint64_t seq)
{
	struct tally_row *row = NULL;

	t->events++;
	for (unsigned i = 0; i < t->n && !row; i++)
		if (!strcmp(t->rows[i].what, what) && !strcmp(t->rows[i].why, why))
			row = &t->rows[i];
	if (!row && t->n < TALLY_ROWS) {
		if (!t->rows)
			t->rows = mem_new(sizeof(*t->rows) * TALLY_ROWS);
		t->rows[t->n++] = (struct tally_row){ what, why, line, 1, seq };
		return;
	}
	if (row)
		row->count++;
	else
		t->other++;
	free(what);
	free(why);
	free(line);
}

static void note_time(struct tally *t, const struct json_line *l, uint64_t seq)
{
	char *time = text_of(json_text(l, "time"));

	if (!t->first_seq) {
		t->first_seq = seq;
		snprintf(t->since, sizeof(t->since), "%s", time);
	}
	t->last_seq = seq;
	snprintf(t->until, sizeof(t->until), "%s", time);
	free(time);
}

void tally_add(struct tally *t, const struct json_line *l)
{
	struct str kind = json_text(l, "kind"), verdict = json_text(l, "verdict"),
		   rule = json_text(l, "rule"), reason = json_text(l, "reason"),
		   credential = json_text(l, "credential.name");
	uint64_t seq = 0, n;
	struct tally_list *to = NULL;

	t->lines++;
	(void)!json_num(l, "seq", &seq);
	note_time(t, l, seq);
	/* Every look-up of a resolver library that sorts addresses: no attempt of anybody. */
	if (str_is(reason, "udp_connect"))
		return;
	if (str_is(verdict, "deny"))
		to = &t->refused;
	else if (str_is(verdict, "would_deny"))
		to = &t->would;
	/* A name that was answered is not yet a request: only what went out counts as allowed. */
	else if (str_is(verdict, "allow") && !str_is(kind, "dns.query"))
		to = &t->allowed;
	if (to && !str_is(kind, "http.response"))
		count(to, what_of(l), text_of(rule.n ? rule : reason),
		      to == &t->allowed ? NULL : line_of(l), seq);
	if (credential.n && (str_starts(kind, "credential.") || str_is(kind, "http.request")))
		count(&t->credentials, text_of(credential), text_of(kind), NULL, seq);
	if (str_is(kind, "alert") || str_is(kind, "limit.hit") || str_is(kind, "lost"))
		count(&t->alerts, what_of(l), text_of(kind), NULL, seq);
	if (str_is(kind, "lost") && json_num(l, "lost.count", &n))
		t->lost += n;
}

static int by_count(const void *a, const void *b)
{
	const struct tally_row *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->first_seq < y->first_seq ? -1 : x->first_seq > y->first_seq;
}

static struct tally_list *list_of(struct tally *t, unsigned i)
{
	struct tally_list *lists[] = { &t->allowed, &t->refused, &t->would, &t->credentials,
				       &t->alerts };

	return i < ARRAY_SIZE(lists) ? lists[i] : NULL;
}

void tally_sort(struct tally *t)
{
	struct tally_list *l;

	for (unsigned i = 0; (l = list_of(t, i)); i++)
		if (l->n)
			qsort(l->rows, l->n, sizeof(*l->rows), by_count);
}

void tally_done(struct tally *t)
{
	struct tally_list *l;

	for (unsigned i = 0; (l = list_of(t, i)); i++) {
		for (unsigned j = 0; j < l->n; j++) {
			free(l->rows[j].what);
			free(l->rows[j].why);
			free(l->rows[j].line);
		}
		free(l->rows);
	}
	*t = (struct tally){ 0 };
}
