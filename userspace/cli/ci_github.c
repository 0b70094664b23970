/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts of a GitHub Actions job, in the job-started hook: the runner makes that environment from
 * the server's message, a workflow's `env:` is not in it. Whether the code is a fork's stands only
 * in the event's file: the server wrote it, but titles and names in it are anybody's, so it is read
 * by the strict reader (policy/scan.h), bounded, as the runner's user.
 */
#include "cli/ci_facts.h"

#include "cli/cli.h"
#include "policy/scan.h"
#include "policy/sha256.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUNNER_FILE_MAX (64u << 10)

static const struct node *member(const struct node *n, const char *key)
{
	return n && n->kind == NODE_OBJECT ? node_get(n, key) : NULL;
}

/* Compares the numbers of two repositories; names can be given anew, numbers cannot. */
static const char *another(const struct node *head, const struct node *base)
{
	const struct node *a = member(head, "id"), *b = member(base, "id");

	if (!a || !b || a->kind != NODE_NUMBER || b->kind != NODE_NUMBER)
		return "unknown";
	return a->number == b->number ? "false" : "true";
}

const char *ci_github_fork(struct str text)
{
	struct diag_file f = { .name = STR("event"), .text = text };
	const struct node *root, *pull, *run;
	const char *fork = "unknown";
	struct arena a;
	struct diag d;

	if (text.n > SOURCE_SIZE_MAX)
		return fork;
	arena_init(&a, 64u << 20);
	diag_init(&d);
	root = json_load(&a, &f, &d);
	pull = member(root, "pull_request");
	run = member(root, "workflow_run");
	if (pull)
		fork = another(member(member(pull, "head"), "repo"),
			       member(member(pull, "base"), "repo"));
	else if (run)
		fork = another(member(run, "head_repository"), member(root, "repository"));
	diag_done(&d);
	arena_done(&a);
	return fork;
}

int ci_github_label(struct str text, char to[7])
{
	cleanup_free char *lower = NULL;
	uint8_t digest[32];
	size_t i;

	if (text.n >= 3 && !memcmp(text.p, "\xef\xbb\xbf", 3))
		text = (struct str){ text.p + 3, text.n - 3 };
	lower = mem_dup(text);
	for (i = 0; i < text.n; i++) {
		if ((unsigned char)lower[i] >= 0x80)
			return -EILSEQ; /* its lower case is Unicode's */
		if (lower[i] >= 'A' && lower[i] <= 'Z')
			lower[i] = (char)(lower[i] + ('a' - 'A'));
	}
	sha256(lower, text.n, digest);
	snprintf(to, 7, "%02x%02x%02x", digest[0], digest[1], digest[2]);
	return 0;
}

/* The runner's folder: above the one that its worker was started from, else two above its folder
 * for temporary files. */
static int runner_file(pid_t worker, char *to, size_t n)
{
	char link[64], exe[PATH_MAX];
	const char *temp = getenv("RUNNER_TEMP");
	ssize_t got;
	char *slash;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)worker);
	got = worker > 0 ? readlink(link, exe, sizeof(exe) - 1) : -1;
	if (got > 0) {
		exe[got] = 0;
		slash = strrchr(exe, '/');
		if (slash) {
			*slash = 0;
			snprintf(to, n, "%s/../.runner", exe);
			if (access(to, F_OK) == 0)
				return 0;
		}
	}
	if (!temp)
		return -ENOENT;
	snprintf(to, n, "%s/../../.runner", temp);
	return access(to, F_OK) == 0 ? 0 : -ENOENT;
}

static void find_label(struct ci_facts *f, pid_t worker)
{
	char path[PATH_MAX + 32];
	struct buf text = { 0 };
	int r = runner_file(worker, path, sizeof(path));

	if (!r)
		r = ci_read_file(path, RUNNER_FILE_MAX, &text);
	if (!r)
		r = ci_github_label(buf_str(&text), f->container_label);
	if (r == -EILSEQ)
		cli_fail(0,
			 "%s is not plain ASCII, so what the runner labels containers with is not "
			 "known; give --container-label, or they will not be this job's",
			 path);
	else if (r)
		cli_fail(
			0,
			"the runner's .runner file cannot be read (%s); give --container-label, or "
			"its containers will not be this job's",
			strerror(-r));
	buf_done(&text);
}

static void find_fork(struct ci_facts *f)
{
	const char *event = getenv("GITHUB_EVENT_NAME"), *path = getenv("GITHUB_EVENT_PATH");
	struct buf text = { 0 };
	int r = -ENOENT;

	if (!event || (strncmp(event, "pull_request", 12) && strcmp(event, "workflow_run")))
		return;
	if (path)
		r = ci_read_file(path, SOURCE_SIZE_MAX, &text);
	ci_fact(f, "fork", r ? STR("unknown") : str_of(ci_github_fork(buf_str(&text))));
	buf_done(&text);
}

void ci_github(struct ci_facts *f, pid_t worker)
{
	static const char *const table[][2] = {
		{ "org", "GITHUB_REPOSITORY_OWNER" },
		{ "repo", "GITHUB_REPOSITORY" },
		{ "repo_id", "GITHUB_REPOSITORY_ID" },
		{ "ref", "GITHUB_REF" },
		{ "sha", "GITHUB_SHA" },
		{ "event", "GITHUB_EVENT_NAME" },
		{ "workflow", "GITHUB_WORKFLOW" },
		{ "job", "GITHUB_JOB" },
		{ "run_id", "GITHUB_RUN_ID" },
		{ "actor", "GITHUB_ACTOR" },
		{ "runner", "RUNNER_NAME" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		ci_fact_env(f, table[i][0], table[i][1]);
	find_fork(f);
	find_label(f, worker);
}
