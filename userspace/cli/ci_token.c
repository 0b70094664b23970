/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ci_token.h. GitHub: an address and a bearer in the hook's environment when the workflow has
 * `id-token: write`. Buildkite: the agent's own program is asked. The token goes to egretd as a
 * descriptor; egret-identity judges it, nobody here does.
 */
#include "cli/ci_token.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "policy/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN_MAX (64u << 10)
#define AGENT_MS 10000

static int to_memfd(struct str token, int *ret)
{
	cleanup_close int fd = memfd_create("token", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	while (token.n && (token.p[token.n - 1] == '\n' || token.p[token.n - 1] == '\r'))
		token.n--;
	if (!token.n)
		return cli_fail(1, "the token is empty");
	if (fd < 0 || write(fd, token.p, token.n) != (ssize_t)token.n ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return cli_fail(1, "no memory for the token: %s", strerror(errno));
	*ret = TAKE_FD(fd);
	return -1;
}

/* Unreserved bytes as they are. */
static void add_escaped(struct buf *to, const char *s)
{
	int r = 0;

	for (; *s && !r; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || strchr("-._~", *s);

		r = plain ? buf_add(to, s, 1) : buf_addf(to, "%%%02X", (unsigned char)*s);
	}
}

/* { "value": "..." } */
static int take_value(struct str text, int *ret)
{
	struct diag_file f = { .name = STR("answer"), .text = text };
	const struct node *root, *value = NULL;
	struct arena a;
	struct diag d;
	int e;

	arena_init(&a, 16u << 20);
	diag_init(&d);
	root = json_load(&a, &f, &d);
	if (root && root->kind == NODE_OBJECT)
		value = node_get(root, "value");
	if (value && value->kind == NODE_STRING)
		e = to_memfd(value->text, ret);
	else
		e = cli_fail(1, "the server's answer to the request for an identity token holds "
				"none");
	diag_done(&d);
	arena_done(&a);
	return e;
}

static int github(const char *audience, int *ret)
{
	const char *url = getenv("ACTIONS_ID_TOKEN_REQUEST_URL");
	const char *bearer = getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
	struct buf asked, answer;
	char why[512];
	int e;

	if (!url || !*url || !bearer || !*bearer)
		return -1; /* the workflow does not have `id-token: write` */
	buf_init(&asked, 16384);
	buf_init(&answer, TOKEN_MAX);
	if (buf_addf(&asked, "%s%caudience=", url, strchr(url, '?') ? '&' : '?'))
		e = cli_fail(1, "ACTIONS_ID_TOKEN_REQUEST_URL is too long");
	else {
		add_escaped(&asked, audience);
		e = buf_add(&asked, "", 1) ? -EMSGSIZE
					   : ci_fetch(asked.p, bearer, &answer, why, sizeof(why));
		if (e)
			e = cli_fail(1,
				     "this job's identity token cannot be had: %s; the runner's "
				     "own policy must allow its CI server",
				     e == -EMSGSIZE ? "its address is too long" : why);
		else
			e = take_value(buf_str(&answer), ret);
	}
	if (answer.p)
		explicit_bzero(answer.p, answer.n);
	buf_done(&asked);
	buf_done(&answer);
	return e;
}

/* The program's output, as far as it comes in time. 0 or -errno. */
static int read_output(int fd, struct buf *to)
{
	uint64_t until = clock_now() + AGENT_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint64_t now = clock_now();
		ssize_t r;

		if (now >= until)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)(until - now)) <= 0)
			continue;
		if (buf_reserve(to, 4096))
			return -EMSGSIZE;
		r = read(fd, to->p + to->n, to->size - to->n);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return 0;
		to->n += r > 0 ? (size_t)r : 0;
	}
}

static int buildkite(pid_t worker, const char *audience, int *ret)
{
	char program[PATH_MAX], *argv[] = { program,
					    (char[]){ "oidc" },
					    (char[]){ "request-token" },
					    (char[]){ "--audience" },
					    mem_dup(str_of(audience)),
					    NULL };
	const char *folder = getenv("BUILDKITE_BIN_PATH");
	struct buf out;
	int pair[2], status = -1, e;
	pid_t pid;

	/* The agent that runs this hook, not what PATH says. */
	if (worker > 0)
		snprintf(program, sizeof(program), "/proc/%d/exe", (int)worker);
	else
		snprintf(program, sizeof(program), "%s/buildkite-agent",
			 folder ? folder : "/usr/bin");
	if (pipe2(pair, O_CLOEXEC) < 0) {
		free(argv[4]);
		return cli_fail(1, "no pipe: %s", strerror(errno));
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (dup2(pair[1], STDOUT_FILENO) >= 0)
			execv(program, argv);
		_exit(127);
	}
	close(pair[1]);
	free(argv[4]);
	buf_init(&out, TOKEN_MAX);
	e = pid < 0 ? -errno : read_output(pair[0], &out);
	close(pair[0]);
	if (pid > 0) {
		if (e)
			kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (e || status)
		e = cli_fail(1,
			     "this job's identity token cannot be had: buildkite-agent oidc "
			     "request-token %s",
			     e ? strerror(-e) : "failed; its words are above");
	else
		e = to_memfd(buf_str(&out), ret);
	if (out.p)
		explicit_bzero(out.p, out.n);
	buf_done(&out);
	return e;
}

int ci_token(enum ci_provider p, pid_t worker, const char *audience, int *ret)
{
	if (p == CI_GITHUB)
		return github(audience, ret);
	if (p == CI_BUILDKITE)
		return buildkite(worker, audience, ret);
	return -1;
}

int ci_token_file(const char *path, int *ret)
{
	cleanup_close int fd = !strcmp(path, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
						  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct buf text;
	ssize_t r;
	int e;

	if (fd < 0)
		return cli_fail(2, "--token-file %s: %s", path, strerror(errno));
	buf_init(&text, TOKEN_MAX);
	do {
		r = buf_reserve(&text, 1) ? -2 : read(fd, text.p + text.n, text.size - text.n);
		if (r > 0)
			text.n += (size_t)r;
	} while (r > 0 || (r == -1 && errno == EINTR));
	if (r < 0)
		e = cli_fail(2, "--token-file %s: %s", path,
			     r == -2 ? "longer than 64 KiB" : strerror(errno));
	else
		e = to_memfd(buf_str(&text), ret);
	if (text.p)
		explicit_bzero(text.p, text.n);
	buf_done(&text);
	return e;
}
