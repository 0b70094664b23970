/* SPDX-License-Identifier: Apache-2.0 */
/* See ci_facts.h. The environment of a hook: GITHUB_*, BUILDKITE_* and Jenkins' variables; a fact
 * is a line of a table. GitLab's and GitHub's files have files of their own. */
#include "cli/ci_facts.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_MAX 390 /* egretd takes 400 with the "=" */

static const char *const names[] = { "github", "gitlab", "buildkite", "jenkins", "generic" };

enum ci_provider ci_provider_of(const char *word)
{
	unsigned i;

	for (i = 0; i < CI_PROVIDERS; i++)
		if (!strcmp(word, names[i]))
			break;
	return (enum ci_provider)i;
}

const char *ci_provider_name(enum ci_provider p)
{
	return names[p];
}

void ci_fact(struct ci_facts *f, const char *key, struct str value)
{
	char *line;

	if (value.n == 0 || f->n == CI_FACTS_MAX)
		return;
	if (value.n > VALUE_MAX || memchr(value.p, '\0', value.n)) {
		cli_fail(0, "the fact %s is longer than %d bytes and is left out", key, VALUE_MAX);
		return;
	}
	line = mem_new(strlen(key) + value.n + 2);
	snprintf(line, strlen(key) + value.n + 2, "%s=%.*s", key, STR_ARG(value));
	f->list[f->n++] = line;
}

void ci_fact_env(struct ci_facts *f, const char *key, const char *variable)
{
	const char *value = getenv(variable);

	if (value)
		ci_fact(f, key, str_of(value));
}

void ci_facts_done(struct ci_facts *f)
{
	while (f->n)
		free(f->list[--f->n]);
}

int ci_read_file(const char *path, size_t most, struct buf *to)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > (off_t)most)
		return -EFBIG;
	buf_init(to, most + 1);
	do {
		if (buf_reserve(to, to->n < most ? 1 : 2))
			return -EFBIG;
		r = read(fd, to->p + to->n, to->size - to->n);
		if (r > 0)
			to->n += (size_t)r;
	} while (r > 0 || (r < 0 && errno == EINTR));
	return r < 0 ? -errno : 0;
}

struct str ci_repo_of(struct str url)
{
	const char *at = memmem(url.p, url.n, "://", 3), *slash;
	struct str rest = url;

	if (at) {
		rest = (struct str){ at + 3, url.n - (size_t)(at + 3 - url.p) };
		slash = memchr(rest.p, '/', rest.n);
	} else {
		slash = memchr(rest.p, ':', rest.n); /* git@host:group/project.git */
	}
	if (!slash)
		return STR("");
	rest = (struct str){ slash + 1, rest.n - (size_t)(slash + 1 - rest.p) };
	while (rest.n && rest.p[0] == '/')
		rest = (struct str){ rest.p + 1, rest.n - 1 };
	if (rest.n > 4 && !memcmp(rest.p + rest.n - 4, ".git", 4))
		rest.n -= 4;
	return rest;
}

static struct str variable(const char *name)
{
	const char *s = getenv(name);

	return str_of(s ? s : "");
}

/* Two clone addresses of one repository? */
static const char *other_repository(struct str ours, struct str theirs)
{
	struct str a = ci_repo_of(ours), b = ci_repo_of(theirs);

	if (!a.n || !b.n)
		return "unknown";
	return str_eq_nocase(a, b) ? "false" : "true";
}

static void buildkite(struct ci_facts *f)
{
	struct str request = variable("BUILDKITE_PULL_REQUEST");
	bool pull = request.n && !str_is(request, "false");

	ci_fact_env(f, "org", "BUILDKITE_ORGANIZATION_SLUG");
	ci_fact(f, "repo", ci_repo_of(variable("BUILDKITE_REPO")));
	ci_fact_env(f, "ref", "BUILDKITE_BRANCH");
	ci_fact_env(f, "sha", "BUILDKITE_COMMIT");
	ci_fact_env(f, "workflow", "BUILDKITE_PIPELINE_SLUG");
	ci_fact_env(f, "job", "BUILDKITE_STEP_KEY");
	ci_fact_env(f, "run_id", "BUILDKITE_JOB_ID");
	ci_fact_env(f, "actor", "BUILDKITE_BUILD_CREATOR");
	ci_fact_env(f, "runner", "BUILDKITE_AGENT_NAME");
	if (!pull) {
		/* ui, api, webhook, trigger_job, schedule */
		struct str source = variable("BUILDKITE_SOURCE");

		ci_fact(f, "event",
			str_is(source, "ui")		? STR("web")
			: str_is(source, "webhook")	? STR("push")
			: str_is(source, "trigger_job") ? STR("trigger")
							: source);
		return;
	}
	ci_fact(f, "event", STR("pull_request"));
	ci_fact(f, "fork",
		str_of(other_repository(variable("BUILDKITE_REPO"),
					variable("BUILDKITE_PULL_REQUEST_REPO"))));
}

static void jenkins(struct ci_facts *f)
{
	ci_fact(f, "repo", ci_repo_of(variable("GIT_URL")));
	ci_fact_env(f, "ref", "GIT_BRANCH");
	ci_fact_env(f, "sha", "GIT_COMMIT");
	ci_fact_env(f, "workflow", "JOB_NAME");
	ci_fact_env(f, "run_id", "BUILD_NUMBER");
	ci_fact_env(f, "runner", "NODE_NAME");
	if (variable("CHANGE_ID").n) {
		ci_fact(f, "event", STR("pull_request"));
		ci_fact(f, "fork", variable("CHANGE_FORK").n ? STR("true") : STR("false"));
	}
}

int ci_facts_read(enum ci_provider p, pid_t worker, struct ci_facts *ret)
{
	switch (p) {
	case CI_GITHUB:
		ci_github(ret, worker);
		break;
	case CI_GITLAB:
		return ci_gitlab(ret);
	case CI_BUILDKITE:
		buildkite(ret);
		break;
	case CI_JENKINS:
		jenkins(ret);
		break;
	default:
		break;
	}
	return -1;
}
