/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed store on disk. Called by secrets.c (egretd's questions) and provider_store.c (a job's
 * credential). What is read from disk is hostile until its tag is right: somebody may have had the
 * disk.
 */
#include "broker/store.h"

#include "base/clock.h"
#include "broker/disk.h"
#include "broker/seal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "egretSS1"
#define FORM 1u
#define HEAD 24u
#define FILE_MAX (HEAD + SEAL_ENVELOPE_OVER + STORE_VALUE_MAX)
#define SUFFIX ".sealed"
#define PATH_MAX_ (STORE_NAME_MAX + sizeof(SUFFIX))
#define TEMP ".new" /* no secret's name: they start with no dot; one writer, so one is enough */

struct aad {
	uint8_t bytes[HEAD + STORE_NAME_MAX];
};

/* Every call starts here: a store, a good name, and the file's name. */
static int begin(const struct store *s, struct str name, char path[PATH_MAX_], char *why,
		 size_t size)
{
	if (s->dir < 0) {
		snprintf(why, size, "store: this egretd runs without a store");
		return -ENOENT;
	}
	if (!store_name_ok(name)) {
		snprintf(why, size,
			 "store: a secret's name is 1 to 128 of A-Z a-z 0-9 . _ - and starts with "
			 "no dot");
		return -EINVAL;
	}
	snprintf(path, PATH_MAX_, "%.*s" SUFFIX, STR_ARG(name));
	return 0;
}

static int fault(const char *what, struct str name, char *why, size_t size)
{
	int err = errno ? errno : EIO;

	snprintf(why, size, "store: %s %.*s: %s", what, STR_ARG(name), strerror(err));
	return -err;
}

static struct str bind_to(struct aad *a, const uint8_t *head, struct str name)
{
	memcpy(a->bytes, head, HEAD);
	memcpy(a->bytes + HEAD, name.p, name.n);
	return (struct str){ (const char *)a->bytes, HEAD + name.n };
}

/* Beside its place, then into it: a crash leaves the old file or the new. */
static int put_file(const struct store *s, struct str name, const char *path, const uint8_t *bytes,
		    size_t whole, char *why, size_t size)
{
	cleanup_close int fd = -1;
	int r;

	if (unlinkat(s->dir, TEMP, 0) < 0 && errno != ENOENT)
		return fault("cannot clear the way for", name, why, size);
	fd = openat(s->dir, TEMP, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	errno = fd < 0 ? errno : 0;
	if (fd < 0 || disk_write(fd, bytes, whole) < 0 || fsync(fd) < 0) {
		r = fault("cannot write", name, why, size);
		unlinkat(s->dir, TEMP, 0);
		return r;
	}
	if (renameat(s->dir, TEMP, s->dir, path) < 0 || fsync(s->dir) < 0)
		return fault("cannot put into place", name, why, size);
	return 0;
}

int store_put(struct store *s, struct str name, const void *value, size_t n, char *why, size_t size)
{
	cleanup_free uint8_t *bytes = NULL;
	size_t whole = HEAD + n + SEAL_ENVELOPE_OVER;
	char path[PATH_MAX_];
	struct aad aad;
	int r = begin(s, name, path, why, size);

	if (r < 0)
		return r;
	if (n == 0 || n > STORE_VALUE_MAX) {
		snprintf(why, size,
			 n ? "store: a secret has at most %u bytes" : "store: the value is empty",
			 STORE_VALUE_MAX);
		return n ? -EMSGSIZE : -EINVAL;
	}
	bytes = mem_new(whole);
	memcpy(bytes, MAGIC, 8);
	le_set(bytes + 8, FORM, 4);
	le_set(bytes + 12, n, 4);
	le_set(bytes + 16, clock_wall_us(), 8);
	r = seal_envelope(&s->key, bind_to(&aad, bytes, name), value, n, bytes + HEAD);
	if (r < 0) {
		snprintf(why, size, "store: %.*s could not be sealed: %s", STR_ARG(name),
			 strerror(-r));
		return r;
	}
	return put_file(s, name, path, bytes, whole, why, size);
}

static bool head_ok(const uint8_t *p, size_t n)
{
	return n >= HEAD + SEAL_ENVELOPE_OVER && memcmp(p, MAGIC, 8) == 0 &&
	       le_get(p + 8, 4) == FORM && le_get(p + 12, 4) <= STORE_VALUE_MAX &&
	       le_get(p + 12, 4) == n - HEAD - SEAL_ENVELOPE_OVER;
}

static int load(const struct store *s, struct str name, char path[PATH_MAX_], uint8_t **ret,
		size_t *ret_n, char *why, size_t size)
{
	cleanup_close int fd = -1;
	char *bytes = NULL;
	int r = begin(s, name, path, why, size);

	if (r < 0)
		return r;
	fd = openat(s->dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		snprintf(why, size, "store: no secret named %.*s: run egret secret set %.*s",
			 STR_ARG(name), STR_ARG(name));
		return -ENOENT;
	}
	if (fd < 0)
		return fault("cannot open", name, why, size);
	r = disk_read(fd, FILE_MAX, &bytes, ret_n);
	*ret = (uint8_t *)bytes;
	return r == -EMSGSIZE || (r == 0 && !head_ok(*ret, *ret_n)) ? -EBADMSG : r;
}

/* A sentence for what neither begin() nor load() gave one. */
static int opened(int r, struct str name, char *why, size_t size)
{
	if (r == -EBADMSG)
		snprintf(why, size,
			 "store: the file of %.*s is damaged or sealed with another key: set it "
			 "again "
			 "with egret secret set %.*s",
			 STR_ARG(name), STR_ARG(name));
	else if (r < 0 && !why[0])
		snprintf(why, size, "store: cannot read %.*s: %s", STR_ARG(name), strerror(-r));
	return r;
}

int store_get(struct store *s, struct str name, struct secret *ret, char *why, size_t size)
{
	cleanup_free uint8_t *bytes = NULL;
	char path[PATH_MAX_];
	struct aad aad;
	size_t n = 0;
	int r;

	why[0] = '\0';
	r = load(s, name, path, &bytes, &n, why, size);
	if (r == 0)
		r = seal_envelope_open(&s->key, bind_to(&aad, bytes, name), bytes + HEAD, n - HEAD,
				       ret);
	if (r == -EBADMSG && s->old.n && n > HEAD)
		r = seal_envelope_open(&s->old, bind_to(&aad, bytes, name), bytes + HEAD, n - HEAD,
				       ret);
	return opened(r, name, why, size);
}

int store_rewrap(struct store *s, struct str name, char *why, size_t size)
{
	cleanup_free uint8_t *bytes = NULL;
	char path[PATH_MAX_];
	struct aad aad;
	size_t n = 0;
	int r;

	why[0] = '\0';
	r = load(s, name, path, &bytes, &n, why, size);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = seal_rewrap(&s->key, &s->old, bind_to(&aad, bytes, name), bytes + HEAD);
	if (r <= 0)
		return opened(r, name, why, size);
	r = put_file(s, name, path, bytes, n, why, size);
	return r < 0 ? r : 1;
}

int store_remove(struct store *s, struct str name, char *why, size_t size)
{
	char path[PATH_MAX_];
	int r = begin(s, name, path, why, size);

	if (r < 0)
		return r;
	if (unlinkat(s->dir, path, 0) < 0) {
		if (errno != ENOENT)
			return fault("cannot remove", name, why, size);
		snprintf(why, size, "store: no secret named %.*s", STR_ARG(name));
		return -ENOENT;
	}
	return fsync(s->dir) < 0 ? fault("cannot remove", name, why, size) : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct store_entry *)a)->name, ((const struct store_entry *)b)->name);
}

