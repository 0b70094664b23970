// SPDX-License-Identifier: Apache-2.0
/*
 * egret events: reads the audit log (or any file of such lines), filters, shows. The log is root's;
 * other input may be anyone's, so a line that is none is counted and passed over, and nothing
 * reaches a terminal unescaped.
 */
#include "cli/cli.h"
#include "cli/filter.h"
#include "cli/lines.h"
#include "cli/render.h"
#include "cli/show.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LAST_MAX 1000000u
#define FOLLOW_LAST 10u /* shown before following, as journalctl does */
#define WAIT_MS 1000

struct asked {
	struct filters filters;
	struct show_form form;
	bool follow;
	bool last_set;
	uint64_t last;
	const char *input;
};

static const char usage_text[] =
	"usage: egret events [-f] [--last N] [--since T] [--until T] [--after NUMBER]\n"
	"                    [-o compact|json|table] [--json] [[--not] FILTER...]\n"
	"                    [--input-file FILE|-] [--log FILE]\n"
	"filters: --verdict --kind --job --repo --host --credential --lease --rule\n"
	"         --reason --method --status; repeated: any of them; different: all of them\n"
	"times:   5m, 2h, 3d (ago), or 2026-11-22T09:14:03Z\n";

enum {
	OPT_LAST = 256,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_AFTER,
	OPT_JSON,
	OPT_NOT,
	OPT_INPUT,
	OPT_LOG,
	OPT_FILTER
};

static const struct option options[] = {
	{ "follow", no_argument, NULL, 'f' },
	{ "last", required_argument, NULL, OPT_LAST },
	{ "since", required_argument, NULL, OPT_SINCE },
	{ "until", required_argument, NULL, OPT_UNTIL },
	{ "after", required_argument, NULL, OPT_AFTER },
	{ "output", required_argument, NULL, 'o' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "not", no_argument, NULL, OPT_NOT },
	{ "input-file", required_argument, NULL, OPT_INPUT },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "verdict", required_argument, NULL, OPT_FILTER },
	{ "kind", required_argument, NULL, OPT_FILTER },
	{ "job", required_argument, NULL, OPT_FILTER },
	{ "repo", required_argument, NULL, OPT_FILTER },
	{ "host", required_argument, NULL, OPT_FILTER },
	{ "credential", required_argument, NULL, OPT_FILTER },
	{ "lease", required_argument, NULL, OPT_FILTER },
	{ "rule", required_argument, NULL, OPT_FILTER },
	{ "reason", required_argument, NULL, OPT_FILTER },
	{ "method", required_argument, NULL, OPT_FILTER },
	{ "status", required_argument, NULL, OPT_FILTER },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int add_filter(struct asked *a, const char *name, const char *value, bool negated)
{
	const char *why = "";
	int r = filter_add(&a->filters, filter_key_of(name), value, negated, &why);

	if (r == -E2BIG)
		return cli_fail(2, "more than %d filters", FILTERS_MAX);
	return r ? cli_fail(2, "--%s %s: %s", name, value, why) : 0;
}

static int read_number(const char *name, const char *value, uint64_t most, uint64_t *ret)
{
	if (str_u64(str_of(value), ret) || *ret > most)
		return cli_fail(2, "--%s %s: not a number up to %" PRIu64, name, value, most);
	return 0;
}

static int read_form(struct asked *a, const char *value)
{
	if (!strcmp(value, "compact"))
		a->form.kind = SHOW_COMPACT;
	else if (!strcmp(value, "json"))
		a->form.kind = SHOW_JSON;
	else if (!strcmp(value, "table"))
		a->form.kind = SHOW_TABLE;
	else
		return cli_fail(2, "-o %s: it is compact, json or table", value);
	return 0;
}

static int read_time(const char *name, const char *value, char *to)
{
	if (filter_time(value, clock_wall_us(), to))
		return cli_fail(2, "--%s %s: not a time; give 5m, 2h, 3d or 2026-11-22T09:14:03Z",
				name, value);
	return 0;
}

/* 0 go on, -1 help was shown, else the exit status. */
static int read_arguments(struct asked *a, int argc, char **argv)
{
	bool negate = false;
	int c, at = 0, r = 0;

	opterr = 0;
	optind = 0;
	while (!r && (c = getopt_long(argc, argv, "fo:h", options, &at)) != -1) {
		if (negate && c != OPT_FILTER)
			return cli_fail(2, "--not stands before a filter");
		switch (c) {
		case 'f':
			a->follow = true;
			break;
		case 'o':
			r = read_form(a, optarg);
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		case OPT_JSON:
			a->form.kind = SHOW_JSON;
			break;
		case OPT_LAST:
			a->last_set = true;
			r = read_number("last", optarg, LAST_MAX, &a->last);
			break;
		case OPT_AFTER:
			r = read_number("after", optarg, UINT64_MAX, &a->filters.after);
			break;
		case OPT_SINCE:
			r = read_time("since", optarg, a->filters.since);
			break;
		case OPT_UNTIL:
			r = read_time("until", optarg, a->filters.until);
			break;
		case OPT_INPUT:
		case OPT_LOG:
			a->input = optarg;
			break;
		case OPT_NOT:
			negate = true;
			break;
		case OPT_FILTER:
			r = add_filter(a, options[at].name, optarg, negate);
			negate = false;
			break;
		default:
			fputs(usage_text, stderr);
			return cli_fail(2,
					"%s: not an option of this verb, or its value is missing",
					argv[optind - 1]);
		}
	}
	if (r)
		return r;
	if (negate)
		return cli_fail(2, "--not stands before a filter");
	if (optind < argc)
		return cli_fail(2, "%s: options only; to explain one event: egret why %s",
				argv[optind], argv[optind]);
	return 0;
}

