/* SPDX-License-Identifier: Apache-2.0 */
/* See authority.h. Reads what the kernel says of a process; names in cgroup paths were chosen by
 * others and are only compared. */
#include "egretd/authority.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

int authority_cgroup_path(struct str text, struct str *ret)
{
	const char *at = text.p, *end = text.p + text.n;

	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		struct str line = { at, (size_t)((line_end ? line_end : end) - at) };

		if (str_starts(line, "0::/")) {
			*ret = (struct str){ line.p + 3, line.n - 3 };
			return 0;
		}
		at = line_end ? line_end + 1 : end;
	}
	return -ENOENT;
}

static int read_small(int dir, const char *name, char *to, size_t size)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while (n < size - 1 && (got = read(fd, to + n, size - 1 - n)) > 0)
		n += (size_t)got;
	to[n] = 0;
	return n == size - 1 ? -EMSGSIZE : 0;
}

static bool same_namespace(int proc, const char *name, const char *as)
{
	char path[64];
	struct stat theirs, ours;

	snprintf(path, sizeof(path), "%s/ns/%s", as, name);
	if (stat(path, &ours) < 0)
		return false;
	snprintf(path, sizeof(path), "ns/%s", name);
	return fstatat(proc, path, &theirs, 0) == 0 && theirs.st_dev == ours.st_dev &&
	       theirs.st_ino == ours.st_ino;
}

/* Where the process stands relative to the jobs' slice. An unreadable cgroup file counts as inside:
 * no authority. */
static void place(const struct daemon *d, int proc, struct caller *c)
{
	cleanup_free char *text = mem_new(16384);
	const char *slice = d->cg.jobs_path + strlen(d->cg.mount.path);
	size_t n = strlen(slice);
	struct str path;

	c->in_job = true;
	if (read_small(proc, "cgroup", text, 16384) < 0 ||
	    authority_cgroup_path(str_of(text), &path) < 0)
		return;
	if (!str_starts(path, slice) || (path.n > n && path.p[n] != '/')) {
		c->in_job = false;
		return;
	}
	if (path.n > n + 1) {
		struct str rest = { path.p + n + 1, path.n - n - 1 };
		const char *slash = memchr(rest.p, '/', rest.n);

		if (slash)
			rest.n = (size_t)(slash - rest.p);
		snprintf(c->job, sizeof(c->job), "%.*s", STR_ARG(rest));
	}
}

int caller_of(const struct daemon *d, int sock, struct caller *ret, char *why, size_t n)
{
	struct ucred cred;
	struct caller c = { .pidfd = -1 };
	socklen_t size = sizeof(cred);
	struct pollfd alive;
	char path[64];
	cleanup_close int pidfd = -1, proc = -1;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || cred.pid <= 0) {
		snprintf(why, n, "the caller is in another pid namespace: ask from the host");
		return -EPERM;
	}
	c.pid = cred.pid;
	c.uid = cred.uid;
	c.gid = cred.gid;
	size = sizeof(c.groups);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, c.groups, &size) == 0)
		c.ngroups = size / sizeof(gid_t);
	size = sizeof(pidfd);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0)
		pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	snprintf(path, sizeof(path), "/proc/%d", (int)cred.pid);
	proc = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
	if (pidfd < 0 || proc < 0) {
		snprintf(why, n, "the caller has ended");
		return -ESRCH;
	}
	place(d, proc, &c);
	c.admin = c.uid == 0 && !c.in_job && same_namespace(proc, "pid", "/proc/self") &&
		  (same_namespace(proc, "mnt", "/proc/self") ||
		   same_namespace(proc, "mnt", "/proc/1"));
	/* All of this was about the process that connected only if that one still lives. */
	alive = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	if (poll(&alive, 1, 0) != 0) {
		snprintf(why, n, "the caller has ended");
		return -ESRCH;
	}
	c.pidfd = TAKE_FD(pidfd);
	*ret = c;
	return 0;
}

void caller_done(struct caller *c)
{
	if (c->pidfd >= 0)
		close(c->pidfd);
	c->pidfd = -1;
}
