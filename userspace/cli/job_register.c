/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret job register: a hook of a CI system says which job begins, before a step of it runs. Two
 * questions on one connection: with MSG_REGISTER_BEGIN egretd names the audience (with a nonce of
 * its own) that an identity token must be for, with MSG_REGISTER come the facts, the token and the
 * worker. Any failure is the hook's failure: a job that is not registered has no network.
 */
#include "cli/ci_facts.h"
#include "cli/ci_token.h"
#include "cli/ci_worker.h"
#include "cli/job_ask.h"
#include "cli/job_tokens.h"
#include "cli/job_trust.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SERVICES_MAX 32

static const char usage[] =
	"Usage: egret job register [OPTION]...\n"
	"Registers the job that a CI system is about to run; its name is printed.\n"
	"\n"
	"  --provider NAME        github, gitlab, buildkite, jenkins or generic (default): whose\n"
	"                         environment and files say the facts\n"
	"  --label KEY=VALUE      a fact, before one of the environment; may be repeated\n"
	"  --worker WHICH         the process that becomes the job with all below it: a pid above\n"
	"                         this one, parent, github or buildkite (found by name), or none\n"
	"                         (default but for github and buildkite)\n"
	"  --container-label KEY  the label that this job's containers carry (github: found out)\n"
	"  --service NAME         a service container's name; may be repeated\n"
	"  --token-file FILE|-    the identity token; github and buildkite are asked for theirs\n"
	"  --token-for AUDIENCE=FILE  a token for a provider of credentials; may be repeated\n"
	"  --trust FOLDER         the job's CA and bundles go there, for steps on the host\n"
	"  --env FILE             with --trust: lines NAME=VALUE that make clients use them\n"
	"  --containers-only      no step of this job runs on the host\n"
	"  --keep                 what is left at the job's end is not killed\n"
	"  --policy FILE          a policy for this job (admins) instead of the installed ones\n"
	"  --policy-name NAME     the installed policy of that name (admins)\n"
	"  --json                 print the whole job\n"
	"\n"
	"Exit status: 0 registered, 1 not registered, 2 usage or policy. See egret-job(1).\n";

struct reg {
	enum ci_provider provider;
	const char *labels[JOB_LABELS_MAX], *services[SERVICES_MAX];
	unsigned nlabels, nservices;
	const char *worker, *container_label, *token_file, *policy, *policy_name, *trust, *env;
	struct job_tokens tokens;
	uint64_t flags;
	bool json;
};

