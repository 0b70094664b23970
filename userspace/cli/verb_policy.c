/* SPDX-License-Identifier: Apache-2.0 */
/* egret policy check | explain | test. Runs as the caller, talks to nobody; policies are judged by
 * the library that the proxy runs. */
#include "cli/verb_policy.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: egret policy check FILE... [--json]\n"
			    "       egret policy explain --policy FILE [--credential FILE] [--job "
			    "key=value]... [--json] 'POST https://host/path'\n"
			    "       egret policy test FILE... [--json|--junit]\n";

/* "file:line:column: message" as an object. */
static void diag_json(struct str line)
{
	const char *p = line.p, *end = line.p + line.n, *colon[3] = { NULL, NULL, NULL };

	/* The numbers stand behind the first ":digits:digits: ", whatever the file is called. */
	for (const char *c = p; c < end && !colon[2]; c++) {
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
		colon[0] = c;
		colon[1] = a;
		colon[2] = b;
	}
	if (!colon[2]) {
		printf("{ \"message\": ");
		out_json(line);
		printf(" }");
		return;
	}
	printf("{ \"file\": ");
	out_json((struct str){ p, (size_t)(colon[0] - p) });
	printf(", \"line\": %.*s, \"column\": %.*s, \"message\": ", (int)(colon[1] - colon[0] - 1),
	       colon[0] + 1, (int)(colon[2] - colon[1] - 1), colon[1] + 1);
	p = colon[2] + 1;
	while (p < end && *p == ' ')
		p++;
	out_json((struct str){ p, (size_t)(end - p) });
	printf(" }");
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
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct policy_set set;
	bool json = false;
	int o, r;

	optind = 1;
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h')
			return fputs(usage, stdout) < 0;
		if (o != 'J')
			return cli_fail(2, "usage: egret policy check FILE... [--json]");
		json = true;
	}
	if (optind == argc)
		return cli_fail(2, "no file; usage: egret policy check FILE... [--json]");
	r = policy_set_open(&set, (const char *const *)argv + optind, (size_t)(argc - optind),
			    json);
	if (json && set.n) {
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
