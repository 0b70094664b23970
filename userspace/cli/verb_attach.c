/* SPDX-License-Identifier: Apache-2.0 */
/* egret attach: a container or a cgroup that runs already becomes a job, or a member of one. For
 * administrators; egretd finds out what it is. */
#include "cli/job_ask.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
	"Usage: egret attach --container ID|--cgroup PATH [--job JOB] [--json]\n"
	"       egret attach --container ID|--cgroup PATH [--policy FILE|--policy-name NAME]\n"
	"                    [--label KEY=VALUE]... [--json]\n"
	"What runs in a container or a cgroup is governed from now on: as a member of a job, or "
	"as\n"
	"a job of its own, whose name is printed. Connections that it has are not carried over.\n"
	"\n"
	"  --container ID      the engine's id, 12 or more of its digits\n"
	"  --cgroup PATH       below the jobs' slice (egret.slice)\n"
	"  --job JOB           it joins this job\n"
	"  --policy FILE       its policy (default: the installed one whose `for` fits the "
	"labels)\n"
	"  --policy-name NAME  the installed policy of that name\n"
	"  --label KEY=VALUE   a fact about it; may be repeated\n"
	"  --json              print the whole job\n"
	"\n"
	"Exit status: 0 done, 1 refused, 2 usage or policy. See egret-attach(1).\n";

struct attach {
	const char *container, *cgroup, *job, *policy, *policy_name;
	const char *labels[JOB_LABELS_MAX];
	unsigned nlabels;
	bool json;
};

static int check(const struct attach *a)
{
	if (!a->container == !a->cgroup)
		return cli_fail(2, "--container ID or --cgroup PATH, one of them");
	if (a->container && (strlen(a->container) < 12 || strlen(a->container) > 64 ||
			     strspn(a->container, "0123456789abcdef") != strlen(a->container)))
		return cli_fail(2,
				"--container %s: the engine's id, 12 to 64 digits of it; names can "
				"be given to another",
				a->container);
	if (a->job && (a->policy || a->policy_name || a->nlabels))
		return cli_fail(2, "--job: its policy and facts are that job's; leave out "
				   "--policy, --policy-name and --label");
	if (a->policy && a->policy_name)
		return cli_fail(2, "--policy or --policy-name, one of them");
	return -1;
}

static int parse(struct attach *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "container", required_argument, NULL, 'c' },
		{ "cgroup", required_argument, NULL, 'g' },
		{ "job", required_argument, NULL, 'o' },
		{ "policy", required_argument, NULL, 'p' },
		{ "policy-name", required_argument, NULL, 'n' },
		{ "label", required_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int o, e = -1;

	while (e < 0 && (o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'c':
			a->container = optarg;
			break;
		case 'g':
			a->cgroup = optarg;
			break;
		case 'o':
			a->job = optarg;
			break;
		case 'p':
			a->policy = optarg;
			break;
		case 'n':
			a->policy_name = optarg;
			break;
		case 'l':
			e = job_label_add(a->labels, &a->nlabels, optarg);
			break;
		case 'j':
			a->json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (e < 0 && optind < argc)
		e = cli_fail(2, "%s: options only", argv[optind]);
	return e < 0 ? check(a) : e;
}

int verb_attach(int argc, char **argv)
{
	struct attach a = { .json = false };
	struct source_list sources = { .n = 0 };
	cleanup_close int sock = -1;
	struct msg_out q;
	struct msg_in m;
	unsigned i;
	int e = parse(&a, argc, argv);

	if (e < 0 && a.policy)
		e = sources_policy(&sources, a.policy);
	if (e < 0)
		e = job_connect(&sock);
	if (e < 0) {
		msg_begin(&q, MSG_ATTACH, 1);
		if (a.container)
			msg_put_str(&q, TAG_CONTAINER, str_of(a.container));
		else
			msg_put_str(&q, TAG_CGROUP, str_of(a.cgroup));
		if (a.job)
			msg_put_str(&q, TAG_JOB_NAME, str_of(a.job));
		for (i = 0; i < a.nlabels; i++)
			msg_put_str(&q, TAG_LABEL, str_of(a.labels[i]));
		if (a.policy_name)
			msg_put_str(&q, TAG_POLICY, str_of(a.policy_name));
		job_put_sources(&q, &sources);
		e = job_ask(sock, &q, &m);
		if (!e)
			e = job_answer(&m, a.json);
	}
	sources_done(&sources);
	return e;
}
