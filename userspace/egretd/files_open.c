/* SPDX-License-Identifier: Apache-2.0 */
/* See files_open.h. Each name is opened without following it, from a folder that was looked at. */
#include "egretd/files_open.h"

#include "base/fd.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* folders above */
#define BELOW_MAX 8

static int refuse(char *why, size_t n, int err, const char *name, const char *what)
{
	snprintf(why, n, "%s%s%s", name, *name ? " " : "", what);
	return err;
}

/* Only root puts names in, or, with the sticky bit, only root takes root's names away. */
static bool only_root(const struct stat *st)
{
	return st->st_uid == 0 && (!(st->st_mode & (S_IWGRP | S_IWOTH)) || st->st_mode & S_ISVTX);
}

/* The folder and all above it, as they really lie. */
static int check_above(int folder, char *why, size_t n)
{
	cleanup_close int at = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	struct stat st, up;

	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		int next;

		if (at < 0 || fstat(at, &st) < 0)
			return refuse(why, n, -errno, "its folder", strerror(errno));
		if (!only_root(&st))
			return refuse(
				why, n, -EPERM, "",
				"it is a symbolic link, and its folder or one above it is not "
				"root's alone: name the file itself");
		next = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			return refuse(why, n, -errno, "its folder", strerror(errno));
		close(at);
		at = next;
		if (fstat(at, &up) < 0)
			return refuse(why, n, -errno, "its folder", strerror(errno));
		if (up.st_dev == st.st_dev && up.st_ino == st.st_ino)
			return 0;
	}
	return refuse(why, n, -ELOOP, "", "it lies too deep");
}

/* The first name of a path, the rest behind it. */
static bool next_name(const char **rest, char name[NAME_MAX + 1])
{
	size_t len;

	*rest += strspn(*rest, "/");
	len = strcspn(*rest, "/");
	if (!len || len > NAME_MAX)
		return false;
	memcpy(name, *rest, len);
	name[len] = 0;
	*rest += len;
	*rest += strspn(*rest, "/");
	return true;
}

/* What is left to walk, with the link's target in place of its name. */
static int follow(int link, char todo[PATH_MAX], const char *rest, char *why, size_t n)
{
	char target[PATH_MAX], whole[PATH_MAX];
	ssize_t len = readlinkat(link, "", target, sizeof(target) - 1);
	int size;

	if (len <= 0)
		return refuse(why, n, len < 0 ? -errno : -EINVAL, "", "its link cannot be read");
	target[len] = 0;
	if (target[0] == '/')
		return refuse(why, n, -EXDEV, "",
			      "it is a symbolic link that leads out of its folder: name the file "
			      "itself");
	size = snprintf(whole, sizeof(whole), "%s%s%s", target, *rest ? "/" : "", rest);
	if (size < 0 || (size_t)size >= sizeof(whole))
		return refuse(why, n, -ENAMETOOLONG, "", "its links are too long");
	memcpy(todo, whole, (size_t)size + 1);
	return 0;
}

static int walk(int folder, const char *base, struct file_way *way, int *ret, char *why, size_t n)
{
	cleanup_close int at = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	char todo[PATH_MAX], *name = way->name;
	const char *rest = todo;
	unsigned below = 0;
	struct stat st;
	int r;

	snprintf(todo, sizeof(todo), "%s", base);
	while (at >= 0 && next_name(&rest, name)) {
		cleanup_close int fd = -1;

		if (!strcmp(name, "."))
			continue;
		if (!strcmp(name, ".."))
			return refuse(
				why, n, -EXDEV, "",
				"it is a symbolic link that leads out of its folder: name the "
				"file itself");
		fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return refuse(why, n, -errno, name, strerror(errno));
		if (st.st_uid != 0)
			return refuse(why, n, -EPERM, name, "is not root's");
		if (S_ISLNK(st.st_mode)) {
			if (below)
				return refuse(why, n, -ELOOP, name,
					      "is a symbolic link in a folder below: links stand "
					      "in the file's own folder");
			if (way->nlinks == FILE_LINKS_MAX)
				return refuse(why, n, -ELOOP, "", "its links have no end");
			memcpy(way->links[way->nlinks++], name, NAME_MAX + 1);
			r = follow(fd, todo, rest, why, n);
			if (r < 0)
				return r;
			rest = todo;
		} else if (S_ISDIR(st.st_mode) && *rest) {
			if (st.st_mode & (S_IWGRP | S_IWOTH))
				return refuse(why, n, -EPERM, name,
					      "can be written by others than root");
			if (++below > BELOW_MAX)
				return refuse(why, n, -ELOOP, "", "it lies too deep");
			close(at);
			at = TAKE_FD(fd);
		} else {
			if (*rest)
				return refuse(why, n, -ENOTDIR, name, "is no folder");
			close(fd);
			fd = openat(at, name,
				    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
			if (fd < 0)
				return refuse(why, n, -errno, name, strerror(errno));
			r = config_trusted(fd, name, why, n);
			if (r < 0)
				return r;
			if (below)
				way->dir = TAKE_FD(at);
			*ret = TAKE_FD(fd);
			return 0;
		}
	}
	return refuse(why, n, -EINVAL, "", "its links lead to no file");
}

int file_open(const char *path, struct file_way *way, int *ret, char *why, size_t n)
{
	cleanup_close int fd =
		open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_close int folder = -1;
	const char *base = strrchr(path, '/');
	char above[PATH_MAX];
	int r;

	*way = (struct file_way){ .dir = -1 };
	if (fd >= 0) {
		r = config_trusted(fd, path, why, n);
		if (r == 0)
			*ret = TAKE_FD(fd);
		return r;
	}
	if (errno != ELOOP || !base)
		return refuse(why, n, -errno, "", strerror(errno));
	snprintf(above, sizeof(above), "%.*s", base == path ? 1 : (int)(base - path), path);
	folder = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return refuse(why, n, -errno, "", strerror(errno));
	r = check_above(folder, why, n);
	return r < 0 ? r : walk(folder, base + 1, way, ret, why, n);
}

void file_way_done(struct file_way *way)
{
	cleanup_close_p(&way->dir);
	way->dir = -1;
}
