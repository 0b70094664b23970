// SPDX-License-Identifier: Apache-2.0
/*
 * egret summary: what a job's network did, for a person: what went out, what was refused with the
 * line that would allow it, which credentials were used. `--format markdown` fits a CI step summary
 * (below 1 MiB whatever the log holds), `--format github` the step's log. In a job's own hook,
 * which may not open the log, egretd is asked for that job's lines.
 */
#include "cli/cli.h"
#include "cli/events_ask.h"
#include "cli/filter.h"
#include "cli/lines.h"
#include "cli/own_job.h"
#include "cli/summary_github.h"
#include "cli/tally.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SUMMARY_MAX (1000u << 10) /* GitHub takes 1 MiB a step */

enum format { FORMAT_TEXT, FORMAT_MARKDOWN, FORMAT_JSON, FORMAT_GITHUB };

struct part {
	const char *title, *key;
	const struct tally_list *list;
	const char *why; /* what the second column is */
};

static const char usage_text[] =
	"usage: egret summary [--job J] [--since T] [--until T] [--format "
	"markdown|text|json|github]\n"
	"                     [--json] [--log FILE|-]\n"
	"In a job, without --job and --log: that job.\n"
	"egret summary --job \"$JOB\" --format markdown >> \"$GITHUB_STEP_SUMMARY\"\n";

/* Inside a code span of a table: nothing may end the span or the cell, or start a tag. Texts are
 * escaped to ASCII already. */
static int add_code(struct buf *to, const char *s)
{
	int r = buf_add(to, "`", 1);

	for (; *s && !r; s++) {
		if (*s == '|')
			r = buf_add_str(to, STR("\\|"));
		else
			r = buf_add(to, *s == '`' ? "'" : s, 1);
	}
	return r ? r : buf_add(to, "`", 1);
}

static int add_json_text(struct buf *to, const char *s)
{
	int r = buf_add(to, "\"", 1);

	for (; *s && !r; s++) {
		if (*s == '"' || *s == '\\')
			r = buf_add(to, "\\", 1);
		if (!r)
			r = buf_add(to, s, 1);
	}
	return r ? r : buf_add(to, "\"", 1);
}

static int markdown_row(struct buf *to, const struct tally_row *row)
{
	int r = buf_addf(to, "| %" PRIu64 " | ", row->count);

	if (!r)
		r = add_code(to, row->what);
	if (!r)
		r = buf_add_str(to, STR(" | "));
	if (!r && *row->why)
		r = add_code(to, row->why);
	if (!r)
		r = buf_addf(to, " | %" PRIu64 " |\n", row->first_seq);
	return r;
}

/* The lines that would allow what was refused, to be copied as they are. */
static int markdown_lines(struct buf *to, const struct tally_list *l, unsigned shown)
{
	bool any = false;
	int r = 0;

	for (unsigned i = 0; i < shown && !r; i++) {
		if (!l->rows[i].line)
			continue;
		if (!any)
			r = buf_add_str(to, STR("\nTo allow, add to the policy's rules what should "
						"be allowed:\n\n"
						"```jsonc\n"));
		any = true;
		/* A fence inside would end ours. */
		if (!r && !strstr(l->rows[i].line, "```"))
			r = buf_addf(to, "%s,\n", l->rows[i].line);
	}
	return any && !r ? buf_add_str(to, STR("```\n")) : r;
}

static int markdown_part(struct buf *to, const struct part *p)
{
	unsigned shown = p->list->n < TALLY_SHOWN ? p->list->n : TALLY_SHOWN;
	int r;

	if (!p->list->n)
		return 0;
	r = buf_addf(to,
		     "\n### %s (%" PRIu64
		     ")\n\n| times | what | %s | first event |\n|--:|:--|:--|--:|\n",
		     p->title, p->list->events, p->why);
	for (unsigned i = 0; i < shown && !r; i++)
		r = markdown_row(to, &p->list->rows[i]);
	if (!r && p->list->n > shown)
		r = buf_addf(to, "\nand %u more.\n", p->list->n - shown);
	if (!r && p->list->other)
		r = buf_addf(to, "\nand %" PRIu64 " other events.\n", p->list->other);
	return r ? r : markdown_lines(to, p->list, shown);
}