/* Fills in what the file's head says; a damaged file keeps zeros. */
static void entry_read(const struct store *s, const char *path, struct store_entry *e)
{
	cleanup_close int fd = openat(s->dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t head[HEAD];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 ||
	    read(fd, head, sizeof(head)) != (ssize_t)sizeof(head) ||
	    !head_ok(head, (size_t)st.st_size))
		return;
	e->size = le_get(head + 12, 4);
	e->time_us = le_get(head + 16, 8);
}

int store_list(struct store *s, struct store_entry **ret, size_t *ret_n, char *why, size_t size)
{
	struct store_entry *list;
	size_t n = 0, room = 16;
	struct dirent *de;
	char path[PATH_MAX_];
	DIR *d;
	int fd, r = begin(s, STR("any"), path, why, size);

	if (r < 0)
		return r;
	fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = fault("cannot list", STR("the store"), why, size);
		if (fd >= 0)
			close(fd);
		return r;
	}
	list = mem_new(room * sizeof(*list));
	while (n < STORE_SECRETS_MAX && (de = readdir(d))) {
		struct str name = str_of(de->d_name);
		size_t cut = sizeof(SUFFIX) - 1;

		if (name.n <= cut || memcmp(name.p + name.n - cut, SUFFIX, cut) != 0)
			continue;
		name.n -= cut;
		if (!store_name_ok(name))
			continue;
		if (n == room) {
			struct store_entry *more = mem_new(2 * room * sizeof(*more));

			memcpy(more, list, room * sizeof(*more));
			free(list);
			list = more;
			room *= 2;
		}
		list[n] = (struct store_entry){ 0 };
		memcpy(list[n].name, name.p, name.n);
		entry_read(s, de->d_name, &list[n++]);
	}
	closedir(d);
	qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	*ret_n = n;
	return 0;
}

void store_done(struct store *s)
{
	if (s->dir >= 0)
		close(s->dir);
	s->dir = -1;
	secret_done(&s->key);
	secret_done(&s->old);
}
