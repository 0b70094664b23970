/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rooms of egret-mount. stage.c: a file system of our own with the contents, detached from
 * every tree. targets.c: what there is to cover in the container, and with what. peers.c: what a
 * mount must not reach. lay.c: entering the container's mount namespace and covering, or undoing
 * all of it. Errors are -errno with a
 * sentence.
 */
#ifndef EGRET_MOUNT_MOUNT_H
#define EGRET_MOUNT_MOUNT_H

#include "base/bytes.h"
#include <sys/types.h>

#define MOUNT_TARGETS_MAX 32

/* What the message brought; descriptors are main's. */
struct mount_ask {
	int mntns, root, ca, bundle, p12;
	uid_t uid; /* of the child that reads the image's own bundles */
};

/* One file of the container that is covered. Descriptors are closed by targets_close. */
struct mount_target {
	const char *path;
	int at;	      /* O_PATH: the file, in the container's tree */
	int tree;     /* a detached mount of the content; after it was moved: the mount itself */
	uint64_t mnt; /* id of the mount that `at` is on */
	dev_t dev;
	ino_t ino;
	bool laid;
};
struct mount_targets {
	struct mount_target list[MOUNT_TARGETS_MAX];
	unsigned n;
	int dir; /* detached mount of the folder that becomes TRUST_DIR */
};

/* A tmpfs that is in no tree but a mount namespace of this process alone. */
int stage_open(int *ret, char *why, size_t size) MUST_CHECK;
/* A new file of it with the bytes of `from`; -1: empty, for the caller to write. */
int stage_file(int stage, const char *name, int from, int *ret_fd) MUST_CHECK;
int stage_seal(int stage, char *why, size_t size) MUST_CHECK; /* nobody writes to it again */
/* A detached read-only mount of a file or folder of it. */
int stage_tree(int stage, const char *name, int *ret) MUST_CHECK;

/* Looks for what is to be covered below ask->root, and makes the contents in the stage. proc:
 * struct mount_peers. */
int targets_find(const struct mount_ask *ask, int proc, int stage, struct mount_targets *ret,
		 char *why, size_t size) MUST_CHECK;
void targets_close(struct mount_targets *t);

/* Before anything else: where `mntns` is another than this process's. */
struct mount_peers {
	int proc;	  /* O_PATH: the host's /proc */
	uint64_t *groups; /* peer groups of the host's mounts */
	size_t n;
};
int peers_open(int mntns, struct mount_peers *ret, char *why, size_t size) MUST_CHECK;
void peers_close(struct mount_peers *h);
/* In the container's namespace: -EXDEV where a mount on one of the targets would be seen by the
 * host too, or where its own list of mounts does not show the place (another root). */
int peers_check(const struct mount_peers *h, const struct mount_targets *t, char *why,
		size_t size) MUST_CHECK;

/* All or nothing; TRUST_DIR is laid where there is room for it: *ret_dir. */
int lay_bundles(const struct mount_ask *ask, const struct mount_peers *h, struct mount_targets *t,
		bool *ret_dir, char *why, size_t size) MUST_CHECK;

int mount_fail(char *why, size_t size, int err, const char *what, const char *path) MUST_CHECK;

#endif
