// SPDX-License-Identifier: Apache-2.0
/*
 * What drive.c wrote, judged: each attempt with the enforcer against the same without it.
 *
 *	bypass report tap|json|table FILE [guest=1] [lsm=1] [all=1]
 *
 * guest: this is a guest's kernel, cases of class "guest" are shown here. lsm: an LSM tier stands,
 * so what only it closes must be closed. all: every setting ran, so a case that got out nowhere
 * was not shown to get out.
 */
#include "bypass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 8192
#define FIELDS 12

struct row {
	bool with, absent, excused;
	char label[32], err[24], said[128], frame[96];
	const struct bypass_case *c;
	int family;
	unsigned how, tokens, frames;
};
static struct row *rows;
static size_t n_rows;
static bool in_guest, lsm, all;
static unsigned after; /* test lines that the caller wrote */

enum verdict {
	HELD,	   /* gets out without, not with */
	QUIET,	   /* does not get out here without either; does elsewhere */
	NO_WAY,	   /* impossible here: errno */
	ELSEWHERE, /* shown in a guest's kernel */
	NOT_SHOWN, /* a failure: nowhere shown to get out */
	LEAK,	   /* a failure */
	NOT_TRIED, /* a failure: no attempt without, or none with */
};
static const char *const verdicts[] = { "held",	     "quiet", "impossible", "guest",
					"not shown", "LEAK",  "not tried" };

static bool got_out(const struct row *r)
{
	return r->tokens || (r->with && r->frames && !r->excused);
}

static const struct row *find(const struct bypass_case *c, const char *label, int family, bool with)
{
	/* "bridge-raw" is another enforcement of the same setting. */
	size_t n = with ? strlen(label) : strcspn(label, "-");

	for (size_t i = 0; i < n_rows; i++) {
		if (rows[i].c == c && rows[i].with == with && rows[i].family == family &&
		    !strncmp(rows[i].label, label, n) && rows[i].label[n] == '\0')
			return &rows[i];
	}
	return NULL;
}

static bool gets_out_somewhere(const struct bypass_case *c)
{
	for (size_t i = 0; i < n_rows; i++) {
		if (rows[i].c == c && !rows[i].with && got_out(&rows[i]))
			return true;
	}
	return false;
}

static bool by_lsm(const struct row *x)
{
	char setting[32];

	if (!strcmp(x->label, "attach"))
		return x->c->lsm_only & ATTACH;
	if (!strcmp(x->label, "attach-first"))
		return x->c->lsm_only & FIRST;
	snprintf(setting, sizeof(setting), "%.*s", (int)strcspn(x->label, "-"), x->label);
	return x->c->expect == GUEST || x->c->lsm_only & (unsigned)setting_of(setting);
}

static enum verdict judge(const struct row *x)
{
	const struct row *w = find(x->c, x->label, x->family, false);

	if (got_out(x))
		return by_lsm(x) && (!lsm || x->c->confined_only) ? ELSEWHERE : LEAK;
	if (!w)
		return NOT_TRIED;
	if (got_out(w))
		return HELD;
	if (w->absent)
		return x->c->expect == GUEST && !in_guest ? ELSEWHERE : NO_WAY;
	if (x->c->expect == IMPOSSIBLE)
		return *w->err ? NO_WAY : in_guest ? QUIET : NOT_SHOWN;
	if (gets_out_somewhere(x->c))
		return QUIET;
	if (x->c->expect == GUEST && !in_guest)
		return ELSEWHERE;
	return all ? NOT_SHOWN : QUIET;
}

static void ways(unsigned how, char *to, size_t room)
{
	static const char *const names[] = { "tcp",    "udp",	   "frame", "link",
					     "report", "colluder", "host",  "inbound" };
	size_t n = 0;

	*to = '\0';
	for (size_t i = 0; i < 8; i++) {
		if (how & 1u << i)
			n += (size_t)snprintf(to + n, n < room ? room - n : 0, "%s%s", n ? "+" : "",
					      names[i]);
	}
}

/* "ERRNO (call)", or "sent". */
static void outcome(const struct row *r, char *to, size_t room)
{
	char how[96];

	ways(r->how, how, sizeof(how));
	if (r->tokens)
		snprintf(to, room, "out by %s", how);
	else if (got_out(r))
		snprintf(to, room, "out: %u frames, %s", r->frames, r->frame);
	else if (*r->err)
		snprintf(to, room, "%s (%s)", r->err, r->said);
	else
		snprintf(to, room, "sent, nothing came%s%s", *r->said ? ": " : "", r->said);
}

/* ---- reading ---- */

static bool read_row(char *line, struct row *r)
{
	char *f[FIELDS], *p = line;

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < FIELDS; i++) {
		f[i] = strsep(&p, "\t");
		if (!f[i])
			return false;
	}
	memset(r, 0, sizeof(*r));
	r->with = !strcmp(f[0], "with");
	snprintf(r->label, sizeof(r->label), "%s", f[1]);
	r->c = case_named(f[2]);
	r->family = (int)strtol(f[3], NULL, 10);
	snprintf(r->err, sizeof(r->err), "%s", f[4]);
	r->absent = *f[5] == '1';
	snprintf(r->said, sizeof(r->said), "%s", f[6]);
	r->how = (unsigned)strtoul(f[7], NULL, 10);
	r->tokens = (unsigned)strtoul(f[8], NULL, 10);
	r->frames = (unsigned)strtoul(f[9], NULL, 10);
	r->excused = *f[10] == '1';
	snprintf(r->frame, sizeof(r->frame), "%s", f[11]);
	return r->c;
}

