/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See job_trust.h. A container gets its files from egret-runc; a worker is a tree of processes in
 * the host's own mount namespace, which is not changed: its steps find the job's CA by variables
 * that the hook gives them. Files are the caller's, in a folder of the job: who changes them there
 * changes only whom that job trusts.
 */
#include "cli/job_trust.h"

#include "cli/job_ask.h"
#include "trust/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENV_MAX (256u << 10)

static int write_file(struct msg_in *m, uint16_t tag, int dir, const char *name)
{
	cleanup_close int from = -1, to = -1;
	int r = msg_take_fd(m, tag, &from);

	if (r < 0)
		return r;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return to < 0 ? -errno : trust_copy(from, to);
}

static int write_files(struct msg_in *m, const char *folder)
{
	cleanup_close int dir = -1;
	int r;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = write_file(m, TAG_FD_CA, dir, "ca.pem");
	if (!r)
		r = write_file(m, TAG_FD_BUNDLE, dir, "bundle.pem");
	return r ? r : write_file(m, TAG_FD_P12, dir, "trust.p12");
}

static int add_java(struct buf *to, const char *folder)
{
	const char *at = trust_java_options, *path;
	int r = buf_addf(to, "%s=", TRUST_JAVA_VARIABLE);

	while (!r && (path = strstr(at, TRUST_DIR "/"))) {
		r = buf_add(to, at, (size_t)(path - at));
		if (!r)
			r = buf_add_str(to, str_of(folder));
		at = path + strlen(TRUST_DIR);
	}
	return r ? r : buf_addf(to, "%s\n", at);
}

static int add_variables(struct buf *to, const struct msg_in *m, const char *folder)
{
	const struct trust_variable *v;
	uint64_t flags = 0;
	struct str line;
	size_t at = 0;
	int r = 0;
	bool own;

	own = !msg_get_u64(m, TAG_FLAGS, &flags) && (flags & PREPARED_OWN_CA);

	for (v = trust_variables; v->name && !r; v++) {
		if (v->kind == TRUST_SWITCH)
			r = buf_addf(to, "%s=%s\n", v->name, v->value);
		else if (v->kind != TRUST_NO_FOLDER || own)
			r = buf_addf(to, "%s=%s/%s\n", v->name, folder,
				     v->kind == TRUST_ADDS || own ? "ca.pem" : "bundle.pem");
	}
	if (!r)
		r = add_java(to, folder);
	/* A line of its own each: one that is more would be another variable. */
	while (!r && msg_each(m, TAG_SETENV, &at, &line))
		if (!memchr(line.p, '\n', line.n) && !memchr(line.p, '\r', line.n))
			r = buf_addf(to, "%.*s\n", STR_ARG(line));
	return r;
}

static int write_env(const struct msg_in *m, const char *folder, const char *env)
{
	cleanup_close int fd =
		open(env, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	struct buf text;
	int r;

	if (fd < 0)
		return -errno;
	buf_init(&text, ENV_MAX);
	r = add_variables(&text, m, folder);
	if (!r && write(fd, text.p, text.n) != (ssize_t)text.n)
		r = errno ? -errno : -EIO;
	buf_done(&text);
	return r;
}

int job_trust(const char *job, const char *folder, const char *env)
{
	cleanup_close int sock = -1;
	struct str text = STR("no reason was given");
	struct msg_out q;
	struct msg_in m;
	int r;

	if (folder[0] != '/' || strpbrk(folder, "\n\r"))
		return cli_fail(2, "--trust %s: give an absolute path", folder);
	/* A connection of its own: egretd looks once, at its begin, which job the caller is in. */
	r = job_connect(&sock);
	if (r >= 0)
		return r;
	msg_begin(&q, MSG_TRUST, 3);
	msg_put_str(&q, TAG_JOB_NAME, str_of(job));
	r = cli_ask(sock, &q, &m);
	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	if (m.type != MSG_PREPARED) {
		(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		r = cli_fail(1, "%s: %.*s", job, STR_ARG(text));
	} else {
		r = write_files(&m, folder);
		if (r)
			r = cli_fail(1, "the job's CA cannot be written into %s: %s", folder,
				     strerror(-r));
		else if (env && (r = write_env(&m, folder, env)))
			r = cli_fail(1, "the job's variables cannot be written into %s: %s", env,
				     strerror(-r));
		else
			r = -1;
	}
	msg_in_done(&m);
	return r;
}
