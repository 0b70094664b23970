/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret policy test: runs the cases beside a policy (NAME.test.json for NAME.json) through the code
 * that the proxy runs. A case: { "job": {}, "request": "POST https://...", "expect": "allow",
 * "rule": "id" }. Exit 0 all as expected, 1 some not, 2 error.
 */
#include "cli/verb_policy.h"
#include "policy/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum form { FORM_TEXT, FORM_JSON, FORM_JUNIT };

struct run {
	enum form form;
	unsigned cases, failures;
	bool error;
	const char *comma;
};

static void out_xml(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '<' || c == '>' || c == '&' || c == '"')
			printf("&#%u;", c);
		else if (c < 0x20 || c >= 0x7f)
			putchar('?');
		else
			putchar(c);
	}
}

static void report(struct run *t, struct str file, struct str request, const char *fault)
{
	t->cases++;
	t->failures += fault != NULL;
	switch (t->form) {
	case FORM_TEXT:
		printf("%s  ", fault ? "FAIL" : "ok");
		out_text(request);
		if (fault) {
			printf("  (");
			out_text(str_of(fault));
			putchar(')');
		}
		putchar('\n');
		break;
	case FORM_JSON:
		printf("%s{ \"file\": ", t->comma);
		t->comma = ",\n  ";
		out_json(file);
		printf(", \"request\": ");
		out_json(request);
		printf(", \"ok\": %s", fault ? "false" : "true");
		if (fault) {
			printf(", \"message\": ");
			out_json(str_of(fault));
		}
		printf(" }");
		break;
	case FORM_JUNIT:
		printf("    <testcase classname=\"");
		out_xml(file);
		printf("\" name=\"");
		out_xml(request);
		if (fault) {
			printf("\"><failure message=\"");
			out_xml(str_of(fault));
			printf("\"/></testcase>\n");
		} else {
			printf("\"/>\n");
		}
	}
}

static bool job_of(const struct node *job, struct job_facts *f)
{
	char text[1024];

	for (const struct node *m = job ? job->first : NULL; m; m = m->next) {
		if (m->kind != NODE_STRING)
			return false;
		snprintf(text, sizeof(text), "%.*s=%.*s", STR_ARG(m->key), STR_ARG(m->text));
		/* The key and the value outlive the case in the tree; only the check is wanted of
		 * this. */
		if (!job_fact_add(f, str_of(text)))
			return false;
		f->list[f->n - 1] = (struct fact){ m->key, m->text };
	}
	return true;
}

/* NULL: as expected. Else what is not, in words. */
static const char *judge(const struct policy_set *set, const struct node *c, char *text,
			 size_t size, struct run *t)
{
	const struct node *request = node_get(c, "request"), *expect = node_get(c, "expect"),
			  *rule = node_get(c, "rule");
	static const char *const keys[] = { "job", "request", "expect", "rule" };
	struct job_facts facts = { 0 };
	const char *got, *why = NULL;
	struct decision d;
	struct policy p;
	int r;

	for (const struct node *m = c->first; m; m = m->next) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			known = known || str_is(m->key, keys[i]);
		if (!known) {
			t->error = true;
			snprintf(text, size, "unknown key \"%.*s\"", STR_ARG(m->key));
			return text;
		}
	}
	if (!request || request->kind != NODE_STRING || !expect || expect->kind != NODE_STRING ||
	    (!str_is(expect->text, "allow") && !str_is(expect->text, "deny")) ||
	    (rule && rule->kind != NODE_STRING) || !job_of(node_get(c, "job"), &facts)) {
		t->error = true;
		return "a case has request, expect (allow or deny), and if wanted job and rule";
	}
	r = policy_set_pick(set, &facts, &p);
	if (r == -ENOENT) {
		return str_is(expect->text, "deny") ? NULL : "the policy is not for this job";
	} else if (r < 0) {
		t->error = true;
		return r == -ENOTUNIQ ? "two roles fit this job equally well"
				      : "the file holds no policy";
	}
	if (policy_decide(&p, request->text, &d, &why) < 0) {
		t->error = true;
		return why;
	}
	got = d.verdict.verdict == VERDICT_ALLOW ? "allow" : "deny";
	if (!str_is(expect->text, got))
		snprintf(text, size, "expected %.*s, got %s: %s%s%.*s", STR_ARG(expect->text), got,
			 d.why ? d.why : reason_sentence(d.verdict.reason),
			 d.verdict.rule.n ? ", rule " : "", STR_ARG(d.verdict.rule));
	else if (rule && !str_eq(rule->text, d.verdict.rule))
		snprintf(text, size, "expected rule %.*s, got %.*s", STR_ARG(rule->text),
			 d.verdict.rule.n ? (int)d.verdict.rule.n : 4,
			 d.verdict.rule.n ? d.verdict.rule.p : "none");
	else
		return NULL;
	return text;
}