/* The last lines that fit, newest first. */
struct backwards {
	const struct asked *a;
	struct json_line *line;
	char **kept;
	uint64_t n, size, want;
};

static bool on_line_back(void *owner, struct str text)
{
	struct backwards *b = owner;
	struct str time;
	uint64_t seq;

	if (json_line_read(b->line, text))
		return true;
	if (json_num(b->line, "seq", &seq) && b->a->filters.after && seq <= b->a->filters.after)
		return false;
	/* An hour behind `since`: records may have waited in a ring, so times are not quite in
	 * order. Numbers are. */
	time = json_text(b->line, "time");
	if (b->a->filters.since[0] && time.n >= 13 &&
	    strncmp(time.p, b->a->filters.since, 10) < 0 && b->n >= b->want)
		return false;
	if (!filter_match(&b->a->filters, b->line))
		return true;
	if (b->n == b->size) {
		b->size = b->size ? b->size * 2 : 64;
		b->kept = reallocarray(b->kept, b->size, sizeof(*b->kept));
		if (!b->kept)
			die("out of memory: %" PRIu64 " lines", b->size);
	}
	b->kept[b->n++] = mem_dup(text);
	return b->n < b->want;
}

static int show_last(const struct asked *a, struct lines *in, struct show *out)
{
	struct backwards b = { .a = a, .line = json_line_new(), .want = a->last };
	int r = b.want ? lines_back(in, on_line_back, &b) : 0;

	while (b.n) {
		b.n--;
		if (!r)
			r = show_line(out, str_of(b.kept[b.n]));
		free(b.kept[b.n]);
	}
	free(b.kept);
	json_line_free(b.line);
	return r;
}

static int show_rest(const struct asked *a, struct lines *in, struct show *out)
{
	struct str line;
	int r;

	for (;;) {
		while ((r = lines_next(in, a->follow, &line)) == 1) {
			r = show_line(out, line);
			if (r)
				return r;
		}
		if (r || !a->follow)
			return r;
		r = show_flush(out, false);
		if (!r)
			r = lines_wait(in, WAIT_MS);
		if (r)
			return r;
	}
}

/* Lines that cannot be read from their end (a pipe): --last keeps as many as asked in a ring of its
 * own. */
static int show_last_of_stream(const struct asked *a, struct lines *in, struct show *out)
{
	char **ring = mem_new(sizeof(*ring) * (a->last + 1));
	struct json_line *l = json_line_new();
	uint64_t n = 0;
	struct str line;
	int r;

	while ((r = lines_next(in, false, &line)) == 1) {
		if (!a->last || json_line_read(l, line) || !filter_match(&a->filters, l))
			continue;
		free(ring[n % a->last]);
		ring[n++ % a->last] = mem_dup(line);
	}
	for (uint64_t i = n > a->last ? n - a->last : 0; i < n && !r; i++)
		r = show_line(out, str_of(ring[i % a->last]));
	for (uint64_t i = 0; i < a->last; i++)
		free(ring[i]);
	free(ring);
	json_line_free(l);
	return r;
}

static int show_all(const struct asked *a, struct lines *in, struct show *out)
{
	int r;

	if (!a->last_set)
		return show_rest(a, in, out);
	if (!lines_is_file(in) && !a->follow)
		return show_last_of_stream(a, in, out);
	r = lines_is_file(in) ? show_last(a, in, out) : 0;
	return r || !a->follow ? r : show_rest(a, in, out);
}

int verb_events(int argc, char **argv)
{
	struct asked a = { .form = { .kind = SHOW_COMPACT, .color = cli_color(STDOUT_FILENO) } };
	struct lines *in = NULL;
	struct show *out;
	int r = read_arguments(&a, argc, argv);

	if (r)
		return r < 0 ? 0 : r;
	if (a.follow && !a.last_set && !a.filters.since[0] && !a.filters.after) {
		a.last_set = true;
		a.last = FOLLOW_LAST;
	}
	if (!a.input)
		a.input = lines_log();
	r = lines_open(a.input, &in);
	if (r)
		return cli_fail(1, "%s: %s%s", a.input, strerror(-r),
				r == -EACCES   ? "; the log is root's: use sudo"
				: r == -ENOENT ? "; no job has run yet, or --log names another file"
					       : "");
	a.form.terminal = isatty(STDOUT_FILENO);
	out = show_new(STDOUT_FILENO, &a.form, &a.filters);
	r = show_all(&a, in, out);
	if (!r)
		r = show_flush(out, true);
	if (!r && (show_bad(out) || lines_too_long(in)))
		cli_fail(0, "%" PRIu64 " lines are no events and were passed over",
			 show_bad(out) + lines_too_long(in));
	show_free(out);
	lines_free(in);
	if (r == -EPIPE)
		return 0; /* `| head` has enough */
	return r ? cli_fail(1, "%s: %s", a.input, strerror(-r)) : 0;
}
