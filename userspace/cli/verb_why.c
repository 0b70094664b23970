// SPDX-License-Identifier: Apache-2.0
/*
 * egret why EVENT: finds one number in the audit log and says in words what was decided, by what,
 * and which line of a policy would change it. Everything is in the event itself; texts of it are
 * escaped.
 */
#include "cli/cli.h"
#include "cli/lines.h"
#include "cli/render.h"
#include "cli/suggest.h"
#include "event/event.h"
#include "event/json.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: egret why EVENT [--json] [--log FILE]\n"
	"EVENT is the number in the refusal, in `egret events` and in the log\n";

struct search {
	uint64_t seq;
	struct json_line *line;
	struct buf text;
	bool found;
};

/* Backwards: the event asked about is mostly a recent one. Numbers only grow. */
static bool on_line(void *owner, struct str text)
{
	struct search *s = owner;
	uint64_t seq;

	if (json_line_read(s->line, text) || !json_num(s->line, "seq", &seq))
		return true;
	s->found = seq == s->seq && !buf_add_str(&s->text, text);
	return !s->found && seq > s->seq;
}

static int add_row(struct buf *to, const char *title, struct str text)
{
	int r;

	if (!text.n)
		return 0;
	r = buf_addf(to, "  %-12s", title);
	if (!r)
		r = render_text(to, text);
	return r ? r : buf_add(to, "\n", 1);
}

static int add_headline(struct buf *to, const struct json_line *l, uint64_t seq)
{
	struct str verdict = json_text(l, "verdict");
	const char *word = str_is(verdict, "deny") ? "refused"
			   : str_is(verdict, "would_deny")
				   ? "let through, only because the policy audits"
			   : str_is(verdict, "allow") ? "allowed"
						      : "noted";
	int r = buf_addf(to, "event %" PRIu64 " was %s: ", seq, word);
	size_t before = to->n;

	if (!r)
		r = render_what(l, to);
	if (!r && to->n == before)
		r = render_text(to, json_text(l, "kind"));
	return r ? r : buf_add(to, "\n", 1);
}

static int add_reason(struct buf *to, struct str word)
{
	const char *sentence = suggest_sentence(word);
	int r;

	if (!word.n)
		return 0;
	r = buf_addf(to, "  %-12s%s", "because", sentence);
	if (!r && *sentence)
		r = buf_add(to, " (", 2);
	if (!r)
		r = render_text(to, word);
	return r ? r : buf_addf(to, "%s\n", *sentence ? ")" : "");
}

static int add_process(struct buf *to, const struct json_line *l)
{
	struct str comm = json_text(l, "process.comm");
	uint64_t pid, uid;
	int r = 0;

	if (!json_num(l, "process.pid", &pid))
		return 0;
	r = buf_addf(to, "  %-12s", "process");
	if (!r)
		r = render_text(to, comm);
	if (!r)
		r = buf_addf(to, "%spid %" PRIu64, comm.n ? ", " : "", pid);
	if (!r && json_num(l, "process.uid", &uid))
		r = buf_addf(to, ", uid %" PRIu64, uid);
	return r ? r : buf_add(to, "\n", 1);
}

static int add_suggestion(struct buf *to, const struct json_line *l)
{
	struct str verdict = json_text(l, "verdict"), reason = json_text(l, "reason");
	int r;

	if (!str_is(verdict, "deny") && !str_is(verdict, "would_deny"))
		return 0;
	if (str_is(reason, "deny_rule"))
		return buf_addf(to, "to allow it, change that rule: a deny beats every allow\n");
	if (!suggest_helps(reason))
		return buf_addf(to, "no rule of a policy allows this\n");
	r = buf_addf(to, "to allow it, add to the rules of the policy:\n  ");
	if (!r)
		r = suggest_line(l, to);
	return r ? r : buf_add(to, "\n", 1);
}

static int explain(struct buf *to, const struct json_line *l, uint64_t seq)
{
	int r = add_headline(to, l, seq);

	if (!r)
		r = add_reason(to, json_text(l, "reason"));
	if (!r)
		r = add_row(to, "rule", json_text(l, "rule"));
	if (!r)
		r = add_row(to, "nearest", json_text(l, "nearest"));
	if (!r)
		r = add_row(to, "said", json_text(l, "message"));
	if (!r)
		r = add_row(to, "refs", json_text(l, "git.refs"));
	if (!r)
		r = add_row(to, "policy", json_text(l, "policy.name"));
	if (!r)
		r = add_row(to, "credential", json_text(l, "credential.name"));
	if (!r)
		r = add_row(to, "job", json_text(l, "job.id"));
	if (!r)
		r = add_row(to, "repo", json_text(l, "job.repo"));
	if (!r)
		r = add_row(to, "when", json_text(l, "time"));
	if (!r)
		r = add_process(to, l);
	return r ? r : add_suggestion(to, l);
}

static int show(struct search *s, bool json)
{
	struct buf out;
	int r;

	buf_init(&out, 1u << 20);
	r = json_line_read(s->line, buf_str(&s->text));
	if (!r)
		r = json ? render_json(buf_str(&s->text), &out) : explain(&out, s->line, s->seq);
	if (!r && fwrite(out.p, 1, out.n, stdout) != out.n)
		r = -errno;
	buf_done(&out);
	return r;
}

static int search(struct search *s, const char *log)
{
	struct lines *in = NULL;
	int r = lines_open(log, &in);

	if (!r)
		r = lines_is_file(in) ? lines_back(in, on_line, s) : -ESPIPE;
	lines_free(in);
	return r;
}

/* "48213", "#48213" */
static int read_event(const char *word, uint64_t *ret)
{
	struct str s = str_of(word);

	if (s.n && s.p[0] == '#')
		s = (struct str){ s.p + 1, s.n - 1 };
	return str_u64(s, ret);
}

int verb_why(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "log", required_argument, NULL, 'l' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	struct search s = { 0 };
	const char *log = NULL;
	bool json = false;
	int c, r;

	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (c != 'j' && c != 'l') {
			fputs(usage_text, stderr);
			return cli_fail(2, "%s: not an option of this verb", argv[optind - 1]);
		}
		json = json || c == 'j';
		log = c == 'l' ? optarg : log;
	}
	if (argc - optind != 1 || read_event(argv[optind], &s.seq) || !s.seq) {
		fputs(usage_text, stderr);
		return cli_fail(2, "give the number of one event");
	}
	log = log ? log : lines_log();
	s.line = json_line_new();
	buf_init(&s.text, EVENT_LINE_MAX);
	r = search(&s, log);
	if (r)
		r = cli_fail(1, "%s: %s%s", log, strerror(-r),
			     r == -EACCES ? "; the log is root's: use sudo" : "");
	else if (!s.found)
		r = cli_fail(1, "%s holds no event %" PRIu64, log, s.seq);
	else
		r = show(&s, json) ? cli_fail(1, "cannot write: %s", strerror(errno)) : 0;
	json_line_free(s.line);
	buf_done(&s.text);
	return r;
}
