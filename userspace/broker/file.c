/* SPDX-License-Identifier: Apache-2.0 */
/* See file.h. Called by control.c with egretd's frames and by definition.c. */
#include "broker/file.h"

#include "broker/lease.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
	struct file *next;
	char *path;
	int fd;	   /* owned; -1 */
	char *why; /* then */
};

static struct file *find(const struct broker *b, struct str path)
{
	struct file *f = b->files;

	while (f && !str_is(path, f->path))
		f = f->next;
	return f;
}

int file_set(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	struct str path, text;
	struct file *f;
	int fd = -1;

	if (msg_get_str(m, TAG_NAME, PROTO_TEXT_MAX, &path) < 0) {
		snprintf(why, size, "a file without its path");
		return -EBADMSG;
	}
	f = find(b, path);
	if (!f && b->nfiles == FILES_MAX) {
		snprintf(why, size, "file %.*s: credentials name more than %u files", STR_ARG(path),
			 FILES_MAX);
		return -E2BIG;
	}
	if (msg_take_fd(m, TAG_FD_VALUE, &fd) < 0)
		fd = -1;
	if (!f) {
		f = mem_new(sizeof(*f));
		f->path = mem_dup(path);
		f->next = b->files;
		b->files = f;
		b->nfiles++;
	} else if (f->fd >= 0) {
		close(f->fd);
	}
	free(f->why);
	f->why = fd < 0 && msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0 ? mem_dup(text)
										: NULL;
	f->fd = fd;
	leases_file_changed(b, path);
	return 0;
}

static int read_all(int fd, struct secret *ret)
{
	struct secret all;
	struct stat st;
	size_t n = 0;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > (off_t)FILE_VALUE_MAX)
		return -EMSGSIZE;
	r = secret_new((size_t)st.st_size, &all);
	if (r < 0)
		return r;
	while (n < all.n) {
		ssize_t got = pread(fd, all.p + n, all.n - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			secret_done(&all);
			return got < 0 ? -EIO : -EAGAIN;
		}
		n += (size_t)got;
	}
	if (n && all.p[n - 1] == '\n')
		n -= n > 1 && all.p[n - 2] == '\r' ? 2 : 1;
	all.n = n;
	*ret = all;
	return 0;
}

int file_get(struct broker *b, struct str path, struct secret *ret, char *why, size_t size)
{
	const struct file *f = find(b, path);
	int r;

	if (!f) {
		snprintf(why, size,
			 "file %.*s: egretd gave no such file: it opens those that credentials of "
			 "root's "
			 "name",
			 STR_ARG(path));
		return -ENOENT;
	}
	if (f->fd < 0) {
		snprintf(why, size, "file %s: %s", f->path, f->why ? f->why : "it is not there");
		return -ENOENT;
	}
	r = read_all(f->fd, ret);
	if (r == 0 && !ret->n) {
		secret_done(ret);
		r = -ENODATA;
	}
	if (r == -ENODATA)
		snprintf(why, size, "file %s: it is empty", f->path);
	else if (r == -EMSGSIZE)
		snprintf(why, size, "file %s: it has more than %u bytes", f->path, FILE_VALUE_MAX);
	else if (r == -EAGAIN)
		snprintf(why, size, "file %s: it is being written", f->path);
	else if (r < 0)
		snprintf(why, size, "file %s: it cannot be read: %s", f->path, strerror(-r));
	return r;
}

void files_done(struct broker *b)
{
	while (b->files) {
		struct file *f = b->files;

		b->files = f->next;
		if (f->fd >= 0)
			close(f->fd);
		free(f->path);
		free(f->why);
		free(f);
	}
}
