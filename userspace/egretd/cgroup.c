/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slices of an instance and what is done to one cgroup: make, fill, kill, wait, remove. Called
 * by egretd and tests; works on directory descriptors, so that a renamed or replaced path cannot
 * lead elsewhere.
 */
#include "egretd/cgroup.h"
#include "base/clock.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INIT_CGROUP_NS "cgroup:[4026531835]" /* PROC_CGROUP_INIT_INO */
#define DEPTH_MAX 32

static int dir_open(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cgroup_read(int at, const char *name, char *to, size_t size)
{
	cleanup_close int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, to, size - 1);
	if (n < 0)
		return -errno;
	to[n] = 0;
	return 0;
}

int cgroup_write(int at, const char *name, const char *text)
{
	cleanup_close int fd = openat(at, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroup_id(int fd, uint64_t *ret)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .h.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	if (name_to_handle_at(fd, "", &u.h, &mount, AT_EMPTY_PATH) < 0)
		return -errno;
	if (u.h.handle_bytes < sizeof(*ret))
		return -EPROTO;
	memcpy(ret, u.room + offsetof(struct file_handle, f_handle), sizeof(*ret));
	return 0;
}

#define HANDLE_KERNFS 0xfe /* FILEID_KERNFS */

bool cgroup_is_gone(int root, uint64_t id)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} u = { .h.handle_bytes = sizeof(id), .h.handle_type = HANDLE_KERNFS };
	cleanup_close int fd = -1;

	memcpy(u.room + offsetof(struct file_handle, f_handle), &id, sizeof(id));
	fd = open_by_handle_at(root, &u.h, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 && errno == ESTALE;
}

int cgroup_make(int parent, const char *name, int *ret_fd, uint64_t *ret_id)
{
	cleanup_close int fd = -1;
	uint64_t id = 0;
	int r;

	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = dir_open(parent, name);
	if (fd < 0)
		return fd;
	r = cgroup_id(fd, &id);
	if (r)
		return r;
	*ret_fd = TAKE_FD(fd);
	if (ret_id)
		*ret_id = id;
	return 0;
}

int cgroup_add(int fd, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", (int)pid);
	return cgroup_write(fd, "cgroup.procs", text);
}

int cgroup_populated(int fd, bool *ret)
{
	char text[256];
	int r = cgroup_read(fd, "cgroup.events", text, sizeof(text));

	if (r)
		return r;
	*ret = strstr(text, "populated 1") != NULL;
	return 0;
}

int cgroup_events_open(int fd, int *ret)
{
	int ev = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);

	if (ev < 0)
		return -errno;
	*ret = ev;
	return 0;
}

/* Calls fn for each cgroup below fd, deepest first; an error ends the walk. */
static int each_child(int fd, unsigned depth, int (*fn)(int parent, const char *name, int child))
{
	int copy, r = 0;
	DIR *d;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	copy = dir_open(fd, ".");
	if (copy < 0)
		return copy;
	d = fdopendir(copy);
	if (!d) {
		close(copy);
		return -ENOMEM;
	}
	for (struct dirent *e; !r && (e = readdir(d));) {
		cleanup_close int child = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		child = dir_open(fd, e->d_name);
		if (child < 0)
			continue; /* gone meanwhile */
		r = each_child(child, depth + 1, fn);
		if (!r)
			r = fn(fd, e->d_name, child);
	}
	closedir(d);
	return r;
}

static int kill_own(int parent, const char *name, int fd)
{
	cleanup_close int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f;
	long pid;

	(void)parent;
	(void)name;
	if (procs < 0)
		return 0;
	f = fdopen(TAKE_FD(procs), "r");
	if (!f)
		return -ENOMEM;
	while (fscanf(f, "%ld", &pid) == 1)
		if (pid > 1 && pid != getpid())
			kill((pid_t)pid, SIGKILL);
	fclose(f);
	return 0;
}

