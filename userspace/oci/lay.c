/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container of a job finds so that its clients trust the job's CA, made before it starts:
 * RUN_DIR/oci/ID/in is mounted at /run/egret, files in it over the image's own bundles, and the
 * variables point there. Called by create.c as root; the image's files are opened as regular files
 * inside its root only, and read by trust_combine's child.
 *
 *   RUN_DIR/oci/ID/in/         what the container sees
 *   RUN_DIR/oci/ID/variables   the trust variables chosen, for processes that come by exec
 *   RUN_DIR/oci/ID/made        the root, and places to mount that the runtime makes in it
 *
 * Where the root is the container's alone, bundles and anchors are written into it instead: own.h.
 */
#include "oci/oci.h"

#include "oci/own.h"
#include "oci/rootfs.h"
#include "base/proto.h"
#include "oci/splice.h"
#include "trust/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COVERED_MAX 16

struct layer {
	struct laid *l;
	struct buf made;    /* paths, each with its NUL */
	struct buf written; /* of own.h */
	int in;		    /* the folder that is mounted */
	int own;	    /* the one that it is in */
	bool whole;	    /* /run/egret can be mounted */
	bool writes;	    /* the root is the container's alone */
	struct stat covered[COVERED_MAX];
	unsigned ncovered;
	char instead[PATH_MAX]; /* a covered bundle, for a root where nothing can be made */
};

/* ---- files ---- */

static int make_file(int dir, const char *name, int *ret)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);

	if (fd < 0)
		return -errno;
	*ret = fd;
	return fchmod(fd, 0444) < 0 ? -errno : 0;
}

static int copy_file(int dir, const char *name, int from)
{
	cleanup_close int to = -1;
	int r = make_file(dir, name, &to);

	return r ? r : trust_copy(from, to);
}

static int write_list(int dir, const char *name, struct str bytes)
{
	cleanup_close int to = -1;
	int r = make_file(dir, name, &to);

	if (r == 0 && write(to, bytes.p, bytes.n) != (ssize_t)bytes.n)
		r = -EIO;
	return r;
}

static void empty_folder(int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) < 0 && depth)
			empty_folder(dirfd(d), e->d_name, depth - 1);
	}
	if (d)
		closedir(d);
	(void)!unlinkat(parent, name, AT_REMOVEDIR);
}

