/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which job a container is of: by what the runner wrote on it, else by "adopt": "sole", else by
 * what the configuration says of the unregistered. Labels are void where a job other than the one
 * they name can reach an engine's socket: it could have copied them. Values come from the engine's
 * files through egret-compile; they are compared here, and become facts.
 */
#include "egretd/container.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#define GITLAB "com.gitlab.gitlab-runner."

/* May labels that name this job be believed? */
static bool labels_hold(const struct daemon *d, const struct job *named)
{
	const struct job *j;

	for (j = d->jobs; j; j = j->next)
		if (j != named && j->state != JOB_ENDING && j->reaches_engine)
			return false;
	return true;
}

/* The one network that the runner made for the job: bound by its first container. */
static bool network_fits(struct placing *p, struct job *j)
{
	unsigned i;

	if (!p->found || !p->found->networks.n)
		return false;
	for (i = 0; i < p->found->networks.n; i++) {
		struct str n = p->found->networks.at[i];

		if (!str_starts(n, "github_network_"))
			continue;
		if (!j->network.n)
			j->network = arena_str(&j->arena, n);
		if (str_eq(j->network, n))
			return true;
	}
	return false;
}

static bool is_github_key(struct str key)
{
	size_t i;

	for (i = 0; i < key.n; i++)
		if (!strchr("0123456789abcdef", key.p[i]))
			return false;
	return key.n == 6;
}

/* Docker writes a label without a value as "key=". */
static bool has_label_key(const struct placing *p, struct str key)
{
	unsigned i;

	for (i = 0; i < p->nlabels; i++)
		if (p->labels[i].n > key.n && p->labels[i].p[key.n] == '=' &&
		    !memcmp(p->labels[i].p, key.p, key.n))
			return true;
	return false;
}

/* Whose runner wrote on it. An image's own labels are among the container's: one with the marks of
 * two runners was marked by its image too, and is nobody's. */
enum marks { MARKS_NONE, MARKS_GITHUB, MARKS_GITLAB, MARKS_MANY };

static enum marks marks_of(const struct placing *p)
{
	unsigned i, github = 0, gitlab = 0;

	for (i = 0; i < p->nlabels; i++) {
		const char *eq = memchr(p->labels[i].p, '=', p->labels[i].n);
		struct str key = { p->labels[i].p,
				   eq ? (size_t)(eq - p->labels[i].p) : p->labels[i].n };

		github += is_github_key(key);
		gitlab |= str_starts(key, GITLAB);
	}
	if (github + gitlab > 1)
		return MARKS_MANY;
	return github ? MARKS_GITHUB : gitlab ? MARKS_GITLAB : MARKS_NONE;
}

static struct job *by_github(struct placing *p)
{
	struct job *j;

	for (j = p->d->jobs; j; j = j->next)
		if (j->state != JOB_ENDING && j->container_label.n &&
		    has_label_key(p, j->container_label) && labels_hold(p->d, j) &&
		    network_fits(p, j))
			return j;
	return NULL;
}

/* The runner names its containers runner-TOKEN-project-..., which no image can: labels alone may be
 * those of an image that somebody else started. */
static bool gitlab_made(const struct placing *p)
{
	return p->found && str_starts(p->found->name, "runner-");
}

static struct job *by_gitlab(const struct placing *p, struct str id)
{
	struct job *j;

	for (j = p->d->jobs; j; j = j->next)
		if (j->state != JOB_ENDING && str_is(job_fact_of(j, "provider"), "gitlab") &&
		    str_eq(job_fact_of(j, "job_id"), id))
			return j;
	return NULL;
}

static int fact(struct job *j, const char *key, struct str value, char *why, size_t n)
{
	char line[512];

	if (!value.n)
		return 0;
	snprintf(line, sizeof(line), "%s=%.*s", key, STR_ARG(value));
	return job_fact(j, str_of(line), why, n);
}

/* https://HOST/GROUP/PROJECT/-/jobs/ID -> GROUP/PROJECT */
static struct str repo_of_url(struct str url)
{
	const char *from, *to;
	size_t n;