int cgroup_kill(int fd)
{
	int r = cgroup_write(fd, "cgroup.kill", "1");

	if (r != -ENOENT)
		return r;
	/* Before 5.14: children forked between two looks are met by the next. */
	for (int i = 0; i < 100; i++) {
		bool populated = false;

		r = each_child(fd, 0, kill_own);
		if (r)
			return r;
		r = kill_own(-1, NULL, fd);
		if (r)
			return r;
		r = cgroup_populated(fd, &populated);
		if (r || !populated)
			return r;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return -ETIMEDOUT;
}

int cgroup_wait_empty(int fd, int ms)
{
	cleanup_close int ev = -1;
	uint64_t end = clock_now() + (uint64_t)ms;
	int r = cgroup_events_open(fd, &ev);

	while (!r) {
		struct pollfd p = { .fd = ev, .events = POLLPRI };
		bool populated = false;
		uint64_t now;

		r = cgroup_populated(fd, &populated);
		if (r || !populated)
			break;
		now = clock_now();
		if (now >= end)
			return -ETIMEDOUT;
		/* Short turns: an event between reading and polling is not lost for long. */
		if (poll(&p, 1, end - now > 20 ? 20 : (int)(end - now)) < 0 && errno != EINTR)
			return -errno;
	}
	return r;
}

static int remove_child(int parent, const char *name, int child)
{
	(void)child;
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_remove(int parent, const char *name)
{
	cleanup_close int fd = dir_open(parent, name);
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = each_child(fd, 0, remove_child);
	return r ? r : remove_child(parent, name, fd);
}

static bool instance_ok(const char *s)
{
	size_t n = strlen(s);

	if (!n || n > 32)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-')
			return false;
	return true;
}

/* A path made by joining; does not fit: cut, and then open fails, never leads elsewhere. */
static void slice_names(const char *instance, char *jobs, char *own, size_t size)
{
	if (strcmp(instance, "egret") == 0) {
		snprintf(jobs, size, "egret.slice");
		snprintf(own, size, "egretd.slice");
	} else {
		snprintf(jobs, size, "egret-%s.slice", instance);
		snprintf(own, size, "egretd-%s.slice", instance);
	}
}

static int path_join(char *to, const char *dir, const char *name)
{
	int n = snprintf(to, CGROUP_PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= CGROUP_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Each component is made when it is not there, and none may be a link. */
static int attach_path(struct cgroups *c, const char *path)
{
	int at = dup(c->root), next, r = at < 0 ? -errno : 0;
	unsigned level = 0;

	while (r == 0 && *path) {
		size_t n = strcspn(path, "/");
		char name[NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		path += n + (path[n] == '/');
		if (!n)
			continue;
		r = n > NAME_MAX ? -ENAMETOOLONG : cgroup_make(at, name, &next, NULL);
		if (r < 0)
			break;
		close(at);
		at = next;
		level++;
	}
	if (r == 0 && !level)
		r = -EINVAL;
	if (r < 0) {
		if (at >= 0)
			close(at);
		return r;
	}
	c->jobs = at;
	c->jobs_level = level;
	return 0;
}

/* The name that a kubelet has given. In a hybrid layout it works in version 1, and nothing of it is
 * here: jobs' cgroups are made in it. */
static const char *kubepods_of(const struct cgroups *c)
{
	static const char *const names[] = { "kubepods.slice", "kubepods" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (faccessat(c->root, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return names[i];
	return c->mount.hybrid ? names[1] : NULL;
}

static int slices_open(const char *jobs, const char *own, struct cgroups *c)
{
	const struct {
		const char *name;
		int *fd;
	} leaves[] = {
		{ "listen", &c->listen }, { "proxy", &c->proxies }, { "broker", &c->broker },
		{ "audit", &c->audit },	  { "work", &c->work },
	};
	int r;

	c->root = open(c->mount.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->root < 0)
		return -errno;
	if (!jobs)
		jobs = kubepods_of(c);
	if (!jobs)
		return -ENOENT;
	r = path_join(c->jobs_path, c->mount.path, jobs + (jobs[0] == '/'));
	if (!r)
		r = path_join(c->own_path, c->mount.path, own);
	if (!r)
		r = attach_path(c, jobs);
	if (!r)
		r = cgroup_make(c->root, own, &c->own, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(leaves) && !r; i++)
		r = cgroup_make(c->own, leaves[i].name, leaves[i].fd, NULL);
	return r;
}

int cgroups_open(const char *instance, const char *attach, struct cgroups *ret, char *why,
		 size_t size)
{
	struct cgroups *c = mem_new(sizeof(*c));
	char jobs[64], own[64], ns[64] = "";
	int r;

	c->root = c->jobs = c->own = c->listen = c->proxies = c->broker = c->audit = c->work = -1;
	if (!instance_ok(instance)) {
		snprintf(why, size, "the instance name is not 1 to 32 letters, digits and '-'");
		r = -EINVAL;
		goto out;
	}
	r = cgroup_mount_find(&c->mount, why, size);
	if (r)
		goto out;
	/* The programs count levels from the real root, which a cgroup namespace hides. */
	if (readlink("/proc/self/ns/cgroup", ns, sizeof(ns) - 1) < 0 ||
	    strcmp(ns, INIT_CGROUP_NS) != 0) {
		snprintf(why, size,
			 "egretd runs in a cgroup namespace of its own: start it in the host's");
		r = -EXDEV;
		goto out;
	}
	slice_names(instance, jobs, own, sizeof(jobs));
	c->attached = attach != NULL;
	r = slices_open(!attach ? jobs : strcmp(attach, "kubepods") == 0 ? NULL : attach, own, c);
	if (r == -ENOENT && attach) {
		snprintf(why, size,
			 "\"attach\": \"kubepods\": neither /kubepods.slice nor /kubepods is below "
			 "%s: start the kubelet first, or name the cgroup of its pods",
			 c->mount.path);
		goto out;
	}
	if (r) {
		snprintf(why, size, "cgroups %s and %s cannot be made below %s (%s)%s",
			 attach ? attach : jobs, own, c->mount.path, strerror(-r),
			 r == -EACCES || r == -EPERM || r == -EROFS ? ": run as root on the host"
								    : "");
		goto out;
	}
	*ret = *c;
	free(c);
	return 0;
out:
	cgroups_close(c);
	free(c);
	return r;
}

void cgroups_close(struct cgroups *c)
{
	int *fds[] = { &c->root,    &c->jobs,	&c->own,   &c->listen,
		       &c->proxies, &c->broker, &c->audit, &c->work };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int cgroups_remove(struct cgroups *c)
{
	const char *jobs = strrchr(c->jobs_path, '/'), *own = strrchr(c->own_path, '/');
	int r = 0, r2;

	if (!jobs || !own)
		return -EINVAL;
	if (!c->attached)
		r = cgroup_remove(c->root, jobs + 1);
	r2 = cgroup_remove(c->root, own + 1);
	return r ? r : r2;
}
