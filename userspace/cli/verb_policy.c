/* SPDX-License-Identifier: Apache-2.0 */
/* egret policy check | explain | test. Runs as the caller, talks to nobody; policies are judged by
 * the library that the proxy runs. */
#include "cli/verb_policy.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: egret policy check FILE... [--json|--sarif]\n"
			    "       egret policy explain --policy FILE [--credential FILE] [--job "
			    "key=value]... [--json] 'POST https://host/path'\n"
			    "       egret policy test FILE... [--json|--junit]\n";

/* "file:line:column: message" in its parts; false: there is no place in it. */
struct placed {
	struct str file, line, column, message;
};

static bool placed(struct str text, struct placed *ret)
{
	const char *p = text.p, *end = text.p + text.n;

	/* The numbers stand behind the first ":digits:digits: ", whatever the file is called. */
	for (const char *c = p; c < end; c++) {
		const char *a = c + 1, *b;

		if (*c != ':')
			continue;
		while (a < end && *a >= '0' && *a <= '9')
			a++;
		if (a == c + 1 || a == end || *a != ':')
			continue;
		b = a + 1;
		while (b < end && *b >= '0' && *b <= '9')
			b++;
		if (b == a + 1 || b == end || *b != ':')
			continue;
		*ret = (struct placed){ { p, (size_t)(c - p) },
					{ c + 1, (size_t)(a - c - 1) },
					{ a + 1, (size_t)(b - a - 1) },
					{ b + 1, (size_t)(end - b - 1) } };
		while (ret->message.n && ret->message.p[0] == ' ')
			ret->message = (struct str){ ret->message.p + 1, ret->message.n - 1 };
		return true;
	}
	return false;
}

static void diag_json(struct str line)
{
	struct placed at;

	if (!placed(line, &at)) {
		printf("{ \"message\": ");
		out_json(line);
		printf(" }");
		return;
	}
	printf("{ \"file\": ");
	out_json(at.file);
	printf(", \"line\": %.*s, \"column\": %.*s, \"message\": ", STR_ARG(at.line),
	       STR_ARG(at.column));
	out_json(at.message);
	printf(" }");
}

/* RFC 3986: what is no unreserved byte of a path is written in hexadecimal. */
static void out_uri(struct str path)
{
	putchar('"');
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    (c && strchr("-._~/", c)))
			putchar(c);
		else
			printf("%%%02X", c);
	}
	putchar('"');
}

/* SARIF 2.1.0 (OASIS), as code hosts take it: one result a sentence. A path is a relative reference
 * where the file was named so. */
static void results_sarif(const char *level, const struct diag *d, const char **comma)
{
	struct str left = buf_str(&d->text);

	while (left.n) {
		const char *end = memchr(left.p, '\n', left.n);
		size_t n = end ? (size_t)(end - left.p) : left.n;
		struct str line = { left.p, n };
		struct placed at = { .message = line };
		bool known = placed(line, &at);

		printf("%s\n      { \"ruleId\": \"policy-%s\", \"level\": \"%s\", "
		       "\"message\": { \"text\": ",
		       *comma, level, level);
		*comma = ",";
		out_json(at.message);
		printf(" }");
		if (known) {
			printf(", \"locations\": [ { \"physicalLocation\": { "
			       "\"artifactLocation\": { \"uri\": ");
			out_uri(at.file);
			printf(" }, \"region\": { \"startLine\": %.*s, \"startColumn\": %.*s } } } "
			       "]",
			       STR_ARG(at.line), STR_ARG(at.column));
		}
		printf(" }");
		n += end != NULL;
		left = (struct str){ left.p + n, left.n - n };
	}
}

static void sarif(const struct compiled *c)
{
	const char *comma = "";

	printf("{ \"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\", \"version\": "
	       "\"2.1.0\",\n  \"runs\": [ { \"tool\": { \"driver\": { \"name\": \"egret policy "
	       "check\", \"version\": \"" EGRET_VERSION "\",\n    \"rules\": [ { \"id\": "
	       "\"policy-error\" }, { \"id\": \"policy-warning\" } ] } },\n    \"columnKind\": "
	       "\"unicodeCodePoints\",\n    \"results\": [");
	results_sarif("error", &c->errors, &comma);
	results_sarif("warning", &c->warnings, &comma);
	printf(" ] } ]\n}\n");
}

static void diags_json(const char *key, const struct diag *d)
{
	struct str left = buf_str(&d->text);
	const char *comma = "";

	printf("\"%s\": [", key);
	while (left.n) {
		const char *end = memchr(left.p, '\n', left.n);
		size_t n = end ? (size_t)(end - left.p) : left.n;

		printf("%s ", comma);
		comma = ",";
		diag_json((struct str){ left.p, n });
		n += end != NULL;
		left = (struct str){ left.p + n, left.n - n };
	}
	printf(" ]");
}

static void summary(const struct policy_set *s)
{
	for (uint32_t i = 0; i < s->compiled.npolicies; i++) {
		struct policy p;

		if (policy_open(s->compiled.policies[i], &p) < 0)
			continue;
		printf("policy %.*s: ok, %s, %.*s\n", STR_ARG(policy_name(&p)),
		       policy_mode_of(&p) == POLICY_AUDIT ? "audit" : "enforce",
		       STR_ARG(policy_digest(&p)));
	}
	if (s->compiled.ncredentials)
		printf("%u credential%s: ok\n", s->compiled.ncredentials,
		       s->compiled.ncredentials == 1 ? "" : "s");
}

static int policy_check(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "sarif", no_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct policy_set set;
	bool json = false, as_sarif = false;
	int o, r;

	optind = 1;
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h')
			return fputs(usage, stdout) < 0;
		if (o != 'J' && o != 'S')
			return cli_fail(2, "usage: egret policy check FILE... [--json|--sarif]");
		json |= o == 'J';
		as_sarif |= o == 'S';
	}
	if (optind == argc)
		return cli_fail(2, "no file; usage: egret policy check FILE... [--json|--sarif]");
	if (json && as_sarif)
		return cli_fail(2, "--json or --sarif, not both");
	r = policy_set_open(&set, (const char *const *)argv + optind, (size_t)(argc - optind),
			    json || as_sarif);
	if (as_sarif && set.n) {
		sarif(&set.compiled);
	} else if (json && set.n) {
		printf("{ \"ok\": %s, ", r == 0 ? "true" : "false");
		diags_json("errors", &set.compiled.errors);
		printf(", ");
		diags_json("warnings", &set.compiled.warnings);
		printf(" }\n");
	} else if (set.n) {
		struct str warnings = buf_str(&set.compiled.warnings.text);

		if (warnings.n)
			fprintf(stderr, "%.*s", STR_ARG(warnings));
		if (r == 0)
			summary(&set);
	}
	policy_set_done(&set);
	return r;
}

int verb_policy(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(usage, argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	if (strcmp(argv[1], "check") == 0)
		return policy_check(argc - 1, argv + 1);
	if (strcmp(argv[1], "explain") == 0)
		return policy_explain(argc - 1, argv + 1);
	if (strcmp(argv[1], "test") == 0)
		return policy_test(argc - 1, argv + 1);
	return cli_fail(2, "unknown command \"%s\"; it has check, explain and test", argv[1]);
}
