/* SPDX-License-Identifier: Apache-2.0 */
/* See own.h. Everything in the root is hostile: it is reached by openat2 inside that root, only
 * regular files are opened, and their bytes are compared and copied, never understood. No process
 * of the container runs meanwhile. */
#include "oci/own.h"

#include "oci/oci.h"
#include "trust/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NEW ".egret-new"
#define BUNDLES_MAX 16
#define OWN_MAX (3 * TRUST_BUNDLE_MAX) /* as trust_combine writes */
#define LINKS_MAX 4096		       /* names of one folder that are looked at */

bool own_root(int rootfs)
{
	struct statfs fs;

	return fstatfs(rootfs, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC &&
	       !(fs.f_flags & ST_RDONLY);
}

void own_name(unsigned n, char *to, size_t size)
{
	if (n == 1)
		snprintf(to, size, "bundle.pem");
	else
		snprintf(to, size, "bundle-%u.pem", n);
}

/* ---- one file ---- */

/* The folder of path, and its last part. */
static int parent_of(int root, const char *path, int *ret, const char **ret_leaf)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd;

	if (!slash || !slash[1])
		return -EINVAL;
	if (snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path) >=
	    (int)sizeof(folder))
		return -ENAMETOOLONG;
	fd = rootfs_open_inside(root, folder, O_DIRECTORY);
	if (fd < 0)
		return fd;
	*ret = fd;
	*ret_leaf = slash + 1;
	return 0;
}

