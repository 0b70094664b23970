/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See sources.h. A policy's `include` names other policies: their files are looked for beside it,
 * in /etc/egret/policies and in /usr/share/egret/policies. Only the names are read here; the files
 * are judged whole by egret-compile, or by `egret policy`.
 */
#include "cli/sources.h"

#include "cli/cli.h"
#include "policy/compile.h"
#include "policy/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const folders[] = { "/etc/egret/policies",
				       EGRET_PREFIX "/share/egret/policies" };

static void grow(struct source_list *l)
{
	struct source_file *at;

	if (l->n < l->room)
		return;
	l->room = l->room ? l->room * 2 : SOURCES_MAX;
	at = mem_new(l->room * sizeof(*at));
	if (l->n)
		memcpy(at, l->at, l->n * sizeof(*at));
	free(l->at);
	l->at = at;
}

/* -1, or an exit status. */
static int add(struct source_list *l, const char *file, const char *kind)
{
	unsigned max = l->max ? l->max : SOURCES_MAX;
	struct stat st;
	int fd;

	if (l->n == max)
		return cli_fail(2, "%s: " COMPILE_SOURCES_TEXT, file, max);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = errno;

		if (fd >= 0)
			close(fd);
		return cli_fail(2, "%s: %s", file, strerror(err));
	}
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)SOURCE_SIZE_MAX) {
		close(fd);
		return cli_fail(2, "%s: not a regular file of at most 1 MiB", file);
	}
	grow(l);
	l->at[l->n].fd = fd;
	l->at[l->n].kind = kind;
	snprintf(l->at[l->n].name, sizeof(l->at[l->n].name), "%s", file);
	l->n++;
	return -1;
}

static bool have(const struct source_list *l, const char *file)
{
	unsigned i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->at[i].name, file))
			return true;
	return false;
}

static int add_included(struct source_list *l, const char *beside, struct str name)
{
	char path[1024];
	const char *slash = strrchr(beside, '/');
	size_t i;

	/* A name, never a path; what is wrong with it is said by the compiler, with its place. */
	if (name.n == 0 || name.n > 128 || memchr(name.p, '/', name.n) || name.p[0] == '.')
		return -1;
	for (i = 0; i <= ARRAY_SIZE(folders); i++) {
		if (i == 0)
			snprintf(path, sizeof(path), "%.*s/%.*s.json",
				 slash ? (int)(slash - beside) : 1, slash ? beside : ".",
				 STR_ARG(name));
		else
			snprintf(path, sizeof(path), "%s/%.*s.json", folders[i - 1], STR_ARG(name));
		if (access(path, F_OK) == 0)
			return have(l, path) ? -1 : add(l, path, "include");
	}
	return -1;
}

/* Adds what source i includes. */
static int follow(struct source_list *l, unsigned i)
{
	cleanup_free char *text = mem_new(SOURCE_SIZE_MAX + 1);
	struct diag_file f = { .name = str_of(l->at[i].name) };
	const struct node *include, *n;
	struct node *root;
	struct arena a;
	struct diag d;
	ssize_t got = pread(l->at[i].fd, text, SOURCE_SIZE_MAX, 0);
	int e = -1;

	if (got < 0)
		return cli_fail(2, "%s: %s", l->at[i].name, strerror(errno));
	f.text = (struct str){ text, (size_t)got };
	arena_init(&a, 64u << 20);
	diag_init(&d);
	root = json_load(&a, &f, &d);
	include = root && root->kind == NODE_OBJECT ? node_get(root, "include") : NULL;
	for (n = include && include->kind == NODE_ARRAY ? include->first : NULL; n && e < 0;
	     n = n->next)
		if (n->kind == NODE_STRING)
			e = add_included(l, l->at[i].name, n->text);
	diag_done(&d);
	arena_done(&a);
	return e;
}

int sources_policy(struct source_list *l, const char *file)
{
	unsigned i = l->n;
	int e = add(l, file, "policy");

	for (; e < 0 && i < l->n; i++)
		e = follow(l, i);
	return e;
}

int sources_credential(struct source_list *l, const char *file)
{
	return add(l, file, "credential");
}

void sources_done(struct source_list *l)
{
	while (l->n > 0)
		cleanup_close_p(&l->at[--l->n].fd);
	free(l->at);
	*l = (struct source_list){ 0 };
}
