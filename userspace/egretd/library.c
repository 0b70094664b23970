/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The installed policies and credentials: all *.json of the configured folders, copied into one
 * archive unread, compiled by egret-compile and kept as two packs. Read at start and at SIGHUP; a
 * broken file changes nothing. Called by main.c and control.c; job.c selects from it.
 */
#include "egretd/compile.h"
#include "egretd/daemon.h"
#include "egretd/files.h"
#include "egretd/job.h"

#include "base/log.h"
#include "policy/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_pack(int fd, struct pack *ret, void **ret_map, size_t *ret_size)
{
	struct stat st;
	void *map;
	int seals, r;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK))
		return -EPERM;
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t)PACK_SIZE_MAX)
		return -EBADMSG;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	r = pack_open(map, (size_t)st.st_size, ret);
	if (r < 0) {
		munmap(map, (size_t)st.st_size);
		return r;
	}
	*ret_map = map;
	*ret_size = (size_t)st.st_size;
	return 0;
}

int library_open(int policies_fd, int credentials_fd, struct library *ret)
{
	struct library l = { 0 };
	struct policy p;
	struct credential c;
	uint32_t i;
	int r = 0;

	if (policies_fd >= 0)
		r = map_pack(policies_fd, &l.policies, &l.policies_map, &l.policies_size);
	if (r == 0 && credentials_fd >= 0)
		r = map_pack(credentials_fd, &l.credentials, &l.credentials_map,
			     &l.credentials_size);
	for (i = 0; r == 0 && i < l.policies.count; i++)
		r = policy_open(pack_at(&l.policies, i), &p);
	for (i = 0; r == 0 && i < l.credentials.count; i++)
		r = credential_open(pack_at(&l.credentials, i), &c);
	if (r < 0) {
		library_close(&l);
		return r;
	}
	*ret = l;
	return 0;
}

void library_close(struct library *l)
{
	if (l->policies_map)
		munmap(l->policies_map, l->policies_size);
	if (l->credentials_map)
		munmap(l->credentials_map, l->credentials_size);
	memset(l, 0, sizeof(*l));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_json(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && e->d_name[0] != '.' && !strcmp(e->d_name + n - 5, ".json") &&
	       strcmp(e->d_name, "policy.schema.json") &&
	       strcmp(e->d_name, "credential.schema.json") &&
	       strcmp(e->d_name, "event.schema.json") &&
	       !(n > 10 && !strcmp(e->d_name + n - 10, ".test.json"));
}

static int add_file(struct archive_out *to, const char *path, enum source_kind kind, char *why,
		    size_t n)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd < 0) {
		r = -errno;
		snprintf(why, n, "%s: %s", path, strerror(-r));
		return r;
	}
	r = config_trusted(fd, path, why, n);
	if (r < 0)
		return r;
	r = archive_add(to, kind, str_of(path), fd);
	if (r == -E2BIG)
		snprintf(why, n, "%s: " COMPILE_SOURCES_TEXT, path, COMPILE_SOURCES_MAX);
	else if (r == -ENOSPC)
		snprintf(why, n, "%s: " COMPILE_BYTES_TEXT, path);
	else if (r == -ESTALE)
		snprintf(why, n, "%s: it was changed while it was read", path);
	else if (r < 0)
		snprintf(why, n, "%s: %s", path, strerror(-r));
	return r;
}

static int add_folder(struct archive_out *to, const char *folder, enum source_kind kind, char *why,
		      size_t n)
{
	struct dirent **list = NULL;
	int count = scandir(folder, &list, is_json, by_name), i, r = 0;

	if (count < 0) {
		if (errno == ENOENT)
			return 0;
		r = -errno;
		snprintf(why, n, "%s: %s", folder, strerror(-r));
		return r;
	}
	for (i = 0; i < count; i++) {
		char path[4352];

		snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name);
		free(list[i]);
		if (r == 0)
			r = add_file(to, path, kind, why, n);
	}
	free(list);
	return r;
}

#define SHIPPED EGRET_PREFIX "/share/egret/policies"

