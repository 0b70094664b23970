/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents: files of a tmpfs that only this process can name. The container gets mounts of
 * single files, each a clone (open_tree), so that no path of the host's is involved and nothing of
 * egret's is left when the container ends. Before 6.15 the kernel clones nothing that is in no
 * mount namespace: the tmpfs is therefore mounted in one of this process alone.
 */
#include "mount/mount.h"
#include "trust/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_SIZE "192m"
#define STORE_INODES "128"

int mount_fail(char *why, size_t size, int err, const char *what, const char *path)
{
	snprintf(why, size, "%s%s%s: %s", what, path[0] ? " " : "", path, strerror(-err));
	return err;
}

static int make(int *ret)
{
	cleanup_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", STORE_SIZE, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", STORE_INODES, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

int stage_open(int *ret, char *why, size_t size)
{
	cleanup_close int fd = -1;
	int r = make(&fd);

	if (r < 0)
		return mount_fail(why, size, r, "a file system for the bundles cannot be made", "");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    move_mount(fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return mount_fail(why, size, -errno, "a mount namespace for the bundles", "");
	if (mkdirat(fd, "egret", 0755) < 0)
		return mount_fail(why, size, -errno, "a folder for the bundles", "");
	*ret = TAKE_FD(fd);
	return 0;
}

int stage_file(int stage, const char *name, int from, int *ret_fd)
{
	cleanup_close int fd =
		openat(stage, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	int r;

	/* Readable for whatever user the job has, whatever the umask is. */
	if (fd < 0 || fchmod(fd, 0444) < 0)
		return -errno;
	r = from >= 0 ? trust_copy(from, fd) : 0;
	if (r < 0)
		return r;
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The file system itself becomes read-only: who may mount in the container finds no writable way to
 * it either. */
int stage_seal(int stage, char *why, size_t size)
{
	cleanup_close int fs = fspick(stage, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return mount_fail(why, size, -errno, "the bundles cannot be made read-only", "");
	return 0;
}

int stage_tree(int stage, const char *name, int *ret)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	cleanup_close int fd = open_tree(stage, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}
