/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See claims.h. Tables say which claim is which fact. Two facts are made rather than copied:
 *
 * ref   is always a full one (refs/heads/main, refs/tags/v1), so that nobody passes a tag off as
 * the branch of that name. fork  no system says it in so many words. It is "false" for events that
 * only somebody with write access to the repository brings about, "true" where GitLab names another
 * project as the one whose runner works, and else absent: a policy then has to name the event.
 */
#include "identity/claims.h"

#include <errno.h>
#include <stdio.h>

struct mapping {
	const char *fact, *claim;
	bool must;
};

/* The first fifteen keys of facts are what `for` knows (policy/load_for.c); the others tell jobs of
 * one run apart. */
static const struct mapping github[] = {
	{ "org", "repository_owner", true },
	{ "repo", "repository", true },
	{ "repo_id", "repository_id", true },
	{ "repo_owner_id", "repository_owner_id", false },
	{ "ref", "ref", true },
	{ "sha", "sha", true },
	{ "event", "event_name", true },
	{ "workflow", "workflow", false },
	{ "environment", "environment", false },
	{ "run_id", "run_id", true },
	{ "run_attempt", "run_attempt", false },
	{ "actor", "actor", false },
	{ "runner_environment", "runner_environment", false },
	{ "job_workflow_ref", "job_workflow_ref", false },
};
static const struct mapping gitlab[] = {
	{ "org", "namespace_path", true },    { "repo", "project_path", true },
	{ "repo_id", "project_id", true },    { "sha", "sha", false },
	{ "event", "pipeline_source", true }, { "environment", "environment", false },
	{ "run_id", "pipeline_id", true },    { "job_id", "job_id", true },
	{ "actor", "user_login", false },     { "runner", "runner_id", false },
};
static const struct mapping buildkite[] = {
	{ "org", "organization_slug", true }, { "workflow", "pipeline_slug", true },
	{ "repo_id", "pipeline_id", false },  { "sha", "build_commit", true },
	{ "event", "build_source", false },   { "run_id", "build_number", true },
	{ "job", "step_key", false },	      { "job_id", "job_id", true },
	{ "runner", "agent_id", false },
};
/* An issuer of one's own may use our words. */
static const struct mapping generic[] = {
	{ "org", "org", false },	 { "repo", "repo", false },
	{ "repo_id", "repo_id", false }, { "ref", "ref", false },
	{ "sha", "sha", false },	 { "event", "event", false },
	{ "fork", "fork", false },	 { "workflow", "workflow", false },
	{ "job", "job", false },	 { "stage", "stage", false },
	{ "run_id", "run_id", false },	 { "environment", "environment", false },
	{ "actor", "actor", false },	 { "runner", "runner", false },
};
/* Events by which only people with write access start a job. */
static const char *const github_own[] = {
	"push",	   "schedule", "workflow_dispatch", "repository_dispatch",
	"release", "create",   "deployment",	    "merge_group"
};
static const char *const gitlab_own[] = { "push", "web",  "trigger", "schedule",
					  "api",  "chat", "webide" };

struct mapping_run {
	struct arena *a;
	const struct node *claims;
	struct claims_facts *to;
	char *why;
	size_t why_n;
};

static int refuse(const struct mapping_run *m, const char *claim, const char *what)
{
	snprintf(m->why, m->why_n, "the token's claim %s %s", claim, what);
	return -EINVAL;
}

static void add(const struct mapping_run *m, const char *fact, const char *before, struct str value)
{
	size_t size = strlen(fact) + strlen(before) + value.n + 2;
	char *line = arena_new(m->a, size);

	snprintf(line, size, "%s=%s%.*s", fact, before, STR_ARG(value));
	m->to->at[m->to->n++] = str_of(line);
}

/* A text, a whole number or a boolean, as text. 1: there; 0: absent, null or empty. */
static int value_of(const struct mapping_run *m, const char *claim, struct str *ret)
{
	const struct node *v = node_get(m->claims, claim);
	char number[32];

	if (!v || v->kind == NODE_NULL)
		return 0;
	switch (v->kind) {
	case NODE_STRING:
		if (!claim_text(m->claims, claim, ret))
			return refuse(m, claim, "is too long or holds control characters");
		return ret->n > 0;
	case NODE_NUMBER:
		if (v->number < 0 || v->number >= 1ll << 53)
			return refuse(m, claim, "is a number beyond 2^53");
		snprintf(number, sizeof(number), "%lld", (long long)v->number);
		*ret = arena_str(m->a, str_of(number));
		return 1;
	case NODE_BOOL:
		*ret = v->number ? STR("true") : STR("false");
		return 1;
	default:
		return refuse(m, claim, "is neither text nor number");
	}
}