static int text_part(struct buf *to, const struct part *p)
{
	unsigned shown = p->list->n < TALLY_SHOWN ? p->list->n : TALLY_SHOWN;
	int r;

	if (!p->list->n)
		return 0;
	r = buf_addf(to, "\n%s (%" PRIu64 ")\n", p->title, p->list->events);
	for (unsigned i = 0; i < shown && !r; i++) {
		const struct tally_row *row = &p->list->rows[i];

		r = buf_addf(to, "%8" PRIu64 "  %s", row->count, row->what);
		if (!r && *row->why)
			r = buf_addf(to, "  (%s)", row->why);
		if (!r)
			r = buf_addf(to, "  event %" PRIu64 "\n", row->first_seq);
		if (!r && row->line)
			r = buf_addf(to, "          add %s\n", row->line);
	}
	if (!r && (p->list->n > shown || p->list->other))
		r = buf_addf(to, "          and more: %u kinds, %" PRIu64 " other events\n",
			     p->list->n - shown, p->list->other);
	return r;
}

static int json_part(struct buf *to, const struct part *p)
{
	unsigned shown = p->list->n < TALLY_SHOWN ? p->list->n : TALLY_SHOWN;
	int r = buf_addf(to, ",\"%s\":{\"events\":%" PRIu64 ",\"kinds\":%u,\"rows\":[", p->key,
			 p->list->events, p->list->n);

	for (unsigned i = 0; i < shown && !r; i++) {
		const struct tally_row *row = &p->list->rows[i];

		r = buf_addf(to, "%s{\"count\":%" PRIu64 ",\"first\":%" PRIu64 ",\"what\":",
			     i ? "," : "", row->count, row->first_seq);
		if (!r)
			r = add_json_text(to, row->what);
		if (!r)
			r = buf_add_str(to, STR(",\"why\":"));
		if (!r)
			r = add_json_text(to, row->why);
		if (!r && row->line) {
			r = buf_add_str(to, STR(",\"line\":"));
			if (!r)
				r = add_json_text(to, row->line);
		}
		if (!r)
			r = buf_add(to, "}", 1);
	}
	return r ? r : buf_add_str(to, STR("]}"));
}

static int add_head(struct buf *to, const struct tally *t, enum format f)
{
	if (f == FORMAT_JSON)
		return buf_addf(to,
				"{\"schema\":\"egret.summary/1\",\"lines\":%" PRIu64
				",\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"lost\":%" PRIu64,
				t->lines, t->first_seq, t->last_seq, t->lost);
	return buf_addf(to,
			"%sThe network of this job%s%" PRIu64 " allowed, %" PRIu64
			" refused%s, events %" PRIu64 " to %" PRIu64 ", %s to %s.\n",
			f == FORMAT_MARKDOWN ? "## " : "", f == FORMAT_MARKDOWN ? "\n\n" : ": ",
			t->allowed.events, t->refused.events,
			t->would.events ? " and some let through by audit mode" : "", t->first_seq,
			t->last_seq, t->since, t->until);
}

static int write_summary(struct buf *to, const struct tally *t, enum format f)
{
	const struct part parts[] = {
		{ "Refused", "refused", &t->refused, "because" },
		{ "Let through, would be refused when enforced", "would_deny", &t->would,
		  "because" },
		{ "Allowed", "allowed", &t->allowed, "rule" },
		{ "Credentials", "credentials", &t->credentials, "used for" },
		{ "Alerts", "alerts", &t->alerts, "kind" },
	};
	int r = add_head(to, t, f);

	if (!r && t->lost && f != FORMAT_JSON)
		r = buf_addf(to, "\n%" PRIu64 " events were lost: this list is not complete.\n",
			     t->lost);
	for (size_t i = 0; i < ARRAY_SIZE(parts) && !r; i++) {
		size_t before = to->n;

		r = f == FORMAT_JSON	   ? json_part(to, &parts[i])
		    : f == FORMAT_MARKDOWN ? markdown_part(to, &parts[i])
					   : text_part(to, &parts[i]);
		/* The bound comes before completeness; a JSON text that is cut is none. */
		if (r == -EMSGSIZE && f != FORMAT_JSON) {
			to->n = before;
			to->limit += 64;
			return buf_addf(to, "\n%s: too many to show.\n", parts[i].title);
		}
	}
	return r || f != FORMAT_JSON ? r : buf_add_str(to, STR("}\n"));
}

