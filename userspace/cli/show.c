// SPDX-License-Identifier: Apache-2.0
/*
 * Events on their way to the screen (cli/show.h). In the compact form an http.request waits for its
 * http.response, and what came behind it waits too, so that the order of the stream stays; the wait
 * is bounded in lines and in time, and an answer that comes later has a line of its own.
 */
#include "cli/show.h"
#include "cli/render.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WAITING_MAX 512u
#define WAIT_MS 1000

struct waiting {
	struct json_line *event, *answer;
	char request[48]; /* "" when it waits for nothing */
	uint64_t since;
};

struct show {
	int fd;
	struct show_form form;
	const struct filters *filters;
	struct json_line *line;		  /* the one being read */
	struct waiting list[WAITING_MAX]; /* a ring */
	unsigned first, n;
	struct buf out;
	uint64_t bad;
	bool headed;
};

struct show *show_new(int fd, const struct show_form *form, const struct filters *filters)
{
	struct show *s = mem_new(sizeof(*s));

	s->fd = fd;
	s->form = *form;
	s->filters = filters;
	s->line = json_line_new();
	buf_init(&s->out, 1u << 20);
	return s;
}

struct show *show_free(struct show *s)
{
	if (!s)
		return NULL;
	for (; s->n; s->n--, s->first++) {
		json_line_free(s->list[s->first % WAITING_MAX].event);
		json_line_free(s->list[s->first % WAITING_MAX].answer);
	}
	json_line_free(s->line);
	buf_done(&s->out);
	free(s);
	return NULL;
}

uint64_t show_bad(const struct show *s)
{
	return s->bad;
}

static int write_out(struct show *s)
{
	size_t at = 0;

	while (at < s->out.n) {
		ssize_t r = write(s->fd, s->out.p + at, s->out.n - at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		at += (size_t)r;
	}
	s->out.n = 0;
	return 0;
}

/* Keeps room for one more line. */
static int make_room(struct show *s)
{
	return s->out.n > s->out.limit / 2 ? write_out(s) : 0;
}

/* From the front, as long as nothing is waited for. */
static int release(struct show *s, bool all)
{
	uint64_t now = clock_now();

	while (s->n) {
		struct waiting *w = &s->list[s->first % WAITING_MAX];
		int r;

		if (!all && s->n < WAITING_MAX && w->request[0] && !w->answer &&
		    now - w->since < WAIT_MS)
			break;
		r = make_room(s);
		if (!r)
			r = render_event(w->event, w->answer, s->form.color, &s->out);
		w->event = json_line_free(w->event);
		w->answer = json_line_free(w->answer);
		s->first++;
		s->n--;
		if (r && r != -EMSGSIZE)
			return r;
	}
	return 0;
}

/* The line is an answer to one that waits: it is kept there. */
static bool join(struct show *s)
{
	struct str id = json_text(s->line, "request");

	if (!id.n || !str_is(json_text(s->line, "kind"), "http.response"))
		return false;
	for (unsigned i = 0; i < s->n; i++) {
		struct waiting *w = &s->list[(s->first + i) % WAITING_MAX];

		if (w->answer || !str_is(id, w->request))
			continue;
		w->answer = s->line;
		s->line = json_line_new();
		return true;
	}
	return false;
}

static int compact(struct show *s)
{
	struct str id = json_text(s->line, "request");
	struct waiting *w = &s->list[(s->first + s->n) % WAITING_MAX];

	*w = (struct waiting){ .event = s->line, .since = clock_now() };
	s->line = json_line_new();
	/* What was refused has no answer to wait for. */
	if (str_is(json_text(w->event, "kind"), "http.request") &&
	    !str_is(json_text(w->event, "verdict"), "deny") && id.n < sizeof(w->request))
		memcpy(w->request, id.p, id.n);
	s->n++;
	return release(s, false);
}

int show_line(struct show *s, struct str line)
{
	int r;

	if (!line.n)
		return 0;
	if (json_line_read(s->line, line) || !json_text(s->line, "kind").n) {
		s->bad++;
		return 0;
	}
	if (s->form.kind == SHOW_COMPACT && join(s))
		return release(s, false);
	if (!filter_match(s->filters, s->line))
		return 0;
	if (s->form.kind == SHOW_COMPACT)
		return compact(s);
	r = make_room(s);
	if (!r && s->form.kind == SHOW_TABLE && !s->headed)
		r = render_table_head(&s->out);
	s->headed = true;
	if (r)
		return r;
	if (s->form.kind == SHOW_TABLE)
		r = render_table(s->line, s->form.color, &s->out);
	else
		r = render_json(line, &s->out);
	return r == -EMSGSIZE ? 0 : r;
}

int show_flush(struct show *s, bool all)
{
	int r = release(s, all);

	return r ? r : write_out(s);
}