static int map(const struct mapping_run *m, const struct mapping *rows, size_t n)
{
	struct str value;

	for (size_t i = 0; i < n; i++) {
		int r = value_of(m, rows[i].claim, &value);

		if (r < 0)
			return r;
		if (r > 0)
			add(m, rows[i].fact, "", value);
		else if (rows[i].must)
			return refuse(m, rows[i].claim,
				      "is missing; is the issuer's kind right in the "
				      "configuration (identity.kind)?");
	}
	return 0;
}

static bool one_of(const struct mapping_run *m, const char *claim, const char *const *words,
		   size_t n)
{
	struct str value;

	if (value_of(m, claim, &value) <= 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (str_is(value, words[i]))
			return true;
	return false;
}

static int map_github(const struct mapping_run *m)
{
	int r = map(m, github, ARRAY_SIZE(github));

	if (r == 0 && one_of(m, "event_name", github_own, ARRAY_SIZE(github_own)))
		add(m, "fork", "", STR("false"));
	return r;
}

/* project_* is the project of the code; where a fork's pipeline runs in another project, that one
 * is job_project_*. */
static int gitlab_fork(const struct mapping_run *m)
{
	struct str project, working;
	int r = value_of(m, "job_project_id", &working);

	if (r < 0 || value_of(m, "project_id", &project) <= 0)
		return r;
	if (r > 0 && !str_eq(project, working))
		add(m, "fork", "", STR("true"));
	else if (one_of(m, "pipeline_source", gitlab_own, ARRAY_SIZE(gitlab_own)))
		add(m, "fork", "", STR("false"));
	return 0;
}

static int map_gitlab(const struct mapping_run *m)
{
	struct str ref, type;
	int r = map(m, gitlab, ARRAY_SIZE(gitlab));

	if (r < 0)
		return r;
	r = value_of(m, "ref_path", &ref);
	if (r > 0) {
		add(m, "ref", "", ref);
	} else if (r == 0 && (r = value_of(m, "ref", &ref)) > 0 &&
		   (r = value_of(m, "ref_type", &type)) > 0) {
		if (str_is(type, "branch"))
			add(m, "ref", "refs/heads/", ref);
		else if (str_is(type, "tag"))
			add(m, "ref", "refs/tags/", ref);
	}
	return r < 0 ? r : gitlab_fork(m);
}

static int map_buildkite(const struct mapping_run *m)
{
	struct str org, pipeline, ref;
	char repo[2 * TOKEN_TEXT_MAX + 2];
	int r = map(m, buildkite, ARRAY_SIZE(buildkite));

	if (r < 0)
		return r;
	if (value_of(m, "organization_slug", &org) <= 0 ||
	    value_of(m, "pipeline_slug", &pipeline) <= 0)
		return -EINVAL;
	snprintf(repo, sizeof(repo), "%.*s/%.*s", STR_ARG(org), STR_ARG(pipeline));
	add(m, "repo", "", str_of(repo));
	r = value_of(m, "build_tag", &ref);
	if (r > 0)
		add(m, "ref", "refs/tags/", ref);
	else if (r == 0 && (r = value_of(m, "build_branch", &ref)) > 0)
		add(m, "ref", "refs/heads/", ref);
	return r < 0 ? r : 0;
}

int claims_facts(struct arena *a, const struct token *t, struct str kind, struct claims_facts *ret,
		 char *why, size_t n)
{
	struct claims_facts facts = { 0 };
	struct mapping_run m = { a, t->claims, &facts, why, n };
	int r;

	add(&m, "provider", "", kind);
	if (str_is(kind, "github")) {
		r = map_github(&m);
	} else if (str_is(kind, "gitlab")) {
		r = map_gitlab(&m);
	} else if (str_is(kind, "buildkite")) {
		r = map_buildkite(&m);
	} else if (str_is(kind, "generic")) {
		r = map(&m, generic, ARRAY_SIZE(generic));
		if (r == 0 && facts.n == 1) {
			snprintf(why, n,
				 "the token has none of the claims org, repo, repo_id, ref, sha, "
				 "event, workflow, job, environment, actor");
			r = -EINVAL;
		}
	} else {
		snprintf(why, n, "the issuer's kind is unknown");
		r = -EINVAL;
	}
	if (r == 0)
		*ret = facts;
	return r;
}