static int write_all(int fd, struct str s)
{
	while (s.n) {
		ssize_t k = write(fd, s.p, s.n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		s.p += k;
		s.n -= (size_t)k;
	}
	return 0;
}

/* A new file of these bytes in the place of leaf, with the owner, the mode and, if wanted, the time
 * of `like`. The folder's own time stays: a layer made of it is not to show that we were here. */
static int replace(int parent, const char *leaf, struct str bytes, const struct stat *like,
		   bool dated, struct stat *ret)
{
	cleanup_close int fd = -1;
	struct stat folder;
	int r = 0;

	if (fstat(parent, &folder) < 0)
		return -errno;
	(void)!unlinkat(parent, NEW, 0);
	fd = openat(parent, NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes);
	if (r == 0 &&
	    (fchown(fd, like->st_uid, like->st_gid) < 0 || fchmod(fd, like->st_mode & 07777) < 0 ||
	     (dated && futimens(fd, (struct timespec[]){ like->st_atim, like->st_mtim }) < 0) ||
	     fstat(fd, ret) < 0 || renameat(parent, NEW, parent, leaf) < 0))
		r = -errno;
	if (r < 0)
		(void)!unlinkat(parent, NEW, 0);
	(void)!utimensat(parent, ".", (struct timespec[]){ folder.st_atim, folder.st_mtim }, 0);
	return r;
}

/* A regular file, whole. The path may go over links, within the root. */
static int read_spot(int root, const char *path, struct spot *ret, struct buf *to)
{
	char self[40];
	int r = rootfs_find(root, NULL, path, ret);

	buf_init(to, OWN_MAX + 65536);
	if (r < 0)
		return r;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", ret->fd);
	r = S_ISREG(ret->st.st_mode) ? oci_read(AT_FDCWD, self, OWN_MAX, to) : -EINVAL;
	close(ret->fd);
	ret->fd = -1;
	return r;
}

static int replace_spot(int root, const struct spot *s, struct str bytes, const struct stat *like,
			bool dated, struct stat *ret)
{
	cleanup_close int parent = -1;
	const char *leaf;
	int r = parent_of(root, s->path, &parent, &leaf);

	return r ? r : replace(parent, leaf, bytes, like, dated, ret);
}

/* ---- in ---- */

int own_cover(int folder, int root, const char *name, const struct spot *s, struct stat *ret)
{
	cleanup_close int was = -1;
	char path[64];
	struct buf image, ours = { 0 };
	struct spot again;
	struct stat ignored;
	int r;

	r = read_spot(root, s->path, &again, &image);
	if (r == 0 && mkdirat(folder, "was", 0700) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		was = openat(folder, "was", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = was < 0 ? -errno
			    : replace(was, name, buf_str(&image), &again.st, true, &ignored);
	}
	snprintf(path, sizeof(path), "in/%s", name);
	if (r == 0)
		r = oci_read(folder, path, OWN_MAX, &ours);
	if (r == 0)
		r = replace_spot(root, &again, buf_str(&ours), &again.st, true, ret);
	buf_done(&image);
	buf_done(&ours);
	return r;
}

static int write_anchor(int root, const char *path, struct str ca)
{
	cleanup_close int parent = -1;
	struct stat like = { .st_mode = 0644 };
	struct stat ignored;
	const char *leaf;
	int r = parent_of(root, path, &parent, &leaf);

	if (r == 0 && faccessat(parent, leaf, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = -EEXIST;
	return r ? r : replace(parent, leaf, ca, &like, false, &ignored);
}

int own_anchor(int folder, int root, const char *path)
{
	struct buf ca;
	int r = oci_read(folder, "in/ca.pem", 1u << 20, &ca);

	if (r == 0)
		r = write_anchor(root, path, buf_str(&ca));
	buf_done(&ca);
	return r;
}

int own_folder(int root, const char *path)
{
	cleanup_close int parent = -1;
	const char *leaf;
	struct stat st;
	int r = parent_of(root, path, &parent, &leaf);

	if (r < 0)
		return r;
	if (fstat(parent, &st) < 0 || mkdirat(parent, leaf, 0755) < 0)
		return -errno;
	if (fchownat(parent, leaf, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	(void)!utimensat(parent, ".", (struct timespec[]){ st.st_atim, st.st_mtim }, 0);
	return 0;
}

/* ---- out, and in again ---- */

struct kept {
	struct buf ours, image; /* in/NAME, was/NAME */
	struct stat st;		/* of the image's own */
};

struct own {
	int folder, root;
	struct buf written, ca;
	bool image_has; /* the image carries this CA: it is its own then */
	struct kept kept[BUNDLES_MAX];
	unsigned n;
};

/* The next certificate of ca.pem at *at, with its marks and line end. */
static bool next_ca(const struct own *o, size_t *at, struct str *ret)
{
	struct str left = { o->ca.p + *at, o->ca.n - *at };
	const char *from = left.n ? memmem(left.p, left.n, "-----BEGIN ", 11) : NULL, *to;

	if (!from)
		return false;
	to = memmem(from, (size_t)(left.p + left.n - from), "-----END CERTIFICATE-----\n", 26);
	if (!to)
		return false;
	to += 26;
	*ret = (struct str){ from, (size_t)(to - from) };
	*at = (size_t)(to - o->ca.p);
	return true;
}

static bool has_ca(const struct own *o, struct str text)
{
	struct str ca;
	size_t at = 0;

	while (next_ca(o, &at, &ca))
		if (text.n && memmem(text.p, text.n, ca.p, ca.n))
			return true;
	return false;
}

static void cut_ca(const struct own *o, struct buf *text)
{
	struct str ca;
	size_t at = 0;
	char *p;

	while (next_ca(o, &at, &ca))
		while (text->n && (p = memmem(text->p, text->n, ca.p, ca.n))) {
			char *behind = p + ca.n;

			memmove(p, behind, (size_t)(text->p + text->n - behind));
			text->n -= ca.n;
		}
}

static void own_done(struct own *o)
{
	for (unsigned i = 0; i < o->n; i++) {
		buf_done(&o->kept[i].ours);
		buf_done(&o->kept[i].image);
	}
	buf_done(&o->written);
	buf_done(&o->ca);
	cleanup_close_p(&o->folder);
	cleanup_close_p(&o->root);
}

/* -ENOENT: nothing was written. */
static int own_open(const char *path, struct own *ret)
{
	struct own o = { .folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
			 .root = -1 };
	char name[32], in[64];
	int r = o.folder < 0 ? -errno : 0;

	if (r == 0)
		r = oci_read(o.folder, "written", 1u << 20, &o.written);
	if (r == 0 && (!o.written.n || o.written.p[o.written.n - 1]))
		r = -EBADMSG;
	if (r == 0)
		r = oci_read(o.folder, "in/ca.pem", 1u << 20, &o.ca);
	if (r == 0) {
		o.root = open(o.written.p, O_PATH | O_DIRECTORY | O_CLOEXEC);
		/* The engine has unmounted it already: nobody can make an image of it any more. */
		if (o.root < 0 || !own_root(o.root))
			r = -ENOENT;
	}
	while (r == 0 && o.n < BUNDLES_MAX) {
		struct kept *k = &o.kept[o.n];

		own_name(o.n + 1, name, sizeof(name));
		snprintf(in, sizeof(in), "was/%s", name);
		if (fstatat(o.folder, in, &k->st, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		o.n++;
		r = oci_read(o.folder, in, OWN_MAX, &k->image);
		snprintf(in, sizeof(in), "in/%s", name);
		if (r == 0)
			r = oci_read(o.folder, in, OWN_MAX, &k->ours);
		o.image_has |= r == 0 && has_ca(&o, buf_str(&k->image));
	}
	if (r < 0)
		own_done(&o);
	else
		*ret = o;
	return r;
}

static int take_bundle(const struct own *o, const char *path)
{
	struct spot s;
	struct stat ignored;
	struct buf text;
	int r = read_spot(o->root, path, &s, &text);
	bool found = false;

	if (r < 0) {
		buf_done(&text);
		return 0; /* no bundle there, or nothing that was ours */
	}
	for (unsigned i = 0; i < o->n && !found; i++) {
		const struct kept *k = &o->kept[i];

		if (!str_eq(buf_str(&text), buf_str(&k->ours)))
			continue;
		found = true;
		r = replace_spot(o->root, &s, buf_str(&k->image), &k->st, true, &ignored);
	}
	if (!found && !o->image_has && has_ca(o, buf_str(&text))) {
		cut_ca(o, &text);
		r = replace_spot(o->root, &s, buf_str(&text), &s.st, true, &ignored);
	}
	buf_done(&text);
	return r;
}

static int put_bundle(const struct own *o, const char *path)
{
	struct spot s;
	struct stat ignored;
	struct buf text;
	int r = read_spot(o->root, path, &s, &text);
	bool found = false;

	if (r < 0 || has_ca(o, buf_str(&text))) {
		buf_done(&text);
		return 0;
	}
	for (unsigned i = 0; i < o->n && !found; i++) {
		const struct kept *k = &o->kept[i];

		if (!str_eq(buf_str(&text), buf_str(&k->image)))
			continue;
		found = true;
		r = replace_spot(o->root, &s, buf_str(&k->ours), &s.st, true, &ignored);
	}
	if (!found) {
		r = buf_add(&text, o->ca.p, o->ca.n);
		if (r == 0)
			r = replace_spot(o->root, &s, buf_str(&text), &s.st, true, &ignored);
	}
	buf_done(&text);
	return r;
}

/* What update-ca-certificates made of the anchor: links by its name and by its hash. */
static void take_links(const struct own *o, const char *path)
{
	static const char *const ours[] = { "egret.crt", "egret.pem", "ca-cert-egret.pem" };
	int fd = rootfs_open_inside(o->root, path, O_DIRECTORY);
	char self[40], to[PATH_MAX];
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (fd < 0)
		return;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	d = opendir(self);
	close(fd);
	if (!d)
		return;
	if (fstat(dirfd(d), &st) < 0)
		st = (struct stat){ 0 };
	for (unsigned n = 0; n < LINKS_MAX && (e = readdir(d)); n++) {
		const char *name;
		ssize_t k = e->d_type == DT_LNK || e->d_type == DT_UNKNOWN
				    ? readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1)
				    : -1;

		if (k < 0)
			continue;
		to[k] = 0;
		name = strrchr(to, '/') ? strrchr(to, '/') + 1 : to;
		for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
			if (!strcmp(name, ours[i]))
				(void)!unlinkat(dirfd(d), e->d_name, 0);
	}
	futimens(dirfd(d), (struct timespec[]){ st.st_atim, st.st_mtim });
	closedir(d);
}

/* A file of ours, or a folder that holds nothing else. With the tool that reads it installed since,
 * the folder is that tool's. */
static void take_made(const struct own *o, const char *path)
{
	static const char *const tools[] = { "/usr/sbin/update-ca-certificates",
					     "/usr/bin/update-ca-certificates" };
	cleanup_close int parent = -1;
	size_t n = strlen(path);
	bool folder = n && path[n - 1] == '/';
	char name[PATH_MAX];
	const char *leaf;
	struct stat st;
	struct spot s;

	snprintf(name, sizeof(name), "%.*s", (int)(folder ? n - 1 : n), path);
	if (parent_of(o->root, name, &parent, &leaf) < 0 || fstat(parent, &st) < 0)
		return;
	for (size_t i = 0; folder && i < ARRAY_SIZE(tools); i++)
		if (rootfs_find(o->root, NULL, tools[i], &s) == 0) {
			close(s.fd);
			return;
		}
	if (unlinkat(parent, leaf, folder ? AT_REMOVEDIR : 0) == 0)
		(void)!utimensat(parent, ".", (struct timespec[]){ st.st_atim, st.st_mtim }, 0);
}

static const char *made_at(const struct own *o, size_t *at)
{
	const char *path;

	*at += strlen(o->written.p + *at) + 1; /* the root's is the first */
	path = *at < o->written.n ? o->written.p + *at : NULL;
	return path;
}

int own_take(const char *folder)
{
	const char *made[BUNDLES_MAX], *path;
	struct own o;
	unsigned n = 0;
	size_t at = 0;
	int r = own_open(folder, &o), e;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; trust_bundles[i]; i++) {
		e = take_bundle(&o, trust_bundles[i]);
		r = r ? r : e;
	}
	while (n < BUNDLES_MAX && (path = made_at(&o, &at)))
		made[n++] = path;
	if (n)
		take_links(&o, "/etc/ssl/certs");
	while (n)
		take_made(&o, made[--n]);
	own_done(&o);
	return r;
}

int own_again(const char *folder)
{
	const char *path;
	struct own o;
	size_t at = 0;
	int r = own_open(folder, &o), e;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; trust_bundles[i]; i++) {
		e = put_bundle(&o, trust_bundles[i]);
		r = r ? r : e;
	}
	while ((path = made_at(&o, &at))) {
		size_t n = strlen(path);
		char name[PATH_MAX];

		snprintf(name, sizeof(name), "%.*s", (int)(path[n - 1] == '/' ? n - 1 : n), path);
		e = path[n - 1] == '/' ? own_folder(o.root, name)
				       : write_anchor(o.root, name, buf_str(&o.ca));
		r = r || e == -EEXIST ? r : e;
	}
	own_done(&o);
	return r;
}
