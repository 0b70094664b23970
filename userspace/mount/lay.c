/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the container's mount namespace, and the mounts to their places: by descriptors, never by a
 * path that the container could exchange. What was laid is taken off again when a later one fails.
 */
#include "mount/mount.h"
#include "trust/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* umount(2) knows paths only; this one is ours. */
static void take_off(int proc, int tree)
{
	char path[64];

	snprintf(path, sizeof(path), "self/fd/%d", tree);
	if (fchdir(proc) == 0)
		(void)!umount2(path, MNT_DETACH);
}

/* An existing folder, or a new one in a /run that is a tmpfs: nothing is written into an image. */
static int dir_open(int root, bool *ret_made, int *ret_run, int *ret)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS };
	int run = (int)syscall(SYS_openat2, root, "run", &how, sizeof(how)), fd;
	struct statfs fs;

	if (run < 0)
		return -errno;
	*ret_run = run;
	fd = openat(run, "egret", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && fstatfs(run, &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
	    mkdirat(run, "egret", 0755) == 0) {
		*ret_made = true;
		fd = openat(run, "egret", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static bool lay_dir(int root, const struct mount_peers *h, int tree)
{
	cleanup_close int run = -1, fd = -1;
	struct mount_targets one = { .n = 1 };
	bool made = false, laid = false;
	struct statx st;
	char why[256];

	if (dir_open(root, &made, &run, &fd) == 0 &&
	    statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) == 0) {
		one.list[0] = (struct mount_target){ .path = TRUST_DIR, .mnt = st.stx_mnt_id };
		laid = peers_check(h, &one, why, sizeof(why)) == 0 &&
		       move_mount(tree, "", fd, "",
				  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
	}
	if (made && !laid)
		(void)!unlinkat(run, "egret", AT_REMOVEDIR);
	return laid;
}

static int lay_files(int proc, struct mount_targets *t, char *why, size_t size)
{
	int r = 0;

	for (unsigned i = 0; !r && i < t->n; i++) {
		struct mount_target *one = &t->list[i];

		if (move_mount(one->tree, "", one->at, "",
			       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			r = mount_fail(why, size, -errno, "cannot cover", one->path);
		else
			one->laid = true;
	}
	for (unsigned i = t->n; r && i > 0; i--)
		if (t->list[i - 1].laid)
			take_off(proc, t->list[i - 1].tree);
	return r;
}

int lay_bundles(const struct mount_ask *ask, const struct mount_peers *h, struct mount_targets *t,
		bool *ret_dir, char *why, size_t size)
{
	int r;

	if (setns(ask->mntns, CLONE_NEWNS) < 0)
		return mount_fail(why, size, -errno,
				  "the container's mount namespace cannot be entered", "");
	r = peers_check(h, t, why, size);
	if (r == 0)
		r = lay_files(h->proc, t, why, size);
	if (r == 0)
		*ret_dir = lay_dir(ask->root, h, t->dir);
	return r;
}
