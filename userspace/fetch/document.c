/* SPDX-License-Identifier: Apache-2.0 */
/* See fetch.h: one document, waited for, and the fields of an answer's head. */
#include "fetch/fetch.h"

#include <errno.h>
#include <stdio.h>

struct waiting {
	struct loop *loop;
	struct buf *ret, *head;
	const char *shown;
	char *why;
	size_t n;
};

static void on_waited(void *owner, const struct fetch_answer *a)
{
	struct waiting *w = owner;
	int r = a->err ? a->err : a->status == 200 ? 0 : -EIO;

	if (r == 0)
		r = buf_add_str(w->ret, a->body);
	if (r == 0 && w->head)
		r = buf_add_str(w->head, a->head);
	if (a->err)
		snprintf(w->why, w->n, "%s: %s", w->shown, a->why);
	else if (a->status >= 300 && a->status < 400)
		snprintf(w->why, w->n, "%s: answered %ld, a redirect: these are not followed",
			 w->shown, a->status);
	else if (r < 0)
		snprintf(w->why, w->n, "%s: answered %ld, not 200", w->shown, a->status);
	loop_stop(w->loop, r);
}

int fetch_get(struct loop *l, struct fetch *f, const char *url, uint64_t ms, struct buf *ret,
	      struct buf *head, char *why, size_t n)
{
	struct fetch_ask q = { .method = "GET", .url = url, .size_max = ret->limit, .ms = ms };
	char shown[600];
	struct waiting w = { l, ret, head, shown, why, n };
	int r;

	text_escape(shown, sizeof(shown), str_of(url));
	r = ms ? fetch_start(f, &q, on_waited, &w) : -ETIMEDOUT;
	if (r == 0)
		return loop_run(l);
	snprintf(why, n, "%s: %s", shown,
		 r == -EINVAL	   ? "is not an https address"
		 : r == -ETIMEDOUT ? "no answer within 10 s"
				   : "the nameservers in the configuration cannot be used");
	return r;
}

bool fetch_each_field(struct str head, const char *name, size_t *at, struct str *ret)
{
	const struct str want = str_of(name);

	while (*at < head.n) {
		const char *from = head.p + *at, *end = memchr(from, '\n', head.n - *at);
		struct str line = { from, end ? (size_t)(end - from) : head.n - *at };

		*at += line.n + (end != NULL);
		if (line.n <= want.n || line.p[want.n] != ':' ||
		    !str_eq_nocase((struct str){ line.p, want.n }, want))
			continue;
		line = (struct str){ line.p + want.n + 1, line.n - want.n - 1 };
		while (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
			line = (struct str){ line.p + 1, line.n - 1 };
		while (line.n && (unsigned char)line.p[line.n - 1] <= ' ')
			line.n--;
		*ret = line;
		return true;
	}
	return false;
}
