/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be known of the host before its namespace is left: its /proc, as the container's is
 * never used, and its peer groups. A mount on a place that the host shares with the container would
 * appear in the host too. Reads mountinfo: the kernel's lines, with paths of anybody's in them.
 */
#include "mount/mount.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/nsfs.h>
#include <unistd.h>

#define GROUPS_MAX 65536

/* One line of mountinfo: the mount's id, and its peer group (0: none). */
static bool line_read(const char *line, uint64_t *ret_mnt, uint64_t *ret_group)
{
	const char *end = strstr(line, " - "), *tag = strstr(line, " shared:");
	char *rest;

	*ret_mnt = strtoull(line, &rest, 10);
	*ret_group = tag && (!end || tag < end) ? strtoull(tag + 8, NULL, 10) : 0;
	return rest > line;
}

static FILE *mountinfo(int proc)
{
	cleanup_close int fd = openat(proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (f)
		fd = -1;
	return f;
}

static int groups_read(struct mount_peers *h)
{
	cleanup_free uint64_t *p = mem_new(GROUPS_MAX * sizeof(*p));
	cleanup_free char *line = NULL;
	FILE *f = mountinfo(h->proc);
	size_t n = 0, size = 0;
	uint64_t mnt, group;
	int r = 0;

	if (!f)
		return -errno;
	while (!r && getline(&line, &size, f) > 0) {
		if (!line_read(line, &mnt, &group) || !group)
			continue;
		if (n == GROUPS_MAX)
			r = -E2BIG;
		else
			p[n++] = group;
	}
	fclose(f);
	if (r)
		return r;
	h->groups = TAKE_PTR(p);
	h->n = n;
	return 0;
}

int peers_open(int mntns, struct mount_peers *ret, char *why, size_t size)
{
	struct mount_peers h = { .proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	struct stat own, theirs;
	int r;

	if (h.proc < 0 || fstatat(h.proc, "self/ns/mnt", &own, 0) < 0 || fstat(mntns, &theirs) < 0)
		r = mount_fail(why, size, -errno, "mount namespaces cannot be compared", "");
	else if (ioctl(mntns, NS_GET_NSTYPE) != CLONE_NEWNS)
		r = mount_fail(why, size, -EINVAL, "the message names no mount namespace", "");
	else if (own.st_dev == theirs.st_dev && own.st_ino == theirs.st_ino)
		r = mount_fail(why, size, -EXDEV, "the process shares the host's mount namespace",
			       "");
	else if ((r = groups_read(&h)) < 0)
		(void)!mount_fail(why, size, r, "the host's mounts cannot be listed", "");
	if (r < 0) {
		peers_close(&h);
		return r;
	}
	*ret = h;
	return 0;
}

void peers_close(struct mount_peers *h)
{
	if (h->proc >= 0)
		close(h->proc);
	free(h->groups);
	*h = (struct mount_peers){ .proc = -1 };
}

/* In the container's namespace: which of its mounts would hand ours on to the host? A mount that
 * its list does not show (its process has another root) is not trusted. */
int peers_check(const struct mount_peers *h, const struct mount_targets *t, char *why, size_t size)
{
	cleanup_free char *line = NULL;
	bool seen[MOUNT_TARGETS_MAX] = { false };
	FILE *f = mountinfo(h->proc);
	uint64_t mnt, group;
	size_t room = 0;
	int r = 0;

	if (!f)
		return mount_fail(why, size, -errno, "its mounts cannot be listed", "");
	while (!r && getline(&line, &room, f) > 0) {
		if (!line_read(line, &mnt, &group))
			continue;
		for (unsigned i = 0; !r && i < t->n; i++) {
			if (t->list[i].mnt != mnt)
				continue;
			seen[i] = true;
			for (size_t k = 0; group && k < h->n; k++)
				if (h->groups[k] == group)
					r = -EXDEV;
			if (r)
				snprintf(why, size,
					 "%s is on a mount that the host shares: covering it would "
					 "change the host; make that mount private or a slave",
					 t->list[i].path);
		}
	}
	fclose(f);
	for (unsigned i = 0; !r && i < t->n; i++)
		if (!seen[i]) {
			r = -EXDEV;
			snprintf(why, size, "%s is not in the container's own tree of mounts",
				 t->list[i].path);
		}
	return r;
}