static int read_all(const char *path)
{
	char line[2048];
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	while (n_rows < ROWS && fgets(line, sizeof(line), f)) {
		if (read_row(line, &rows[n_rows]))
			n_rows++;
	}
	fclose(f);
	return 0;
}

/* ---- writing ---- */

static void side_json(const struct row *r)
{
	char how[96];

	if (!r) {
		printf("null");
		return;
	}
	ways(r->how, how, sizeof(how));
	printf("{\"out\":%s,\"by\":\"%s\",\"tokens\":%u,\"frames\":%u,\"errno\":\"%s\",\"said\":",
	       got_out(r) ? "true" : "false", how, r->tokens, r->frames, r->err);
	json_text(stdout, r->said);
	printf(",\"frame\":");
	json_text(stdout, r->frame);
	printf(",\"absent\":%s}", r->absent ? "true" : "false");
}

static void write_json(void)
{
	for (size_t i = 0; i < n_rows; i++) {
		const struct row *x = &rows[i];

		if (!x->with)
			continue;
		printf("{\"name\":\"%s\",\"group\":\"%s\",\"title\":", x->c->name, x->c->group);
		json_text(stdout, x->c->title);
		printf(",\"source\":");
		json_text(stdout, x->c->source);
		printf(",\"class\":\"%s\",\"setting\":\"%s\",\"family\":%d,\"without\":",
		       expect_name(x->c->expect), x->label, x->family);
		side_json(find(x->c, x->label, x->family, false));
		printf(",\"with\":");
		side_json(x);
		printf(",\"verdict\":\"%s\"}\n", verdicts[judge(x)]);
	}
}

static void write_table(void)
{
	char without[300], with[300];

	printf("%-28s %-10s %s  %-10s %-44s %s\n", "case", "setting", "IP", "verdict", "without",
	       "with");
	for (size_t i = 0; i < n_rows; i++) {
		const struct row *x = &rows[i], *w;

		if (!x->with)
			continue;
		w = find(x->c, x->label, x->family, false);
		snprintf(without, sizeof(without), "-");
		if (w)
			outcome(w, without, sizeof(without));
		outcome(x, with, sizeof(with));
		printf("%-28s %-10s v%d  %-10s %-44s %s\n", x->c->name, x->label, x->family,
		       verdicts[judge(x)], without, with);
	}
}

/* One line a case and setting, the worse of its families. */
static int write_tap(void)
{
	static unsigned counts[NOT_TRIED + 1];
	unsigned n = after, bad = 0;
	char without[300], with[300];

	for (size_t i = 0; i < n_rows; i++) {
		const struct row *x = &rows[i], *other, *w;
		enum verdict v;

		if (!x->with)
			continue;
		other = find(x->c, x->label, x->family == 4 ? 6 : 4, true);
		v = judge(x);
		counts[v]++;
		if (other && (judge(other) > v || (judge(other) == v && x->family == 6)))
			continue;
		w = find(x->c, x->label, x->family, false);
		snprintf(without, sizeof(without), "not tried");
		if (w)
			outcome(w, without, sizeof(without));
		outcome(x, with, sizeof(with));
		n++;
		bad += v >= NOT_SHOWN;
		printf("%s %u - %s, %s: %s", v >= NOT_SHOWN ? "not ok" : "ok", n, x->c->name,
		       x->label, verdicts[v]);
		if (v == ELSEWHERE)
			printf(" # SKIP %s\n", !got_out(x) ? "this kernel has no such thing"
					       : lsm	   ? "closed to confined jobs "
							     "(tests/kernel/guard); this one is "
							     "root's"
							   : "open without the LSM tier, as "
							     "docs/threat-model.md says");
		else
			printf("; without: %s; with: %s\n", without, with);
		if (v >= NOT_SHOWN)
			printf("# %s, IPv%d [%s]\n", x->c->title, x->family, x->c->source);
	}
	printf("1..%u\n# attempts, by family:", n);
	for (int v = HELD; v <= NOT_TRIED; v++)
		printf(" %u %s%s", counts[v], verdicts[v], v == NOT_TRIED ? "\n" : ",");
	return bad || n == after;
}

int report_main(int argc, char **argv)
{
	int r;

	for (int i = 2; i < argc; i++) {
		in_guest |= !strcmp(argv[i], "guest=1");
		lsm |= !strcmp(argv[i], "lsm=1");
		all |= !strcmp(argv[i], "all=1");
		if (!strncmp(argv[i], "after=", 6))
			after = (unsigned)strtoul(argv[i] + 6, NULL, 10);
	}
	rows = calloc(ROWS, sizeof(*rows));
	r = argc < 2 || !rows ? -EINVAL : read_all(argv[1]);
	if (r) {
		fprintf(stderr, "bypass report: %s: %s\n", argc < 2 ? "no file" : argv[1],
			strerror(-r));
		return 2;
	}
	if (!strcmp(argv[0], "json"))
		write_json();
	else if (!strcmp(argv[0], "table"))
		write_table();
	else
		return write_tap();
	return 0;
}
