/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is to cover. Paths come from trust/tables.c; every look-up stays below the container's
 * root (RESOLVE_IN_ROOT: its symbolic links mean its own files, never the host's) and ends in a
 * descriptor, so that what was looked at is what is covered. The bytes of the image's files go to
 * trust_combine's child only.
 */
#include "mount/mount.h"
#include "trust/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -ENOENT: not there, or not a file that can be covered. */
static int find_one(int root, const char *path, struct mount_target *ret)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	cleanup_close int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	struct statx st;

	if (fd < 0)
		switch (errno) {
		case ENOENT:
		case ENOTDIR:
		case ELOOP:
		case EXDEV:
		case EACCES:
			return -ENOENT;
		default:
			return -errno;
		}
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_MNT_ID, &st) < 0)
		return -errno;
	if (!S_ISREG(st.stx_mode))
		return -ENOENT;
	if (!(st.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	*ret = (struct mount_target){ .path = path,
				      .at = TAKE_FD(fd),
				      .tree = -1,
				      .mnt = st.stx_mnt_id,
				      .dev = (dev_t)st.stx_dev_major << 32 | st.stx_dev_minor,
				      .ino = st.stx_ino };
	return 0;
}

static bool is_known(const struct mount_targets *t, const struct mount_target *one)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->list[i].dev == one->dev && t->list[i].ino == one->ino &&
		    t->list[i].mnt == one->mnt)
			return true;
	return false;
}

static int find_all(int root, const char *const *paths, struct mount_targets *t, char *why,
		    size_t size)
{
	for (; *paths; paths++) {
		struct mount_target one;
		int r = t->n < MOUNT_TARGETS_MAX ? find_one(root, *paths, &one) : -E2BIG;

		if (r == -ENOENT)
			continue;
		if (r < 0)
			return mount_fail(why, size, r,
					  "the container's file cannot be looked at:", *paths);
		if (is_known(t, &one)) {
			close(one.at);
			continue;
		}
		t->list[t->n++] = one;
	}
	return 0;
}

/* The image's file, read through the descriptor that will be covered. */
static int read_own(int proc, const struct mount_target *t, int *ret)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "self/fd/%d", t->at);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* Own certificates and the CA. Where there are none, or it is not PEM or too large, clients could
 * not have used it: public roots and the CA then. */
static int combined(const struct mount_ask *ask, int proc, int stage, unsigned i,
		    struct mount_target *t)
{
	cleanup_close int image = -1, to = -1;
	const char *from = "egret/bundle.pem";
	unsigned own = 0;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%u.pem", i);
	r = stage_file(stage, name, -1, &to);
	if (r < 0)
		return r;
	r = read_own(proc, t, &image);
	if (r == 0)
		r = trust_combine(image, -1, ask->ca, to, ask->uid, &own);
	if (r == 0 && own)
		from = name;
	else if (r < 0 && r != -EBADMSG && r != -E2BIG && r != -EACCES)
		return r;
	return stage_tree(stage, from, &t->tree);
}

int targets_find(const struct mount_ask *ask, int proc, int stage, struct mount_targets *ret,
		 char *why, size_t size)
{
	struct mount_targets t = { .dir = -1 };
	unsigned bundles, i;
	int r;

	r = stage_file(stage, "egret/ca.pem", ask->ca, NULL);
	if (r == 0)
		r = stage_file(stage, "egret/bundle.pem", ask->bundle, NULL);
	if (r == 0)
		r = stage_file(stage, "egret/trust.p12", ask->p12, NULL);
	if (r < 0)
		return mount_fail(why, size, r, "the job's bundles cannot be written", "");
	r = find_all(ask->root, trust_bundles, &t, why, size);
	bundles = t.n;
	if (r == 0)
		r = find_all(ask->root, trust_java, &t, why, size);
	for (i = 0; r == 0 && i < t.n; i++) {
		r = i < bundles ? combined(ask, proc, stage, i, &t.list[i])
				: stage_tree(stage, "egret/trust.p12", &t.list[i].tree);
		if (r < 0)
			(void)!mount_fail(why, size, r, "no bundle could be made for",
					  t.list[i].path);
	}
	if (r == 0) {
		r = stage_tree(stage, "egret", &t.dir);
		if (r < 0)
			(void)!mount_fail(why, size, r, "no mount could be made for", TRUST_DIR);
	}
	if (r == 0)
		r = stage_seal(stage, why, size);
	if (r < 0) {
		targets_close(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void targets_close(struct mount_targets *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		if (t->list[i].at >= 0)
			close(t->list[i].at);
		if (t->list[i].tree >= 0)
			close(t->list[i].tree);
	}
	if (t->dir >= 0)
		close(t->dir);
	*t = (struct mount_targets){ .dir = -1 };
}