	if (!str_starts(url, "https://") && !str_starts(url, "http://"))
		return STR("");
	n = url.p[4] == 's' ? 8 : 7;
	from = memchr(url.p + n, '/', url.n - n);
	if (!from)
		return STR("");
	from++;
	to = memmem(from, url.n - (size_t)(from - url.p), "/-/jobs/", 8);
	return to ? (struct str){ from, (size_t)(to - from) } : STR("");
}

/* GitLab's docker executor has no hook on the host: its labels, written from the job's payload,
 * open the job with the first container. They say neither event nor fork: a policy for such jobs
 * names the unknown event. */
static int open_gitlab(struct placing *p, struct str id, struct job **ret, char *why, size_t n)
{
	static const char *const keys[][2] = { { "repo_id", GITLAB "project.id" },
					       { "ref", GITLAB "job.ref" },
					       { "sha", GITLAB "job.sha" },
					       { "run_id", GITLAB "pipeline.id" },
					       { "runner", GITLAB "runner.id" } };
	struct job *j;
	size_t i;
	int r = job_admit(p->d, why, n);

	if (r < 0)
		return r;
	j = job_new(p->d);
	j->origin = JOB_OF_ENGINE;
	j->admin = true;
	j->facts.assurance = ASSURANCE_RUNNER;
	r = fact(j, "provider", STR("gitlab"), why, n);
	if (r == 0)
		r = fact(j, "job_id", id, why, n);
	if (r == 0)
		r = fact(j, "event", STR("unknown"), why, n);
	if (r == 0)
		r = fact(j, "repo", repo_of_url(placing_label(p, GITLAB "job.url")), why, n);
	for (i = 0; r == 0 && i < ARRAY_SIZE(keys); i++)
		r = fact(j, keys[i][0], placing_label(p, keys[i][1]), why, n);
	if (r < 0) {
		job_fail(j, why);
		return r;
	}
	*ret = j;
	return 0;
}

/* What a kubelet's runtime says of a pod. containerd writes its own annotations over everything
 * that a pod could have brought; CRI-O copies a pod's annotations, but the kubelet's labels over
 * them. */
static const struct pod_keys {
	const char *engine, *space, *name, *uid, *sandbox;
} pod_keys[] = {
	{ "containerd", "io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-name",
	  "io.kubernetes.cri.sandbox-uid", "io.kubernetes.cri.sandbox-id" },
	{ "crio", "io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.pod.uid",
	  "io.kubernetes.cri-o.SandboxID" },
};

static struct str of_pod(const struct placing *p, size_t key)
{
	size_t i;

	for (i = 0; p->engine && i < ARRAY_SIZE(pod_keys); i++)
		if (str_is(p->engine->engine, pod_keys[i].engine))
			return placing_label(
				p, *(const char *const *)((const char *)&pod_keys[i] + key));
	return STR("");
}
#define OF_POD(p, field) of_pod(p, offsetof(struct pod_keys, field))

bool placing_is_exempt(const struct placing *p)
{
	struct str space = OF_POD(p, space);
	unsigned i;

	for (i = 0; space.n && i < p->engine->nexempt; i++)
		if (str_eq(space, p->engine->exempt[i]))
			return true;
	return false;
}

/* A pod's containers share its sandbox: that one is never used again, as a pod's name is. */
static struct job *by_pod(const struct placing *p, struct str sandbox)
{
	struct job *j;

	for (j = p->d->jobs; j; j = j->next)
		if (j->state != JOB_ENDING && j->origin == JOB_OF_ENGINE &&
		    str_is(job_fact_of(j, "provider"), "kubernetes") &&
		    str_eq(job_fact_of(j, "job_id"), sandbox))
			return j;
	return NULL;
}

/* The sandbox, a pod's first container, opens its job. What made the runner start the pod is not
 * known here: the event "pod" fits only policies that name it. */
