/* SPDX-License-Identifier: Apache-2.0 */
/* See bounds.h. Reads /proc only: numbers that the kernel wrote; names are not looked at. */
#include "egretd/bounds.h"

#include "egretd/proctree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOSE (1ull << CAP_NET_RAW | 1ull << CAP_NET_ADMIN | 1ull << CAP_SYS_ADMIN)

/* A line's hexadecimal number. The process's name is the first line, with newlines escaped: no name
 * makes a line. */
static bool line_of(const char *status, const char *key, unsigned long long *ret)
{
	const char *at = strstr(status, key);
	char *end;

	if (!at)
		return false;
	at += strlen(key);
	*ret = strtoull(at, &end, 16);
	return end != at;
}

bool bounds_loose(const char *status)
{
	unsigned long long own, inherits, bound, still;

	if (strstr(status, "\nState:\tZ") || strstr(status, "\nState:\tX"))
		return false;
	if (!line_of(status, "\nCapInh:\t", &inherits) || !line_of(status, "\nCapPrm:\t", &own) ||
	    !line_of(status, "\nCapBnd:\t", &bound) || !line_of(status, "\nNoNewPrivs:\t", &still))
		return true;
	/* What it has, what a file's inheritable set would let through, what root's or a file's own
	 * capabilities would give. */
	return ((own | inherits) & LOOSE) || (!still && (bound & LOOSE));
}

/* 1: in egretd's own namespace of this kind, 0: in another; -1: not known. */
static int is_own(int dir, const char *tid, const char *kind)
{
	char path[300];
	struct stat own, theirs;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	if (stat(path, &own) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/ns/%s", tid, kind);
	if (fstatat(dir, path, &theirs, 0) < 0)
		return -1;
	return own.st_dev == theirs.st_dev && own.st_ino == theirs.st_ino;
}

/* On the host's network in a user namespace of its own: what it has there counts nothing on this
 * network, and nobody comes back from there with more. Not on another network, which may be that
 * user namespace's. */
static bool is_apart(int dir, const char *tid)
{
	return is_own(dir, tid, "user") == 0 && is_own(dir, tid, "net") == 1;
}

static int thread_loose(int dir, const char *tid)
{
	char path[300], text[8192];
	cleanup_close int fd = -1;
	ssize_t n;

	if (is_apart(dir, tid))
		return 0;
	snprintf(path, sizeof(path), "%s/status", tid);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : 1;
	text[n] = 0;
	return n > 0 && bounds_loose(text);
}

int bounds_process(pid_t pid, char *why, size_t n)
{
	char path[64];
	struct dirent *e;
	bool loose = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir && (errno == ENOENT || errno == ESRCH))
		return 0;
	while (dir && !loose && (e = readdir(dir)) != NULL)
		loose = e->d_name[0] != '.' && thread_loose(dirfd(dir), e->d_name);
	if (dir)
		closedir(dir);
	if (dir && !loose)
		return 0;
	snprintf(why, n,
		 "process %d could open packet sockets (its bounding set has CAP_NET_RAW, "
		 "CAP_NET_ADMIN or CAP_SYS_ADMIN, and it may gain it), and on the host's network "
		 "only the wall \"lsm\" would stop those, which does not stand here",
		 (int)pid);
	return -EPERM;
}

int bounds_cgroup(int cgroup, pid_t *ret, char *why, size_t n)
{
	pid_t *pids = NULL;
	size_t count = 0, i;
	int r = proctree_pids(cgroup, &pids, &count);

	if (r < 0)
		snprintf(why, n, "its processes cannot be listed: %s", strerror(-r));
	for (i = 0; r == 0 && i < count; i++) {
		r = bounds_process(pids[i], why, n);
		if (r < 0 && ret)
			*ret = pids[i];
	}
	free(pids);
	return r;
}
