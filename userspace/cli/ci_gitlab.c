/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts of a GitLab job, in a custom executor's hooks. The environment there (CUSTOM_ENV_*) is no
 * source: a `variables:` of the job's own file comes before the predefined ones. What the server
 * said is in the file that JOB_RESPONSE_FILE names; its job_info and git_info are the server's own
 * words. It says neither event nor fork: such a job fits only a policy that names the unknown
 * event (egret-policy(5), "for").
 */
#include "cli/ci_facts.h"

#include "cli/cli.h"
#include "policy/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void fact_of(struct ci_facts *f, const char *key, const struct node *object,
		    const char *name)
{
	const struct node *n =
		object && object->kind == NODE_OBJECT ? node_get(object, name) : NULL;
	char number[32];

	if (n && n->kind == NODE_STRING) {
		ci_fact(f, key, n->text);
	} else if (n && n->kind == NODE_NUMBER) {
		snprintf(number, sizeof(number), "%lld", (long long)n->number);
		ci_fact(f, key, str_of(number));
	}
}

int ci_gitlab_facts(struct ci_facts *f, struct str text)
{
	struct diag_file file = { .name = STR("job response"), .text = text };
	const struct node *root, *job, *git, *url;
	struct arena a;
	struct diag d;
	int r = -EBADMSG;

	arena_init(&a, 64u << 20);
	diag_init(&d);
	root = json_load(&a, &file, &d);
	job = root && root->kind == NODE_OBJECT ? node_get(root, "job_info") : NULL;
	git = job ? node_get(root, "git_info") : NULL;
	if (git && git->kind == NODE_OBJECT && job->kind == NODE_OBJECT) {
		url = node_get(git, "repo_url");
		if (url && url->kind == NODE_STRING)
			ci_fact(f, "repo", ci_repo_of(url->text));
		fact_of(f, "repo_id", job, "project_id");
		fact_of(f, "job", job, "name");
		fact_of(f, "stage", job, "stage");
		fact_of(f, "run_id", root, "id");
		fact_of(f, "ref", git, "ref");
		fact_of(f, "sha", git, "sha");
		ci_fact(f, "event", STR("unknown"));
		r = 0;
	}
	diag_done(&d);
	arena_done(&a);
	return r;
}

int ci_gitlab(struct ci_facts *f)
{
	const char *path = getenv("JOB_RESPONSE_FILE");
	struct buf text = { 0 };
	int r;

	if (!path)
		return cli_fail(1, "JOB_RESPONSE_FILE is not set: this is for the hooks of "
				   "GitLab's custom executor; its docker executor needs none");
	r = ci_read_file(path, SOURCE_SIZE_MAX, &text);
	if (!r)
		r = ci_gitlab_facts(f, buf_str(&text));
	buf_done(&text);
	return r ? cli_fail(1, "%s: %s", path,
			    r == -EBADMSG ? "it is no job response of GitLab's" : strerror(-r))
		 : -1;
}
