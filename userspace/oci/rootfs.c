/* SPDX-License-Identifier: Apache-2.0 */
/* See rootfs.h. Everything below the root is hostile: names, links, kinds of files. Nothing is
 * opened but by O_PATH. */
#include "oci/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_INTO_MOUNTS 4

static int open_inside(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (uint64_t)(O_PATH | O_CLOEXEC | flags),
				.resolve = resolve | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, dir, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static const char *relative(const char *path)
{
	while (*path == '/')
		path++;
	return path;
}

int rootfs_open_inside(int root, const char *path, int flags)
{
	return open_inside(root, relative(path), flags, RESOLVE_IN_ROOT);
}

int rootfs_open(const char *bundle, const struct found *f, int *ret)
{
	cleanup_close int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dir < 0)
		return -errno;
	if (!f->root.n)
		return -ENOENT;
	fd = openat(dir, found_words(f, f->root).p, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* Is path this folder or below it? */
static bool below(const char *path, struct str folder, const char **ret_rest)
{
	while (folder.n && folder.p[folder.n - 1] == '/')
		folder.n--;
	if (strncmp(path, folder.p, folder.n) != 0 || (path[folder.n] && path[folder.n] != '/'))
		return false;
	*ret_rest = path + folder.n;
	return true;
}

/* The last mount that lies over path. */
static const struct found_mount *mount_over(const struct found *f, const char *path,
					    const char **ret_rest)
{
	const struct found_mount *found = NULL;
	const char *rest;

	for (uint32_t i = 0; f && i < f->mounts.count; i++) {
		struct str to = found_words(f, f->mount_of[i].to);

		if (to.n > 1 && to.p[0] == '/' && below(path, to, &rest)) {
			found = &f->mount_of[i];
			*ret_rest = rest;
		}
	}
	return found;
}

static int find_in_mount(const struct found *f, const struct found_mount *m, const char *rest,
			 const char *path, struct spot *ret)
{
	struct str from = found_words(f, m->from);
	cleanup_close int source = -1;
	int fd;

	if (!m->bind || !from.n || from.p[0] != '/')
		return -ENOENT;
	source = open(from.p, O_PATH | O_CLOEXEC);
	if (source < 0)
		return -errno;
	fd = *relative(rest)
		     ? open_inside(source, relative(rest), 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
		     : TAKE_FD(source);
	if (fd < 0)
		return fd;
	ret->fd = fd;
	ret->in_root = false;
	return snprintf(ret->path, sizeof(ret->path), "%s", path) >= (int)sizeof(ret->path) ? -E2BIG
											    : 0;
}

/* The descriptor's path below the root's. */
static int name_of(int root, int fd, char *to, size_t size)
{
	char self[40], at[PATH_MAX], base[PATH_MAX];
	ssize_t n, k;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", root);
	k = readlink(self, base, sizeof(base) - 1);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, at, sizeof(at) - 1);
	if (n < 0 || k < 0)
		return -errno;
	at[n] = base[k] = 0;
	if (k == 1)
		k = 0; /* "/" */
	if (n <= k || memcmp(at, base, (size_t)k) != 0 || at[k] != '/' || (size_t)(n - k) >= size)
		return -ENOENT;
	memcpy(to, at + k, (size_t)(n - k) + 1);
	return 0;
}

int rootfs_find(int root, const struct found *f, const char *path, struct spot *ret)
{
	struct spot s = { .fd = -1 };
	const struct found_mount *m;
	const char *rest;
	int r = -ELOOP;

	snprintf(s.path, sizeof(s.path), "%s", path);
	for (int i = 0; i < LINKS_INTO_MOUNTS; i++) {
		char was[PATH_MAX];

		m = mount_over(f, s.path, &rest);
		if (m) {
			memcpy(was, s.path, sizeof(was));
			r = find_in_mount(f, m, was + (rest - s.path), was, &s);
			break;
		}
		s.in_root = true;
		s.fd = open_inside(root, s.path, 0, RESOLVE_IN_ROOT);
		if (s.fd < 0)
			return s.fd;
		r = name_of(root, s.fd, s.path, sizeof(s.path));
		if (r < 0 || !mount_over(f, s.path, &rest))
			break;
		close(s.fd);
		s.fd = -1;
		r = -ELOOP;
	}
	if (r == 0 && fstat(s.fd, &s.st) < 0)
		r = -errno;
	if (r < 0)
		cleanup_close_p(&s.fd);
	else
		*ret = s;
	return r;
}

static bool read_only(int fd)
{
	struct statvfs v;

	return fstatvfs(fd, &v) < 0 || (v.f_flag & ST_RDONLY);
}

bool rootfs_can_make(int root, const struct found *f, const char *path)
{
	cleanup_close int source = -1;
	const struct found_mount *m;
	char part[PATH_MAX];
	struct spot s;
	const char *rest;
	char *slash;

	if (rootfs_find(root, f, path, &s) == 0) {
		close(s.fd);
		return S_ISDIR(s.st.st_mode);
	}
	m = mount_over(f, path, &rest);
	if (m && !m->bind)
		return !m->readonly;
	if (m) {
		source = open(found_words(f, m->from).p, O_PATH | O_CLOEXEC);
		return source >= 0 && !m->readonly && !read_only(source);
	}
	snprintf(part, sizeof(part), "%s", path);
	while ((slash = strrchr(part, '/'))) {
		cleanup_close int fd = -1;

		*slash = 0;
		fd = open_inside(root, relative(part), 0, RESOLVE_IN_ROOT);
		if (fd >= 0)
			return !read_only(fd);
	}
	return false;
}

void rootfs_unmake(const char *root, const char *path)
{
	cleanup_close int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), parent = -1;
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	struct stat st;

	if (dir < 0 || !slash || !slash[1])
		return;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	parent = open_inside(dir, relative(folder), O_DIRECTORY, RESOLVE_IN_ROOT);
	if (parent < 0 || fstatat(parent, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		(void)!unlinkat(parent, slash + 1, AT_REMOVEDIR); /* only an empty one */
	else if (S_ISREG(st.st_mode) && st.st_size == 0)
		(void)!unlinkat(parent, slash + 1, 0);
}