static int parse(struct reg *r, int argc, char **argv)
{
	enum {
		OPT_PROVIDER = 256,
		OPT_LABEL,
		OPT_WORKER,
		OPT_CONTAINER_LABEL,
		OPT_SERVICE,
		OPT_TOKEN,
		OPT_TOKEN_FOR,
		OPT_CONTAINERS,
		OPT_KEEP,
		OPT_POLICY,
		OPT_POLICY_NAME,
		OPT_TRUST,
		OPT_ENV,
		OPT_JSON
	};
	static const struct option options[] = {
		{ "provider", required_argument, NULL, OPT_PROVIDER },
		{ "label", required_argument, NULL, OPT_LABEL },
		{ "worker", required_argument, NULL, OPT_WORKER },
		{ "container-label", required_argument, NULL, OPT_CONTAINER_LABEL },
		{ "service", required_argument, NULL, OPT_SERVICE },
		{ "token-file", required_argument, NULL, OPT_TOKEN },
		{ "token-for", required_argument, NULL, OPT_TOKEN_FOR },
		{ "containers-only", no_argument, NULL, OPT_CONTAINERS },
		{ "keep", no_argument, NULL, OPT_KEEP },
		{ "policy", required_argument, NULL, OPT_POLICY },
		{ "policy-name", required_argument, NULL, OPT_POLICY_NAME },
		{ "trust", required_argument, NULL, OPT_TRUST },
		{ "env", required_argument, NULL, OPT_ENV },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int o, e = -1;

	optind = 0;
	while (e < 0 && (o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (o) {
		case OPT_PROVIDER:
			r->provider = ci_provider_of(optarg);
			if (r->provider == CI_PROVIDERS)
				e = cli_fail(2,
					     "--provider %s: it is github, gitlab, buildkite, "
					     "jenkins or generic",
					     optarg);
			break;
		case OPT_LABEL:
			e = job_label_add(r->labels, &r->nlabels, optarg);
			break;
		case OPT_WORKER:
			r->worker = optarg;
			break;
		case OPT_CONTAINER_LABEL:
			r->container_label = optarg;
			break;
		case OPT_SERVICE:
			if (r->nservices == SERVICES_MAX)
				e = cli_fail(2, "at most %d --service", SERVICES_MAX);
			else
				r->services[r->nservices++] = optarg;
			break;
		case OPT_TOKEN:
			r->token_file = optarg;
			break;
		case OPT_TOKEN_FOR:
			e = job_token_option(&r->tokens, optarg);
			break;
		case OPT_CONTAINERS:
			r->flags |= REGISTER_CONTAINERS_ONLY;
			break;
		case OPT_KEEP:
			r->flags |= REGISTER_KEEP;
			break;
		case OPT_POLICY:
			r->policy = optarg;
			break;
		case OPT_POLICY_NAME:
			r->policy_name = optarg;
			break;
		case OPT_TRUST:
			r->trust = optarg;
			break;
		case OPT_ENV:
			r->env = optarg;
			break;
		case OPT_JSON:
			r->json = true;
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
	if (e < 0 && r->policy && r->policy_name)
		e = cli_fail(2, "--policy or --policy-name, one of them");
	if (e < 0 && r->env && !r->trust)
		e = cli_fail(2, "--env: of what --trust wrote; give both");
	return e;
}

static int find_worker(const struct reg *r, pid_t *ret)
{
	const char *how = r->worker;
	int e;

	if (!how)
		how = r->provider == CI_GITHUB	    ? "github"
		      : r->provider == CI_BUILDKITE ? "buildkite"
						    : "none";
	e = ci_worker_find(how, ret);
	if (e == -EINVAL)
		return cli_fail(2, "--worker %s: it is a pid, parent, github, buildkite or none",
				how);
	if (e < 0)
		return cli_fail(
			1,
			"no process above this one is the worker of %s; this is to be called by "
			"the runner's own hook, or with --worker PID",
			how);
	return -1;
}

/* A label given by hand comes before one of the environment. */
static void put_labels(struct msg_out *m, const struct reg *r, const struct ci_facts *facts)
{
	char provider[64];
	unsigned i, j;

	snprintf(provider, sizeof(provider), "provider=%s", ci_provider_name(r->provider));
	msg_put_str(m, TAG_LABEL, str_of(provider));
	for (i = 0; i < r->nlabels; i++)
		msg_put_str(m, TAG_LABEL, str_of(r->labels[i]));
	for (i = 0; facts && i < facts->n; i++) {
		size_t key = (size_t)(strchr(facts->list[i], '=') - facts->list[i]) + 1;

		for (j = 0; j < r->nlabels && strncmp(r->labels[j], facts->list[i], key); j++)
			;
		if (j == r->nlabels)
			msg_put_str(m, TAG_LABEL, str_of(facts->list[i]));
	}
}

/* The audience for a token; "" when none is wanted. -1, or an exit status. */
static int begin(int sock, struct reg *r, pid_t worker, const struct ci_facts *facts,
		 char *audience, size_t n)
{
	struct str text = STR("no reason was given");
	struct msg_out q;
	struct msg_in m;
	int e;

	msg_begin(&q, MSG_REGISTER_BEGIN, 1);
	put_labels(&q, r, facts);
	e = cli_ask(sock, &q, &m);
	if (e < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-e));
	e = -1;
	audience[0] = 0;
	if (m.type != MSG_REGISTER_BEGIN) {
		(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		e = cli_fail(1, "%.*s", STR_ARG(text));
	} else if (!msg_get_str(&m, TAG_AUDIENCE, n - 1, &text)) {
		snprintf(audience, n, "%.*s", STR_ARG(text));
	}
	if (e < 0)
		e = job_tokens_fetch(&r->tokens, &m, r->provider, worker);
	msg_in_done(&m);
	return e;
}

static int get_token(const struct reg *r, pid_t worker, const char *audience, int *ret)
{
	if (r->token_file && !audience[0])
		return cli_fail(1, "--token-file: egretd checks no token of this provider; see "
				   "\"identity\" in egret.json(5)");
	if (r->token_file)
		return ci_token_file(r->token_file, ret);
	return audience[0] ? ci_token(r->provider, worker, audience, ret) : -1;
}

static int registered(int sock, const struct reg *r, struct msg_out *q)
{
	struct str name = STR("");
	struct msg_in m;
	int e = job_ask(sock, q, &m);

	if (e)
		return e;
	if (r->trust && !msg_get_str(&m, TAG_JOB_NAME, 64, &name)) {
		cleanup_free char *job = mem_dup(name);

		e = job_trust(job, r->trust, r->env);
		if (e >= 0) {
			msg_in_done(&m);
			return e;
		}
	}
	return job_answer(&m, r->json);
}

static int ask(int sock, struct reg *r, pid_t worker, const struct ci_facts *facts)
{
	const char *label = r->container_label ? r->container_label : facts->container_label;
	struct source_list sources = { .n = 0 };
	char audience[PROTO_TEXT_MAX];
	cleanup_close int token = -1;
	struct msg_out q;
	unsigned i;
	int e = begin(sock, r, worker, facts, audience, sizeof(audience));

	if (e < 0)
		e = get_token(r, worker, audience, &token);
	if (e < 0 && r->policy)
		e = sources_policy(&sources, r->policy);
	if (e < 0) {
		msg_begin(&q, MSG_REGISTER, 2);
		put_labels(&q, r, facts);
		if (token >= 0)
			msg_put_fd(&q, TAG_FD_VALUE, token);
		if (worker)
			msg_put_u64(&q, TAG_PID, (uint64_t)worker);
		if (*label)
			msg_put_str(&q, TAG_CONTAINER_LABEL, str_of(label));
		for (i = 0; i < r->nservices; i++)
			msg_put_str(&q, TAG_SERVICE, str_of(r->services[i]));
		msg_put_u64(&q, TAG_FLAGS, r->flags);
		if (r->policy_name)
			msg_put_str(&q, TAG_POLICY, str_of(r->policy_name));
		job_put_sources(&q, &sources);
		job_put_tokens(&q, &r->tokens);
		e = registered(sock, r, &q);
	}
	sources_done(&sources);
	return e;
}

int job_register(int argc, char **argv)
{
	struct reg r = { .provider = CI_GENERIC };
	struct ci_facts facts = { .n = 0 };
	cleanup_close int sock = -1;
	pid_t worker = 0;
	int e = parse(&r, argc, argv);

	cli_verb_is("job register");
	if (e < 0)
		e = find_worker(&r, &worker);
	if (e < 0)
		e = ci_facts_read(r.provider, worker, &facts);
	if (e < 0)
		e = job_connect(&sock);
	if (e < 0)
		e = ask(sock, &r, worker, &facts);
	ci_facts_done(&facts);
	job_tokens_done(&r.tokens);
	return e;
}
