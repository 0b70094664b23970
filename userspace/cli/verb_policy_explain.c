/* SPDX-License-Identifier: Apache-2.0 */
/* egret policy explain: what a policy says to one request, and the line that would change it. Exit
 * 0 allow, 1 deny, 2 error. */
#include "cli/verb_policy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

static const char usage[] = "egret policy explain --policy FILE [--credential FILE] [--job "
			    "key=value]... [--json] 'POST https://host/path'";

static struct str rule_text(const struct decision *d)
{
	return d->verdict.rule;
}

static void print_json(struct str request, const struct policy *p, const struct decision *d)
{
	printf("{ \"request\": ");
	out_json(request);
	printf(", \"verdict\": \"%s\", \"reason\": \"%s\"", event_verdict_name(d->verdict.verdict),
	       reason_word(d->verdict.reason));
	if (d->why) {
		printf(", \"message\": ");
		out_json(str_of(d->why));
	}
	if (d->verdict.rule.n) {
		printf(", \"rule\": ");
		out_json(rule_text(d));
	}
	if (d->verdict.nearest.n) {
		printf(", \"nearest\": ");
		out_json(d->verdict.nearest);
	}
	if (d->verdict.credential.n) {
		printf(", \"credential\": ");
		out_json(d->verdict.credential);
	}
	if (d->verdict.refs)
		printf(", \"refs\": true");
	if (d->passed_through)
		printf(", \"opened\": false");
	if (d->direct)
		printf(", \"direct\": true");
	if (d->suggest[0]) {
		printf(", \"suggest\": ");
		out_json(str_of(d->suggest));
	}
	printf(", \"policy\": { \"name\": ");
	out_json(policy_name(p));
	printf(", \"digest\": \"%.*s\" } }\n", STR_ARG(policy_digest(p)));
}

static void print_line(const char *label, struct str s)
{
	printf("%-12s", label);
	out_text(s);
	putchar('\n');
}

static void print_text(struct str request, const struct policy *p, const struct decision *d)
{
	bool color = cli_color(1);
	bool allow = d->verdict.verdict == VERDICT_ALLOW;

	printf("%s%s%s  ", color ? (allow ? "\033[32m" : "\033[31m") : "",
	       event_verdict_name(d->verdict.verdict), color ? "\033[0m" : "");
	out_text(request);
	putchar('\n');
	if (d->verdict.rule.n)
		print_line("rule", d->verdict.rule);
	if (!allow)
		print_line("reason", str_of(d->why ? d->why : reason_sentence(d->verdict.reason)));
	if (d->verdict.refs)
		print_line("refs",
			   STR("each that it pushes must be allowed, too: write one behind the "
			       "address"));
	if (d->direct)
		print_line("direct", STR("yes: by no proxy, where the job has a link"));
	if (d->passed_through)
		print_line("opened", STR("no: passed through as it is"));
	if (d->verdict.credential.n)
		print_line("credential", d->verdict.credential);
	if (d->verdict.nearest.n)
		print_line("nearest", d->verdict.nearest);
	if (d->suggest[0])
		print_line("to allow it", str_of(d->suggest));
	print_line("policy", policy_name(p));
}

int policy_explain(int argc, char **argv)
{
	static const struct option options[] = {
		{ "policy", required_argument, NULL, 'p' },
		{ "credential", required_argument, NULL, 'c' },
		{ "job", required_argument, NULL, 'j' },
		{ "json", no_argument, NULL, 'J' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *files[17], *why = NULL;
	struct job_facts facts = { 0 };
	struct policy_set set;
	struct decision d;
	struct policy p;
	bool json = false;
	size_t nfiles = 1;
	int o, r;

	files[0] = NULL;
	optind = 1;
	while ((o = getopt_long(argc, argv, "p:c:j:h", options, NULL)) != -1) {
		if (o == 'p' && !files[0])
			files[0] = optarg;
		else if (o == 'c' && nfiles < ARRAY_SIZE(files))
			files[nfiles++] = optarg;
		else if (o == 'J')
			json = true;
		else if (o == 'h')
			return printf("usage: %s\n", usage) < 0;
		else if (o != 'j' || !job_fact_add(&facts, str_of(optarg)))
			return cli_fail(2, "usage: %s", usage);
	}
	if (!files[0] || optind + 1 != argc)
		return cli_fail(2, "usage: %s", usage);
	r = policy_set_open(&set, files, nfiles, false);
	if (r == 0) {
		int picked = policy_set_pick(&set, &facts, &p);

		if (picked == -ENOENT || picked == -ENOTUNIQ)
			r = cli_fail(
				1, "%s",
				picked == -ENOENT
					? "the policy is not for this job: its \"for\" does not fit"
					: "two roles fit this job equally well");
		else if (picked < 0)
			r = cli_fail(2, "%s holds no policy", files[0]);
		else if (policy_decide(&p, str_of(argv[optind]), &d, &why) < 0)
			r = cli_fail(2, "%s", why);
		else {
			if (json)
				print_json(str_of(argv[optind]), &p, &d);
			else
				print_text(str_of(argv[optind]), &p, &d);
			/* An audit policy lets it through; the question was what the rules say. */
			r = d.verdict.verdict == VERDICT_ALLOW ? 0 : 1;
		}
	}
	policy_set_done(&set);
	return r;
}