static int run_cases(struct run *t, const char *file, const struct node *root)
{
	const struct node *policy = node_get(root, "policy"), *cases = node_get(root, "cases"),
			  *credentials = node_get(root, "credentials");
	const char *slash = strrchr(file, '/');
	int dir = slash ? (int)(slash - file) + 1 : 0;
	char paths[17][1024];
	const char *files[17];
	struct policy_set set;
	char text[1024];
	size_t n = 0;
	int r;

	if (!policy || policy->kind != NODE_STRING || !cases || cases->kind != NODE_ARRAY)
		return cli_fail(2, "%s: must be { \"policy\": \"FILE\", \"cases\": [...] }", file);
	snprintf(paths[n++], sizeof(paths[0]), "%.*s%.*s", dir, file, STR_ARG(policy->text));
	for (const struct node *m = credentials ? credentials->first : NULL;
	     m && n < ARRAY_SIZE(paths); m = m->next)
		if (m->kind == NODE_STRING)
			snprintf(paths[n++], sizeof(paths[0]), "%.*s%.*s", dir, file,
				 STR_ARG(m->text));
	for (size_t i = 0; i < n; i++)
		files[i] = paths[i];
	r = policy_set_open(&set, files, n, false);
	for (const struct node *c = r == 0 ? cases->first : NULL; c; c = c->next) {
		const struct node *request = node_get(c, "request");
		struct str shown = request && request->kind == NODE_STRING ? request->text
									   : STR("(no request)");

		report(t, str_of(file), shown, judge(&set, c, text, sizeof(text), t));
	}
	policy_set_done(&set);
	return r;
}

static int run_file(struct run *t, const char *file)
{
	char path[1024];
	size_t n = strlen(file);
	cleanup_close int fd = -1;
	struct diag_file f;
	struct node *root;
	struct arena a;
	struct diag d;
	struct buf text;
	ssize_t got;
	int r = 2;

	/* A policy's name stands for its cases. */
	if (n > 5 && strcmp(file + n - 5, ".json") == 0 &&
	    (n < 10 || strcmp(file + n - 10, ".test.json") != 0))
		snprintf(path, sizeof(path), "%.*s.test.json", (int)(n - 5), file);
	else
		snprintf(path, sizeof(path), "%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return cli_fail(2, "%s: %s", path, strerror(errno));
	buf_init(&text, SOURCE_SIZE_MAX + 8192);
	while (buf_reserve(&text, 4096) == 0 &&
	       (got = read(fd, text.p + text.n, text.size - text.n)) > 0)
		text.n += (size_t)got;
	arena_init(&a, 256u << 20);
	diag_init(&d);
	f = (struct diag_file){ str_of(path), buf_str(&text) };
	root = json_load(&a, &f, &d);
	if (root && root->kind == NODE_OBJECT)
		r = run_cases(t, path, root);
	else if (root)
		cli_fail(2, "%s: must be an object", path);
	else
		fprintf(stderr, "%.*s", STR_ARG(buf_str(&d.text)));
	diag_done(&d);
	arena_done(&a);
	buf_done(&text);
	return r;
}

int policy_test(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "junit", no_argument, NULL, 'U' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct run t = { .comma = "" };
	int o;

	optind = 1;
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h')
			return printf("usage: egret policy test FILE... [--json|--junit]\n") < 0;
		if (o != 'J' && o != 'U')
			return cli_fail(2, "usage: egret policy test FILE... [--json|--junit]");
		t.form = o == 'J' ? FORM_JSON : FORM_JUNIT;
	}
	if (optind == argc)
		return cli_fail(2, "no file; usage: egret policy test FILE... [--json|--junit]");
	if (t.form == FORM_JSON)
		printf("[ ");
	if (t.form == FORM_JUNIT)
		printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite "
		       "name=\"egret policy test\">\n");
	for (; optind < argc; optind++)
		if (run_file(&t, argv[optind]))
			t.error = true;
	if (t.form == FORM_JSON)
		printf(" ]\n");
	else if (t.form == FORM_JUNIT)
		printf("  </testsuite>\n</testsuites>\n");
	else
		printf("%u of %u as expected\n", t.cases - t.failures, t.cases);
	return t.error ? 2 : t.failures ? 1 : 0;
}