static int read_all(struct lines *in, const struct filters *f, struct tally *t)
{
	struct json_line *l = json_line_new();
	struct str line;
	int r;

	while ((r = lines_next(in, false, &line)) == 1) {
		if (json_line_read(l, line))
			t->bad++;
		else if (filter_match(f, l))
			tally_add(t, l);
	}
	json_line_free(l);
	return r;
}

/* log NULL: the log of this host, or what egretd gives of it. -1, or an exit status. */
static int open_events(const char *log, const char *job, struct lines **ret)
{
	const char *path = log ? log : lines_log();
	int r = lines_open(path, ret);

	if (!r)
		return -1;
	if (!log && job && (r == -EACCES || r == -ENOENT))
		return events_ask(job, ret);
	return cli_fail(1, "%s: %s%s", path, strerror(-r),
			r == -EACCES ? "; the log is root's: use sudo" : "");
}

static int summarize(const char *log, const char *job, const struct filters *f, enum format format)
{
	struct lines *in = NULL;
	struct tally t = { 0 };
	struct buf out;
	int r = open_events(log, job, &in);

	if (r >= 0)
		return r;
	r = read_all(in, f, &t);
	lines_free(in);
	if (r)
		return cli_fail(1, "the events cannot be read: %s", strerror(-r));
	if (!t.lines) {
		tally_done(&t);
		return cli_fail(1, "%s holds no such events", log ? log : lines_log());
	}
	tally_sort(&t);
	buf_init(&out, SUMMARY_MAX);
	r = format == FORMAT_GITHUB ? summary_github(&out, &t) : write_summary(&out, &t, format);
	if (!r && fwrite(out.p, 1, out.n, stdout) != out.n)
		r = -EIO;
	if (r)
		cli_fail(1, "cannot write: %s", strerror(-r));
	if (t.bad)
		cli_fail(0, "%" PRIu64 " lines are no events and were passed over", t.bad);
	buf_done(&out);
	tally_done(&t);
	return r ? 1 : 0;
}

static int read_format(const char *word, enum format *ret)
{
	static const char *const words[] = { "text", "markdown", "json", "github" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(word, words[i])) {
			*ret = (enum format)i;
			return 0;
		}
	return cli_fail(2, "--format %s: it is markdown, text, json or github", word);
}

int verb_summary(int argc, char **argv)
{
	enum { OPT_JOB = 256, OPT_FORMAT, OPT_JSON, OPT_LOG, OPT_SINCE, OPT_UNTIL };
	static const struct option options[] = { { "job", required_argument, NULL, OPT_JOB },
						 { "format", required_argument, NULL, OPT_FORMAT },
						 { "json", no_argument, NULL, OPT_JSON },
						 { "log", required_argument, NULL, OPT_LOG },
						 { "since", required_argument, NULL, OPT_SINCE },
						 { "until", required_argument, NULL, OPT_UNTIL },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	struct filters f = { 0 };
	enum format format = FORMAT_TEXT;
	const char *log = NULL, *job = NULL, *why = "";
	char own[32];
	int c, r = 0;

	opterr = 0;
	optind = 0;
	while (!r && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		case OPT_JOB:
			if (filter_add(&f, FILTER_JOB, optarg, false, &why))
				r = cli_fail(2, "--job %s: %s", optarg, why);
			job = optarg;
			break;
		case OPT_FORMAT:
			r = read_format(optarg, &format);
			break;
		case OPT_JSON:
			format = FORMAT_JSON;
			break;
		case OPT_LOG:
			log = optarg;
			break;
		case OPT_SINCE:
		case OPT_UNTIL:
			if (filter_time(optarg, clock_wall_us(),
					c == OPT_SINCE ? f.since : f.until))
				r = cli_fail(
					2,
					"%s: not a time; give 5m, 2h, 3d or 2026-11-22T09:14:03Z",
					optarg);
			break;
		default:
			fputs(usage_text, stderr);
			r = cli_fail(2, "%s: not an option of this verb, or its value is missing",
				     argv[optind - 1]);
		}
	}
	if (r)
		return r;
	if (optind < argc)
		return cli_fail(2, "%s: options only", argv[optind]);
	if (!job && !log && own_job(own, sizeof(own))) {
		job = own;
		if (filter_add(&f, FILTER_JOB, own, false, &why))
			return cli_fail(2, "%s: %s", own, why);
	}
	return summarize(log, job, &f, format);
}
