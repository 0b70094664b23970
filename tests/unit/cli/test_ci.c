// SPDX-License-Identifier: Apache-2.0
/* What hooks of CI systems say of a job: forks by number, the runner's label, GitLab's response,
 * clone addresses, the job's own name; which process is the worker. */
#include "cli/ci_facts.h"
#include "cli/ci_worker.h"
#include "cli/own_job.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define PULL(head, base)                                                    \
	"{\"action\":\"opened\",\"pull_request\":{\"head\":{\"repo\":" head \
	"},\"base\":{\"repo\":" base "}}}"

static void test_fork(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ PULL("{\"id\":7,\"fork\":true}", "{\"id\":8}"), "true" },
		/* A pull request inside a repository that is itself a fork of another. */
		{ PULL("{\"id\":8,\"fork\":true}", "{\"id\":8}"), "false" },
		/* The fork is deleted. */
		{ PULL("null", "{\"id\":8}"), "unknown" },
		{ PULL("{\"id\":\"8\"}", "{\"id\":8}"), "unknown" },
		{ "{\"pull_request\":{\"head\":[]}}", "unknown" },
		{ "{\"workflow_run\":{\"head_repository\":{\"id\":1}},\"repository\":{\"id\":2}}",
		  "true" },
		{ "{\"workflow_run\":{\"head_repository\":{\"id\":2}},\"repository\":{\"id\":2}}",
		  "false" },
		{ "{\"repository\":{\"id\":2}}", "unknown" },
		/* Whoever writes a title writes no second key. */
		{ "{\"title\":\"\\\",\\\"pull_request\\\":{}\"}", "unknown" },
		{ PULL("{\"id\":8}", "{\"id\":8}") "{}", "unknown" },
		{ "{\"pull_request\":{\"head\":{\"repo\":{\"id\":8,\"id\":9}},\"base\":{\"repo\":{"
		  "\"id\":9}}}}",
		  "unknown" },
		{ "", "unknown" },
		{ "[", "unknown" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(ci_github_fork(str_of(rows[i].text)), rows[i].want);
}

static void test_label(void **state)
{
	/* printf '%s' '{"agentid": 1, "agentname": "ci-07"}' | sha256sum */
	static const char plain[] = "{\"agentId\": 1, \"agentName\": \"CI-07\"}";
	static const char marked[] = "\xef\xbb\xbf{\"agentId\": 1, \"agentName\": \"CI-07\"}";
	char a[7], b[7];

	assert_int_equal(ci_github_label(str_of(plain), a), 0);
	assert_int_equal(ci_github_label(str_of(marked), b), 0);
	assert_string_equal(a, b);
	assert_string_equal(a, "f4061e");
	assert_int_equal(ci_github_label(STR("{\"agentName\": \"\xc3\x84\"}"), a), -EILSEQ);
}

static bool has(const struct ci_facts *f, const char *line)
{
	for (unsigned i = 0; i < f->n; i++)
		if (!strcmp(f->list[i], line))
			return true;
	return false;
}

static void test_gitlab(void **state)
{
	static const char text[] =
		"{\"id\":4711,\"token\":\"glcbt-secret\",\"job_info\":{\"name\":\"build\","
		"\"stage\":\"test\",\"project_id\":42,"
		"\"project_name\":\"web\"},\"git_info\":{\"repo_url\":"
		"\"https://gitlab-ci-token:glcbt-secret@gitlab.example.com/acme/sub/"
		"web.git\",\"ref\":\"main\",\"sha\":\"abc\"},"
		"\"variables\":[{\"key\":\"CI_PROJECT_PATH\",\"value\":\"other/project\"}]}";
	struct ci_facts f = { .n = 0 };

	assert_int_equal(ci_gitlab_facts(&f, str_of(text)), 0);
	assert_true(has(&f, "repo=acme/sub/web"));
	assert_true(has(&f, "repo_id=42"));
	assert_true(has(&f, "job=build"));
	assert_true(has(&f, "stage=test"));
	assert_true(has(&f, "run_id=4711"));
	assert_true(has(&f, "ref=main"));
	assert_true(has(&f, "event=unknown"));
	for (unsigned i = 0; i < f.n; i++) {
		assert_null(strstr(f.list[i], "secret"));
		assert_null(strstr(f.list[i], "other/project"));
	}
	ci_facts_done(&f);
	assert_int_equal(ci_gitlab_facts(&f, STR("{\"job_info\":{}}")), -EBADMSG);
	assert_int_equal(ci_gitlab_facts(&f, STR("{\"job_info\":1,\"git_info\":{}}")), -EBADMSG);
	assert_int_equal(ci_gitlab_facts(&f, STR("no json")), -EBADMSG);
	assert_int_equal(f.n, 0);
}

