/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: a process more in a container. Its environment and capabilities are the engine's own words
 * and know nothing of what create changed, so they are changed the same way: the process's JSON
 * into a memfd that takes the file's place, or options of the command line. egretd is asked first.
 */
#include "oci/oci.h"

#include "base/proto.h"
#include "oci/splice.h"
#include "trust/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMFD_AT 200 /* above what --preserve-fds and standard input can mean */

static int memfd_of(struct str text, int *ret)
{
	cleanup_close int low = memfd_create("egret-process", MFD_CLOEXEC);
	size_t done = 0;
	int fd;

	if (low < 0)
		return -errno;
	while (done < text.n) {
		ssize_t k = write(low, text.p + done, text.n - done);

		if (k < 0)
			return -errno;
		done += (size_t)k;
	}
	/* Stays open over exec: the runtime opens it by name and closes what it does not know. */
	fd = fcntl(low, F_DUPFD, MEMFD_AT);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int splice_process(struct args *a, const struct prepared *p, const struct laid *l, char *why,
			  size_t n)
{
	struct splice s = { .net_raw = p->flags & PREPARED_NET_RAW,
			    .net_admin = p->flags & PREPARED_NET_ADMIN };
	struct found *f = NULL;
	struct buf text, to;
	static char word[64];
	int fd = -1, r;

	buf_init(&to, 2 * OCI_CONFIG_MAX);
	r = oci_read(AT_FDCWD, a->process, OCI_CONFIG_MAX, &text);
	if (r < 0)
		snprintf(why, n, "%s", r == -EFBIG ? "larger than 4 MiB" : strerror(-r));
	else
		r = found_look(FOUND_PROCESS, buf_str(&text), OCI_READER_UID, &f, why, n);
	if (l) {
		s.env = l->env;
		s.java = l->java;
	}
	if (r == 0)
		r = splice_text(buf_str(&text), f, &s, &to, why, n);
	if (r == 0) {
		r = memfd_of(buf_str(&to), &fd);
		if (r < 0)
			snprintf(why, n, "no memory file: %s", strerror(-r));
	}
	if (r == 0) {
		snprintf(word, sizeof(word), "%s/proc/self/fd/%d",
			 a->process_joined ? "--process=" : "", fd);
		a->rest[a->process_at] = word;
	}
	found_free(f);
	buf_done(&text);
	buf_done(&to);
	return r;
}

static bool is_env_option(const char *s, const char **ret_joined)
{
	static const char *const names[] = { "-e", "--e", "-env", "--env" };

	*ret_joined = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		if (strncmp(s, names[i], n) != 0 || (s[n] && s[n] != '='))
			continue;
		if (s[n])
			*ret_joined = s + n + 1;
		return true;
	}
	return false;
}

static bool goes(const char *entry, char *const *env)
{
	size_t n = strcspn(entry, "=");

	if (trust_is_proxy(entry))
		return true;
	for (; *env; env++)
		if (!strncmp(*env, entry, n) && (*env)[n] == '=')
			return true;
	return false;
}

/* The process's variables are the container's, as create changed them, and -e: what -e may not say
 * is left out, what is new since then is put in. crun takes -e in place of the container's: none
 * leaves those as they are, one brings all of ours. */
static int edit_options(struct args *a, const struct prepared *p, const struct laid *l, bool crun)
{
	char *const *ours = crun ? l->env : p->set;
	const char *form = "-e", *joined;
	bool any = false;
	char **rest;
	int n = 0, more = 0, i;

	for (i = a->insert_at; i < a->nrest && a->rest[i] != a->id; i++)
		any |= is_env_option(a->rest[i], &joined);
	if (crun && !any)
		return 0;
	while (ours[more])
		more++;
	/* runc takes one of the two forms, not both. */
	for (i = a->insert_at; i < a->nrest && a->rest[i] != a->id; i++)
		if (is_env_option(a->rest[i], &joined) && strstr(a->rest[i], "-env"))
			form = "--env";
	rest = mem_new(((size_t)a->nrest + 2 * (size_t)more + 2) * sizeof(char *));
	for (i = 0; i < a->insert_at; i++)
		rest[n++] = a->rest[i];
	for (int k = 0; k < more; k++) {
		rest[n++] = (char *)form;
		rest[n++] = ours[k];
	}
	for (; i < a->nrest && a->rest[i] != a->id; i++) {
		if (!is_env_option(a->rest[i], &joined)) {
			rest[n++] = a->rest[i];
			continue;
		}
		if (joined) {
			if (!goes(joined, l->env))
				rest[n++] = a->rest[i];
		} else if (i + 1 < a->nrest) {
			if (!goes(a->rest[i + 1], l->env)) {
				rest[n++] = a->rest[i];
				rest[n++] = a->rest[i + 1];
			}
			i++;
		}
	}
	for (; i < a->nrest; i++)
		rest[n++] = a->rest[i];
	free(a->rest);
	a->rest = rest;
	a->nrest = n;
	return 0;
}

int exec_main(struct args *a)
{
	char path[PATH_MAX], why[1024];
	const char *name;
	struct prepared p;
	struct laid l;
	bool laid;
	int r;

	if (runtime_find(a, path, sizeof(path), why, sizeof(why)) < 0)
		return oci_fail(a, "%s", why);
	a->engine = engine_called(a, NULL);
	r = ask_prepare(a, NULL, PREPARE_EXEC, &p, why, sizeof(why));
	if (r < 0)
		return oci_fail(a, "no process is started in container %s: %s", a->id, why);
	r = lay_again(a, &p, &l);
	laid = r == 0;
	if (r < 0 && r != -ENOENT)
		return oci_fail(a, "%s/oci/%s/variables: %s", a->run_dir, a->id, strerror(-r));
	if (a->process) {
		r = splice_process(a, &p, laid ? &l : NULL, why, sizeof(why));
		if (r < 0)
			return oci_fail(a, "%s: %s", a->process, why);
	} else if (laid) {
		name = strrchr(path, '/');
		(void)!edit_options(a, &p, &l, name && !strcmp(name, "/crun"));
	}
	(void)!runtime_exec(path, a->rest, true, why, sizeof(why));
	return oci_fail(a, "%s", why);
}
