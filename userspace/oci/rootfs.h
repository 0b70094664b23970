/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's file system before it is one: the root that the engine has laid out and the mounts
 * of config.json that will lie over it. Paths are resolved by the kernel inside that root
 * (openat2), so that no link of an image leads out of it.
 */
#ifndef EGRET_OCI_ROOTFS_H
#define EGRET_OCI_ROOTFS_H

#include "oci/found.h"
#include <limits.h>
#include <sys/stat.h>

struct spot {
	int fd; /* O_PATH */
	struct stat st;
	char path[PATH_MAX]; /* in the container, without links */
	bool in_root;	     /* not in one of the mounts */
};

int rootfs_open(const char *bundle, const struct found *f, int *ret) MUST_CHECK;
/* A descriptor (O_PATH), or -errno. */
int rootfs_open_inside(int root, const char *path, int flags) MUST_CHECK;
/* -ENOENT and others: nothing there that could be covered. f = NULL: no mounts. The caller closes
 * fd. */
int rootfs_find(int root, const struct found *f, const char *path, struct spot *ret) MUST_CHECK;
/* May the runtime make this folder as a place to mount, or is it there? */
bool rootfs_can_make(int root, const struct found *f, const char *path);

/* What the runtime made in the root as places to mount is taken away again, when it is still what
 * it made: an empty file, an empty folder. */
void rootfs_unmake(const char *root, const char *path);

#endif