static int open_pod(struct placing *p, struct str sandbox, struct job **ret, char *why, size_t n)
{
	const struct {
		const char *key;
		struct str value;
	} facts[] = { { "provider", STR("kubernetes") },
		      { "event", STR("pod") },
		      { "org", OF_POD(p, space) },
		      { "job", OF_POD(p, name) },
		      { "job_id", sandbox },
		      { "run_id", OF_POD(p, uid) } };
	struct job *j;
	size_t i;
	int r = job_admit(p->d, why, n);

	if (r < 0)
		return r;
	j = job_new(p->d);
	j->origin = JOB_OF_ENGINE;
	j->admin = true;
	j->facts.assurance = ASSURANCE_RUNNER;
	for (i = 0; r == 0 && i < ARRAY_SIZE(facts); i++)
		r = fact(j, facts[i].key, facts[i].value, why, n);
	if (r < 0) {
		job_fail(j, why);
		return r;
	}
	*ret = j;
	return 0;
}

static int open_policy(struct placing *p, struct job **ret, char *why, size_t n)
{
	struct job *j;
	int r = job_admit(p->d, why, n);

	if (r < 0)
		return r;
	j = job_new(p->d);
	j->origin = JOB_OF_ENGINE;
	j->admin = true;
	j->wants_policy = arena_str(&j->arena, p->engine->policy);
	j->facts.assurance = ASSURANCE_RUNNER;
	r = fact(j, "provider", p->engine->engine, why, n);
	if (r < 0) {
		job_fail(j, why);
		return r;
	}
	*ret = j;
	return 0;
}

static struct job *sole(const struct daemon *d)
{
	struct job *j, *found = NULL;

	for (j = d->jobs; j; j = j->next) {
		if (j->state == JOB_ENDING || j->origin == JOB_OF_UNIT ||
		    (j->origin == JOB_OF_ENGINE && j->wants_policy.n))
			continue;
		if (found)
			return NULL;
		found = j;
	}
	return found;
}

int placing_choose(struct placing *p, struct job **ret, char *why, size_t n)
{
	struct str gitlab = placing_label(p, GITLAB "job.id");
	const struct str sandbox = OF_POD(p, sandbox);
	const enum marks marks = marks_of(p);
	struct job *j = NULL;
	bool fresh = false;
	uint64_t id;
	int r = 0;

	if (p->engine && p->engine->jobs_kubernetes && sandbox.n && OF_POD(p, space).n) {
		if (!labels_hold(p->d, by_pod(p, sandbox)))
			return 0;
		j = by_pod(p, sandbox);
		if (!j) {
			r = open_pod(p, sandbox, &j, why, n);
			fresh = true;
		}
	} else if (p->engine && marks == MARKS_GITHUB) {
		j = by_github(p);
	} else if (p->engine && marks == MARKS_GITLAB) {
		if (!gitlab_made(p))
			gitlab = STR("");
		j = gitlab.n ? by_gitlab(p, gitlab) : NULL;
		if (j && !labels_hold(p->d, j))
			return 0;
		if (!j && gitlab.n && p->engine->jobs_gitlab && labels_hold(p->d, NULL) &&
		    str_is(placing_label(p, GITLAB "managed"), "true")) {
			r = open_gitlab(p, gitlab, &j, why, n);
			fresh = true;
		}
	} else if (p->engine && marks == MARKS_NONE && p->engine->adopt_sole) {
		j = sole(p->d);
	}
	if (r == 0 && !j && p->engine && p->engine->unregistered == UNREGISTERED_POLICY) {
		r = open_policy(p, &j, why, n);
		fresh = true;
	}
	if (r < 0)
		return r;
	if (fresh) {
		/* job_go may fail it at once; then it is not found any more. */
		id = j->id;
		snprintf(why, n, "its job could not be made; egretd's log says why");
		j->tell = why;
		j->tell_n = n;
		job_go(j);
		j = job_by_id(p->d, id);
		if (!j)
			return -EPERM;
		j->tell = NULL;
	}
	*ret = j;
	return 0;
}
