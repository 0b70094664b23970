/* SPDX-License-Identifier: Apache-2.0 */
/* See authority.h. Reads what the kernel says of a process; names in cgroup paths were chosen by
 * others and are only compared. */
#include "egretd/authority.h"

#include "egretd/member.h"
#include "egretd/job.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

/* Is this cgroup, or one above it up to the attach point, in the kernel's table? */
static bool is_registered(const struct daemon *d, struct str path)
{
	char text[CGROUP_PATH_MAX];
	uint64_t id = 0;
	size_t n;

	if (path.n >= sizeof(text))
		return true;
	for (n = 1; n <= path.n; n++) {
		cleanup_close int fd = -1;

		if (n < path.n && path.p[n] != '/')
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)n - 1, path.p + 1);
		fd = openat(d->cg.jobs, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || cgroup_id(fd, &id) < 0 || kernel_cgroup_known(d->kernel, id))
			return true;
	}
	return false;
}

static void place(const struct daemon *d, int proc, struct place_of *ret)
{
	cleanup_free char *text = mem_new(16384);
	const char *slice = d->cg.jobs_path + strlen(d->cg.mount.path);
	size_t n = strlen(slice), unit_n;
	const struct member *m;
	struct str path;
	unsigned i;

	ret->in_slice = true;
	if (read_small(proc, "cgroup", text, 16384) < 0 ||
	    authority_cgroup_path(str_of(text), &path) < 0)
		return;
	if (!str_starts(path, slice) || (path.n > n && path.p[n] != '/')) {
		ret->in_slice = false;
		return;
	}
	path.p += n;
	path.n -= n;
	m = member_by_path((struct daemon *)d, path);
	if (m)
		snprintf(ret->job, sizeof(ret->job), "%s", m->job->name);
	else if (d->cg.attached && !is_registered(d, path))
		ret->in_slice = false; /* a pod that is not egret's, perhaps egretd's own */
	for (i = 0; i < d->config.nmanaged; i++) {
		const struct config_managed *c = &d->config.managed[i];

		if (c->unit.n && place_unit(path, c->unit.p, &unit_n) && unit_n > 1 &&
		    unit_n < sizeof(ret->unit)) {
			snprintf(ret->unit, sizeof(ret->unit), "%.*s", (int)unit_n - 1, path.p + 1);
			ret->managed = c;
			return;
		}
	}
}

int authority_group(struct str name, const char *file, gid_t *ret)
{
	uint64_t n;
	struct group *g;
	FILE *f;

	if (str_u64(name, &n) == 0 && n < UINT32_MAX) {
		*ret = (gid_t)n;
		return 0;
	}
	f = fopen(file, "re");
	if (!f)
		return -ENOENT;
	while ((g = fgetgrent(f)) && !str_is(name, g->gr_name))
		;
	if (g)
		*ret = g->gr_gid;
	fclose(f);
	return g ? 0 : -ENOENT;
}

void authority_groups(struct daemon *d)
{
	if (authority_group(d->config.group_jobs, "/etc/group", &d->group_jobs) < 0)
		d->group_jobs = GROUP_NOBODY;
	if (authority_group(d->config.group_audit, "/etc/group", &d->group_audit) < 0)
		d->group_audit = GROUP_NOBODY;
}

void authority_log(const struct daemon *d, const char *path)
{
	if (fchown(d->log_fd, 0, d->group_audit == GROUP_NOBODY ? 0 : d->group_audit) < 0 ||
	    fchmod(d->log_fd, 0640) < 0)
		log_warn("%s: its group cannot be set: %s", path, strerror(errno));
}

static bool is_of(const struct caller *c, gid_t group)
{
	unsigned i;

	if (group == GROUP_NOBODY)
		return false;
	for (i = 0; i < c->ngroups; i++)
		if (c->groups[i] == group)
			return true;
	return c->gid == group;
}

int authority_place(const struct daemon *d, pid_t pid, struct place_of *ret)
{
	struct place_of at = { 0 };
	cleanup_close int proc = -1;
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
	if (proc < 0 || fstat(proc, &st) < 0)
		return -ESRCH;
	at.uid = st.st_uid;
	place(d, proc, &at);
	*ret = at;
	return 0;
}

int caller_of(const struct daemon *d, int sock, struct caller *ret, char *why, size_t n)
{
	struct ucred cred;
	struct caller c = { .pidfd = -1 };
	socklen_t size = sizeof(cred);
	struct pollfd alive;
	char path[64], comm[32];
	cleanup_close int pidfd = -1, proc = -1;
	bool host;

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
	/* An older kernel cannot say whose number that was (docs/threat-model.md); any other error
	 * is one who has ended, and the number may be another's by now. */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0)
		pidfd = errno == ENOPROTOOPT ? (int)syscall(SYS_pidfd_open, cred.pid, 0) : -1;
	snprintf(path, sizeof(path), "/proc/%d", (int)cred.pid);
	proc = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
	if (pidfd < 0 || proc < 0) {
		snprintf(why, n, "the caller has ended");
		return -ESRCH;
	}
	place(d, proc, &c.place);
	c.in_job = c.place.in_slice;
	snprintf(c.job, sizeof(c.job), "%s", c.place.job);
	if (read_small(proc, "comm", comm, sizeof(comm)) == 0)
		snprintf(c.comm, sizeof(c.comm), "%.*s", (int)strcspn(comm, "\n"), comm);
	host = same_namespace(proc, "pid", "/proc/self") &&
	       (same_namespace(proc, "mnt", "/proc/self") ||
		same_namespace(proc, "mnt", "/proc/1"));
	c.admin = c.uid == 0 && host;
	/* An engine's daemon may be governed itself; what it starts for containers is still its. */
	c.engine = c.admin && (!c.in_job || (c.place.managed && c.place.managed->engine.n &&
					     c.place.managed->unit.n));
	c.admin = c.admin && !c.in_job;
	/* Root of a container gives itself any group: a group counts where root would. */
	host = host && !c.in_job;
	c.runs = c.admin || (host && is_of(&c, d->group_jobs));
	c.audits = c.admin || (host && is_of(&c, d->group_audit));
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