/* All that is configured, as it is now: *ret is its archive; -1: nothing is installed. */
static int gather(struct daemon *d, int *ret, char *why, size_t n)
{
	const struct config *c = &d->config;
	struct archive_out to;
	unsigned i;
	int r = archive_begin(&to);

	if (r < 0) {
		snprintf(why, n, "the policies cannot be read: %s", strerror(-r));
		return r;
	}
	for (i = 0; r == 0 && i < c->policies.n; i++)
		r = add_folder(&to, c->policies.at[i].p, SOURCE_POLICY, why, n);
	for (i = 0; r == 0 && i < c->credentials.n; i++)
		r = add_folder(&to, c->credentials.at[i].p, SOURCE_CREDENTIAL, why, n);
	/* What installed policies may include; named by no job by itself. */
	if (r == 0 && c->policies.n > 0 && to.count > 0)
		r = add_folder(&to, SHIPPED, SOURCE_INCLUDE, why, n);
	*ret = -1;
	if (r == 0 && to.count > 0) {
		r = archive_seal(&to, ret);
		if (r < 0)
			snprintf(why, n, "the policies cannot be read: %s", strerror(-r));
	}
	archive_out_done(&to);
	return r;
}

struct wait {
	int err;
	bool over;
	char *text;
	int policies, credentials;
};

static void on_first(void *owner, int err, const char *text, int policies, int credentials)
{
	struct wait *w = owner;

	w->err = err;
	w->text = mem_dup(str_of(text));
	w->policies = policies;
	w->credentials = credentials;
	w->over = true;
}

static int adopt(struct daemon *d, int policies, int credentials)
{
	struct library fresh = { 0 };
	int r = library_open(policies, credentials, &fresh);

	if (policies >= 0)
		close(policies);
	if (credentials >= 0)
		close(credentials);
	if (r < 0)
		return r;
	library_close(&d->library);
	d->library = fresh;
	return 0;
}

int library_load(struct daemon *d, char *why, size_t n)
{
	struct wait w = { .policies = -1, .credentials = -1 };
	cleanup_close int archive = -1;
	int r = gather(d, &archive, why, n);

	if (r < 0 || archive < 0)
		return r;
	r = compile_archive(d, archive, on_first, &w, NULL, why, n);
	while (r == 0 && !w.over)
		r = loop_turn(d->loop, -1);
	if (r == 0 && w.err < 0) {
		snprintf(why, n, "%s", w.text);
		r = w.err;
	}
	free(w.text);
	if (r < 0)
		return r;
	r = adopt(d, w.policies, w.credentials);
	if (r < 0)
		snprintf(why, n, "the compiled policies are not well formed: %s", strerror(-r));
	return r;
}

struct reload {
	struct daemon *d;
	void (*done)(void *owner, int err, const char *text);
	void *owner;
};

static void on_reloaded(void *owner, int err, const char *text, int policies, int credentials)
{
	struct reload *r = owner;
	struct event e;

	r->d->reload = NULL;
	if (err == 0) {
		err = adopt(r->d, policies, credentials);
		if (err < 0)
			text = "the compiled policies are not well formed";
	}
	if (err == 0) {
		files_changed(r->d);
		jobs_reload(r->d);
	}
	event_begin(&e, EVENT_POLICY_LOAD, VERDICT_NONE, REASON_NONE);
	event_text(&e, FIELD_MESSAGE, err < 0 ? str_of(text) : STR("policies were read again"));
	daemon_event(r->d, 0, &e);
	if (err < 0)
		log_err("reload: nothing was changed: %s", text);
	else
		log_info("reload: %u policies, %u credentials", r->d->library.policies.count,
			 r->d->library.credentials.count);
	r->done(r->owner, err, text);
	free(r);
}

void library_reload(struct daemon *d, void (*done)(void *owner, int err, const char *text),
		    void *owner)
{
	cleanup_close int archive = -1;
	char why[WHY_MAX];
	struct reload *rl;
	int r;

	if (d->reload) {
		done(owner, -EBUSY, "a reload is under way");
		return;
	}
	r = gather(d, &archive, why, sizeof(why));
	if (r == 0 && archive < 0) {
		library_close(&d->library);
		files_changed(d);
		jobs_reload(d);
		done(owner, 0, "");
		return;
	}
	if (r == 0) {
		rl = mem_new(sizeof(*rl));
		*rl = (struct reload){ d, done, owner };
		r = compile_archive(d, archive, on_reloaded, rl, &d->reload, why, sizeof(why));
		if (r < 0)
			free(rl);
	}
	if (r < 0) {
		struct event e;

		event_begin(&e, EVENT_POLICY_LOAD, VERDICT_NONE, REASON_NONE);
		event_text(&e, FIELD_MESSAGE, str_of(why));
		daemon_event(d, 0, &e);
		log_err("reload: nothing was changed: %s", why);
		done(owner, r, why);
	}
}