static int make_folder(const struct args *a, struct layer *y)
{
	cleanup_close int all = -1, own = -1;
	char path[160];

	snprintf(path, sizeof(path), "%s/oci", a->run_dir);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	all = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (all < 0)
		return -errno;
	empty_folder(all, a->id, 1);
	if (mkdirat(all, a->id, 0755) < 0)
		return -errno;
	own = openat(all, a->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own < 0 || mkdirat(own, "in", 0755) < 0)
		return -errno;
	y->in = openat(own, "in", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* The container's users read here, whatever the engine's umask is. */
	if (y->in < 0 || fchmod(own, 0755) < 0 || fchmod(y->in, 0755) < 0)
		return -errno;
	return 0;
}

/* A regular file of the image's, for trust_combine's child to read. */
static int open_spot(const struct spot *s)
{
	char self[40];

	if (!S_ISREG(s->st.st_mode))
		return -EINVAL;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", s->fd);
	return open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* in/NAME: the image's certificates and the CA; public roots when the image's file has none.
 * ret_own: how many were the image's. */
static int combine_to(struct layer *y, int image, const char *name, unsigned *ret_own)
{
	cleanup_close int to = -1;
	unsigned own = 0;
	int r = make_file(y->in, name, &to);

	if (r < 0)
		return r;
	r = image < 0 ? -EBADMSG
		      : trust_combine(image, -1, y->l->answer->ca, to, OCI_READER_UID, &own);
	if (r == 0 && own) {
		*ret_own = own;
		return 0;
	}
	if (r < 0 && r != -EBADMSG && r != -E2BIG)
		return r;
	*ret_own = 0;
	if (ftruncate(to, 0) < 0 || lseek(to, 0, SEEK_SET) < 0)
		return -errno;
	return trust_copy(y->l->answer->bundle, to);
}

/* ---- mounts ---- */

static int add_mount(struct layer *y, const char *name, const char *dest, bool folder)
{
	struct buf *b = &y->l->mounts;
	char source[512];
	int r;

	snprintf(source, sizeof(source), "%s/in%s%s", y->l->folder, name ? "/" : "",
		 name ? name : "");
	r = b->n ? buf_add(b, ",", 1) : 0;
	if (r == 0)
		r = buf_addf(b, "{\"destination\":");
	if (r == 0)
		r = splice_quote(b, str_of(dest));
	if (r == 0)
		r = buf_addf(b, ",\"type\":\"bind\",\"source\":");
	if (r == 0)
		r = splice_quote(b, str_of(source));
	if (r == 0)
		r = buf_addf(b,
			     ",\"options\":[\"%s\",\"rprivate\",\"ro\",\"nosuid\",\"nodev\","
			     "\"noexec\"]}",
			     folder ? "rbind" : "bind");
	return r;
}

/* One file seen by two names is covered once. */
static bool is_covered(struct layer *y, const struct stat *st)
{
	for (unsigned i = 0; i < y->ncovered; i++)
		if (y->covered[i].st_dev == st->st_dev && y->covered[i].st_ino == st->st_ino)
			return true;
	if (y->ncovered == COVERED_MAX)
		return true;
	y->covered[y->ncovered++] = *st;
	return false;
}

/* In its place in the root, or mounted over it. */
static int cover(struct layer *y, const char *name, const struct spot *s)
{
	struct stat st;

	if (!y->writes || !s->in_root || own_cover(y->own, y->l->rootfs, name, s, &st) < 0)
		return add_mount(y, name, s->path, false);
	(void)!is_covered(y, &st); /* links lead to the new one */
	return 0;
}

static int cover_bundles(struct layer *y)
{
	unsigned own, n = 0;
	int r = 0;

	for (size_t i = 0; trust_bundles[i] && r == 0; i++) {
		cleanup_close int image = -1, spot_fd = -1;
		struct spot s;
		char name[32];

		if (rootfs_find(y->l->rootfs, y->l->config, trust_bundles[i], &s) < 0)
			continue;
		spot_fd = s.fd;
		image = open_spot(&s);
		if (image < 0 || is_covered(y, &s.st))
			continue;
		if (n++ == 0)
			snprintf(y->instead, sizeof(y->instead), "%s", s.path);
		own_name(n, name, sizeof(name));
		r = combine_to(y, image, name, &own);
		if (r == 0)
			r = cover(y, name, &s);
	}
	return r || n ? r : combine_to(y, -1, "bundle.pem", &own);
}

static int cover_java(struct layer *y)
{
	int r = 0;

	for (size_t i = 0; trust_java[i] && r == 0; i++) {
		struct spot s;

		if (rootfs_find(y->l->rootfs, y->l->config, trust_java[i], &s) < 0)
			continue;
		close(s.fd);
		if (S_ISREG(s.st.st_mode) && !is_covered(y, &s.st))
			r = add_mount(y, "trust.p12", s.path, false);
	}
	return r;
}

static int add_made(struct layer *y, const char *path)
{
	return buf_add(&y->made, path, strlen(path) + 1);
}

static int add_written(struct layer *y, const char *path)
{
	return buf_add(&y->written, path, strlen(path) + 1);
}

/* An image that has no ca-certificates yet is often given it by a job's first step. */
static int write_folder(struct layer *y)
{
	static const char folder[] = "/usr/local/share/ca-certificates";
	struct spot s;

	if (!y->writes || rootfs_find(y->l->rootfs, y->l->config, folder, &s) == 0)
		return y->writes ? (close(s.fd), 0) : 0;
	if (rootfs_find(y->l->rootfs, y->l->config, "/usr/local/share", &s) < 0)
		return 0;
	close(s.fd);
	if (!s.in_root || strcmp(s.path, "/usr/local/share") != 0 ||
	    own_folder(y->l->rootfs, folder) < 0)
		return 0;
	return buf_addf(&y->written, "%s/%c", folder, 0);
}

/* For images that make their bundle anew (update-ca-certificates): the CA as one of their own. */
static int add_anchors(struct layer *y)
{
	int r = write_folder(y);

	for (size_t i = 0; trust_anchors[i] && r == 0; i++) {
		char path[PATH_MAX + 16];
		struct spot s, file;

		if (rootfs_find(y->l->rootfs, y->l->config, trust_anchors[i], &s) < 0)
			continue;
		close(s.fd);
		snprintf(path, sizeof(path), "%s/egret.crt", s.path);
		if (!S_ISDIR(s.st.st_mode) || !s.in_root ||
		    !rootfs_can_make(y->l->rootfs, y->l->config, path))
			continue;
		if (rootfs_find(y->l->rootfs, y->l->config, path, &file) == 0) {
			close(file.fd);
			continue;
		}
		if (y->writes && own_anchor(y->own, y->l->rootfs, path) == 0) {
			r = add_written(y, path);
			continue;
		}
		r = add_made(y, path);
		if (r == 0)
			r = add_mount(y, "ca.pem", path, false);
	}
	return r;
}

static int mount_folder(struct layer *y)
{
	static const char *const parts[] = { TRUST_DIR, "/run" };
	struct spot s;
	int r = 0;

	y->whole = rootfs_can_make(y->l->rootfs, y->l->config, TRUST_DIR);
	if (!y->whole)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
		if (rootfs_find(y->l->rootfs, y->l->config, parts[i], &s) == 0)
			close(s.fd);
		else
			r = add_made(y, parts[i]);
	}
	return r ? r : add_mount(y, NULL, TRUST_DIR, true);
}

/* ---- variables ---- */

/* An image's own bundle, named by a variable of its own. */
static const char *extend(void *owner, const char *name, const char *file)
{
	struct layer *y = owner;
	cleanup_close int spot_fd = -1, image = -1;
	char in[128], path[160];
	struct spot s;
	unsigned own;

	if (file[0] != '/' || strlen(file) >= PATH_MAX ||
	    rootfs_find(y->l->rootfs, y->l->config, file, &s) < 0)
		return NULL;
	spot_fd = s.fd;
	image = open_spot(&s);
	snprintf(in, sizeof(in), "%s.pem", name);
	if (image < 0 || combine_to(y, image, in, &own) < 0 || own == 0)
		return NULL;
	if (y->whole) {
		snprintf(path, sizeof(path), TRUST_DIR "/%s", in);
		return arena_str(&y->l->a, str_of(path)).p;
	}
	return is_covered(y, &s.st) || add_mount(y, in, s.path, false) == 0
		       ? arena_str(&y->l->a, str_of(file)).p
		       : NULL;
}

/* Without /run/egret: what is named is a covered file, or nothing. */
static void turn_variables(struct layer *y, char **env)
{
	size_t out = 0;

	for (size_t i = 0; env[i]; i++) {
		char *value = strchr(env[i], '=') + 1;

		if (!strncmp(env[i], TRUST_JAVA_VARIABLE "=", sizeof(TRUST_JAVA_VARIABLE)))
			continue;
		if (strncmp(value, TRUST_DIR "/", sizeof(TRUST_DIR)) != 0) {
			env[out++] = env[i];
		} else if (y->instead[0]) {
			size_t n = (size_t)(value - env[i]);
			char *entry = arena_new(&y->l->a, n + strlen(y->instead) + 1);

			memcpy(entry, env[i], n);
			memcpy(entry + n, y->instead, strlen(y->instead));
			env[out++] = entry;
		}
	}
	env[out] = NULL;
}

/* Trust's own first (kept for exec), then what egretd gave. */
static char **with_given(struct arena *a, char **env, char *const *given)
{
	size_t n = 0, k = 0;
	char **list;

	while (env[n])
		n++;
	while (given[k])
		k++;
	list = arena_new(a, (n + k + 1) * sizeof(char *));
	memcpy(list, env, n * sizeof(char *));
	for (size_t i = 0; i < k; i++)
		list[n + i] = (char *)arena_str(a, str_of(given[i])).p;
	return list;
}

static int choose_variables(struct layer *y, struct str text)
{
	struct laid *l = y->l;
	char **set = splice_env_set(&l->a, text, l->config);
	struct trust_how how = { l->answer->flags & PREPARED_OWN_CA, extend, y };
	char **env = trust_environment(&l->a, set, NULL, &how);
	struct buf list;
	int r = 0;

	if (!y->whole)
		turn_variables(y, env);
	l->java = y->whole ? trust_java_options : NULL;
	buf_init(&list, 1u << 20);
	for (size_t i = 0; env[i] && r == 0; i++)
		r = buf_add(&list, env[i], strlen(env[i]) + 1);
	if (r == 0)
		r = write_list(y->own, "variables", buf_str(&list));
	buf_done(&list);
	l->env = with_given(&l->a, env, l->answer->set);
	return r;
}

/* ---- all of it ---- */

static void laid_init(const struct args *a, struct laid *l)
{
	*l = (struct laid){ .rootfs = -1 };
	arena_init(&l->a, 16u << 20);
	buf_init(&l->mounts, 1u << 20);
	snprintf(l->folder, sizeof(l->folder), "%s/oci/%s", a->run_dir, a->id);
}

static int lay(const struct args *a, struct layer *y, struct str text)
{
	struct laid *l = y->l;
	char real[PATH_MAX], self[40];
	ssize_t n;
	int r;

	/* What a container of this id left when nobody could delete it. */
	(void)!own_take(l->folder);
	r = rootfs_open(a->bundle, l->config, &l->rootfs);
	if (r == 0)
		r = make_folder(a, y);
	if (r < 0)
		return r;
	y->own = openat(y->in, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", l->rootfs);
	n = readlink(self, real, sizeof(real) - 1);
	if (y->own < 0 || n < 0)
		return -errno;
	real[n] = 0;
	y->writes = !l->config->root_readonly && own_root(l->rootfs);
	r = add_made(y, real);
	if (r == 0)
		r = add_written(y, real);
	if (r == 0)
		r = copy_file(y->in, "ca.pem", l->answer->ca);
	if (r == 0)
		r = copy_file(y->in, "trust.p12", l->answer->p12);
	if (r == 0)
		r = mount_folder(y);
	/* Before anything is written: what stops on the way can be taken out by it. */
	if (r == 0 && y->writes)
		r = write_list(y->own, "written", buf_str(&y->written));
	if (r == 0)
		r = cover_bundles(y);
	if (r == 0)
		r = cover_java(y);
	if (r == 0)
		r = add_anchors(y);
	if (r == 0 && y->writes && unlinkat(y->own, "written", 0) == 0)
		r = write_list(y->own, "written", buf_str(&y->written));
	if (r == 0)
		r = choose_variables(y, text);
	if (r == 0)
		r = write_list(y->own, "made", buf_str(&y->made));
	return r;
}

int lay_container(const struct args *a, const struct found *config, struct str text,
		  const struct prepared *p, struct laid *ret, char *why, size_t n)
{
	struct layer y = { .l = ret, .in = -1, .own = -1 };
	int r;

	laid_init(a, ret);
	ret->config = config;
	ret->answer = p;
	buf_init(&y.made, 1u << 20);
	buf_init(&y.written, 1u << 20);
	r = lay(a, &y, text);
	if (r < 0)
		snprintf(why, n, "the files of this container cannot be made in %s: %s",
			 ret->folder, strerror(-r));
	else if (!y.whole)
		snprintf(ret->warning, sizeof(ret->warning),
			 "the root of this container takes no folder /run/egret: %s",
			 y.instead[0]
				 ? "only its own bundle files are covered"
				 : "and it has no bundle, so its clients will not trust egret");
	buf_done(&y.made);
	buf_done(&y.written);
	cleanup_close_p(&y.in);
	cleanup_close_p(&y.own);
	if (r < 0)
		lay_done(ret);
	return r;
}

void lay_done(struct laid *l)
{
	buf_done(&l->mounts);
	arena_done(&l->a);
	cleanup_close_p(&l->rootfs);
}

int lay_again(const struct args *a, const struct prepared *p, struct laid *ret)
{
	char path[320], **env;
	struct buf list;
	size_t n = 0;
	int r;

	laid_init(a, ret);
	snprintf(path, sizeof(path), "%s/variables", ret->folder);
	r = oci_read(AT_FDCWD, path, 1u << 20, &list);
	if (r == 0 && list.n && list.p[list.n - 1])
		r = -EBADMSG;
	if (r == 0) {
		struct str kept = arena_str(&ret->a, buf_str(&list));

		env = arena_new(&ret->a, (kept.n + 1) * sizeof(char *));
		for (size_t i = 0; i < kept.n; i += strlen(kept.p + i) + 1) {
			env[n++] = (char *)kept.p + i;
			if (!strncmp(kept.p + i, TRUST_JAVA_VARIABLE "=",
				     sizeof(TRUST_JAVA_VARIABLE)))
				ret->java = trust_java_options;
		}
		ret->env = with_given(&ret->a, env, p->set);
	}
	buf_done(&list);
	if (r < 0)
		lay_done(ret);
	return r;
}

void lay_take(const struct args *a, bool out)
{
	char path[320];
	int r;

	snprintf(path, sizeof(path), "%s/oci/%s", a->run_dir, a->id);
	r = out ? own_take(path) : own_again(path);
	if (r < 0)
		oci_warn(a, "the CA of its job could not be %s of container %s: %s",
			 out ? "taken out of the root" : "put back into the root", a->id,
			 strerror(-r));
}

void lay_remove(const struct args *a)
{
	cleanup_close int all = -1;
	char path[320];
	struct buf made;
	size_t i;

	lay_take(a, true);
	snprintf(path, sizeof(path), "%s/oci/%s/made", a->run_dir, a->id);
	if (oci_read(AT_FDCWD, path, 1u << 20, &made) == 0 && made.n && !made.p[made.n - 1])
		for (i = strlen(made.p) + 1; i < made.n; i += strlen(made.p + i) + 1)
			rootfs_unmake(made.p, made.p + i);
	buf_done(&made);
	snprintf(path, sizeof(path), "%s/oci", a->run_dir);
	all = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (all >= 0)
		empty_folder(all, a->id, 1);
}