static void test_buildkite(void **state)
{
	struct ci_facts f = { .n = 0 };

	setenv("BUILDKITE_REPO", "git@github.com:acme/web.git", 1);
	setenv("BUILDKITE_PULL_REQUEST", "false", 1);
	setenv("BUILDKITE_SOURCE", "ui", 1);
	assert_int_equal(ci_facts_read(CI_BUILDKITE, 0, &f), -1);
	assert_true(has(&f, "repo=acme/web"));
	assert_true(has(&f, "event=web"));
	ci_facts_done(&f);
	setenv("BUILDKITE_PULL_REQUEST", "12", 1);
	setenv("BUILDKITE_PULL_REQUEST_REPO", "https://github.com/mallory/web", 1);
	assert_int_equal(ci_facts_read(CI_BUILDKITE, 0, &f), -1);
	assert_true(has(&f, "event=pull_request"));
	assert_true(has(&f, "fork=true"));
	ci_facts_done(&f);
	setenv("BUILDKITE_PULL_REQUEST_REPO", "https://github.com/acme/web.git", 1);
	assert_int_equal(ci_facts_read(CI_BUILDKITE, 0, &f), -1);
	assert_true(has(&f, "fork=false"));
	ci_facts_done(&f);
	unsetenv("BUILDKITE_PULL_REQUEST_REPO");
	assert_int_equal(ci_facts_read(CI_BUILDKITE, 0, &f), -1);
	assert_true(has(&f, "fork=unknown"));
	ci_facts_done(&f);
}

static void test_clone_addresses(void **state)
{
	static const char *const rows[][2] = {
		{ "https://github.com/acme/web.git", "acme/web" },
		{ "https://user:p%40ss@host:8443/acme/web", "acme/web" },
		{ "git@github.com:acme/web.git", "acme/web" },
		{ "ssh://git@host:22//acme/web.git", "acme/web" },
		{ "https://host", "" },
		{ "web", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(str_is(ci_repo_of(str_of(rows[i][0])), rows[i][1]));
}

static void test_own_job(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "0::/egret.slice/actions.runner.x.service/j-00c0ffee0012\n", "j-00c0ffee0012" },
		{ "12:cpu:/j-1\n0::/egret.slice/j-0a1b\n", "j-0a1b" },
		{ "0::/egret.slice/j-0a1b/j-2/deeper\n", "j-0a1b" },
		{ "0::/egret.slice/j-xyz/docker-1.scope\n", NULL },
		{ "0::/j-0123456789abcdef0123456789\n", NULL },
		{ "0::/\n", NULL },
		{ "12:cpu:/j-1\n", NULL },
		{ "", NULL },
	};
	char name[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool found = own_job_of(str_of(rows[i].text), name, sizeof(name));

		assert_int_equal(found, rows[i].want != NULL);
		if (found)
			assert_string_equal(name, rows[i].want);
	}
}

/* A child of a child that bears the worker's name. */
static void test_worker(void **state)
{
	pid_t pid, found = 1;
	int status;

	assert_int_equal(ci_worker_find("none", &found), 0);
	assert_int_equal(found, 0);
	assert_int_equal(ci_worker_find("parent", &found), 0);
	assert_int_equal(found, getppid());
	assert_int_equal(ci_worker_find("123", &found), 0);
	assert_int_equal(found, 123);
	assert_int_equal(ci_worker_find("1", &found), -EINVAL);
	assert_int_equal(ci_worker_find("runner", &found), -EINVAL);
	assert_int_equal(ci_worker_find("github", &found), -ESRCH);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		pid_t worker = getpid();

		prctl(PR_SET_NAME, "Runner.Worker");
		pid = fork();
		if (!pid) {
			prctl(PR_SET_NAME, "bash");
			_exit(ci_worker_find("github", &found) || found != worker);
		}
		_exit(waitpid(pid, &status, 0) != pid || status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* An agent, its bootstrap, a shell. */
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NAME, "buildkite-agent");
		pid = fork();
		if (!pid) {
			pid_t worker = getpid();

			pid = fork();
			if (!pid) {
				prctl(PR_SET_NAME, "bash");
				_exit(ci_worker_find("buildkite", &found) || found != worker);
			}
			_exit(waitpid(pid, &status, 0) != pid || status);
		}
		_exit(waitpid(pid, &status, 0) != pid || status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_gitlab),
		cmocka_unit_test(test_buildkite),
		cmocka_unit_test(test_clone_addresses),
		cmocka_unit_test(test_own_job),
		cmocka_unit_test(test_worker),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
