/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a push: wherever the bytes are cut the list ends at one place; what is read of it are
 * names that a line can hold; and the report about them is one that a client can take apart. */
#include <stdio.h>
#include <stdlib.h>

#include "http/git.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void packets(struct str s, size_t lines)
{
	size_t at = 0, got = 0;
	unsigned len;

	for (;; at += len, got++) {
		char head[5] = { 0 };

		if (at + 4 > s.n)
			abort();
		memcpy(head, s.p + at, 4);
		if (sscanf(head, "%4x", &len) != 1 || (len && (len < 5 || at + len > s.n)))
			abort();
		if (len == 0)
			break;
		if (s.p[at + len - 1] != '\n' || memchr(s.p + at, '\n', len - 1))
			abort();
	}
	if (at + 4 != s.n || got != lines)
		abort();
}

static void check(const struct git_push *p)
{
	struct str *why = calloc(p->n + 1, sizeof(*why));
	struct git_push plain = *p;
	struct buf b;

	for (size_t i = 0; i < p->n; i++) {
		const struct git_command *c = &p->commands[i];

		if (c->ref.n == 0 || memchr(c->ref.p, 0, c->ref.n) ||
		    memchr(c->ref.p, ' ', c->ref.n) || memchr(c->ref.p, '\n', c->ref.n) ||
		    c->old_id.n != c->new_id.n || (c->old_id.n != 40 && c->old_id.n != 64) ||
		    (git_id_none(c->old_id) && c->old_id.p[c->old_id.n - 1] != '0'))
			abort();
		why[i] = STR("no");
	}
	buf_init(&b, 1 << 20);
	if (git_report_write(&b, p, STR("said\n"), STR("ok"), why) < 0)
		abort();
	b.n = 0;
	plain.says &= ~GIT_SIDE_BAND;
	if (git_report_write(&b, &plain, STR("said\n"), STR("ok"), why) < 0)
		abort();
	packets(buf_str(&b), p->n + 1);
	buf_done(&b);
	free(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str all = { (const char *)data, n };
	size_t whole = 0, at = 0;
	int r = git_list_end(all, &whole), k = 0;
	const char *why = NULL;
	struct git_push p;
	struct arena a;

	for (size_t have = 0; k == 0 && have <= n; have += 1 + n / 64) {
		/* An exact copy: a step behind the end is seen. */
		char *part = malloc(have ? have : 1);

		memcpy(part, data, have);
		k = git_list_end((struct str){ part, have }, &at);
		free(part);
	}
	if (k == 0)
		k = git_list_end(all, &at);
	if (k != r || (r == 1 && at != whole))
		abort();
	arena_init(&a, 1 << 24);
	r = git_list_read((struct str){ all.p, r == 1 ? whole : n }, &a, &p, &why);
	if (r == 0)
		check(&p);
	else if (!why)
		abort();
	arena_done(&a);
	return 0;
}
