/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See proctree.h. A process is named by its pid and its start time: the time is read again right
 * before a pid is written to cgroup.procs, and the kernel gives a pid out again only after all
 * others, so what is moved is what was looked at. Parents go before their children: from then on
 * what they fork is born in the new cgroup, and the next look finds the few that were forked
 * before.
 */
#include "egretd/proctree.h"
#include "egretd/child.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PARENTS_MAX 4096
#define DEPTH_MAX 64
#define LOOKS_MAX 256
#define PIDS_MAX (1u << 22) /* the kernel's own limit of pids */
#define SOCKETS_MAX (1u << 20)

struct pids {
	pid_t *p;
	size_t n, room;
};

static void pids_add(struct pids *l, pid_t pid)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 256;
		l->p = reallocarray(l->p, l->room, sizeof(*l->p));
		if (!l->p)
			die("out of memory");
	}
	l->p[l->n++] = pid;
}

/* Parent and start time; -ESRCH when there is no such process. */
static int process_read(pid_t pid, pid_t *ret_parent, uint64_t *ret_started, char *ret_state)
{
	char path[64], text[1024], *at, state = 0;
	unsigned long long started = 0;
	int parent = 0;
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = 0;
	/* The name in parentheses may hold anything: fields count from the last one. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1,
			  " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			  "%*s %llu",
			  &state, &parent, &started) != 3)
		return -ESRCH;
	*ret_parent = parent;
	*ret_started = started;
	*ret_state = state;
	return 0;
}

bool proctree_descends(pid_t pid, pid_t ancestor)
{
	for (unsigned i = 0; i < PARENTS_MAX && pid > 0; i++) {
		uint64_t started;
		char state;

		if (pid == ancestor)
			return true;
		if (process_read(pid, &pid, &started, &state) < 0)
			return false;
	}
	return false;
}

pid_t proctree_parent(pid_t pid)
{
	uint64_t started;
	pid_t parent;
	char state;

	return process_read(pid, &parent, &started, &state) < 0 ? 0 : parent;
}

bool proctree_stands(pid_t pid)
{
	struct stat own, theirs;
	uint64_t started;
	char path[64], state;
	pid_t parent;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	return process_read(pid, &parent, &started, &state) == 0 && state == 'T' &&
	       stat("/proc/self/ns/mnt", &own) == 0 && stat(path, &theirs) == 0 &&
	       (own.st_ino != theirs.st_ino || own.st_dev != theirs.st_dev);
}

/* cgroup.procs of one cgroup, whole. */
static int procs_read(int cgroup, struct pids *to)
{
	cleanup_close int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char room[16384];
	long long pid = 0;
	bool digits = false;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, room, sizeof(room))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (room[i] >= '0' && room[i] <= '9') {
				pid = (pid * 10 + room[i] - '0') & 0x7fffffff;
				digits = true;
				continue;
			}
			/* 0: of a pid namespace that is not below ours */
			if (digits && pid && to->n < PIDS_MAX)
				pids_add(to, (pid_t)pid);
			pid = 0;
			digits = false;
		}
	return n < 0 ? -errno : 0;
}

/* The same with all cgroups below it but `skip` (and what is below that). A cgroup that goes away
 * meanwhile has no processes; a threaded one's are in cgroup.procs of its domain. */
static int procs_below(int cgroup, const struct stat *skip, unsigned depth, struct pids *to)
{
	int copy, r = procs_read(cgroup, to);
	struct dirent *e;
	DIR *dir;

	if (r < 0 && !(depth && (r == -ENODEV || r == -ENOENT || r == -EOPNOTSUPP)))
		return r;
	if (depth == DEPTH_MAX)
		return 0;
	copy = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return depth ? 0 : r;
	}
	for (r = 0; !r && (e = readdir(dir));) {
		cleanup_close int fd = -1;
		struct stat st;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		fd = openat(cgroup, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			continue;
		if (st.st_ino != skip->st_ino || st.st_dev != skip->st_dev)
			r = procs_below(fd, skip, depth + 1, to);
	}
	closedir(dir);
	return r;
}

int proctree_pids(int cgroup, pid_t **ret, size_t *n)
{
	const struct stat none = { 0 };
	struct pids l = { 0 };
	int r = procs_below(cgroup, &none, 0, &l);

	if (r < 0) {
		free(l.p);
		return r;
	}
	*ret = l.p;
	*n = l.n;
	return 0;
}

/* One look: what is in `from` with its parents, and what of it descends from the root. */
struct seen {
	pid_t pid, parent;
	uint64_t started;
	unsigned depth; /* below the root, 0: the root itself */
	bool asked, ours;
};

struct look {
	struct seen *p;
	size_t n;
};

static int by_pid(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int by_depth(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return x->depth < y->depth ? -1 : x->depth > y->depth;
}

/* Follows parents through the look, and through /proc where they are in other cgroups. What was
 * answered once is kept, so that a look costs one step a process. */
static void ask(struct look *l, struct seen *s, pid_t root)
{
	struct seen *way[PARENTS_MAX], *at = s;
	unsigned n = 0, depth = 0;
	pid_t pid = s->pid;
	bool ours = false;

	for (unsigned i = 0; i < PARENTS_MAX && pid > 0; i++) {
		struct seen key = { .pid = pid };
		uint64_t started;
		char state;

		at = bsearch(&key, l->p, l->n, sizeof(*l->p), by_pid);
		if (at && at->asked) {
			ours = at->ours;
			depth = at->depth + 1;
			break;
		}
		if (at)
			way[n++] = at;
		if (pid == root) {
			ours = true;
			break;
		}
		if (at)
			pid = at->parent;
		else if (process_read(pid, &pid, &started, &state) < 0)
			break;
	}
	while (n--) {
		way[n]->asked = true;
		way[n]->ours = ours;
		way[n]->depth = depth++;
	}
}

static int look(int from, const struct stat *to, pid_t root, struct look *ret)
{
	struct pids pids = { 0 };
	struct look l = { 0 };
	int r = procs_below(from, to, 0, &pids);

	if (r < 0) {
		free(pids.p);
		return r;
	}
	l.p = mem_new((pids.n + 1) * sizeof(*l.p));
	for (size_t i = 0; i < pids.n; i++) {
		struct seen *s = &l.p[l.n];
		char state;

		s->pid = pids.p[i];
		l.n += process_read(s->pid, &s->parent, &s->started, &state) == 0;
	}
	free(pids.p);
	qsort(l.p, l.n, sizeof(*l.p), by_pid);
	for (size_t i = 0; i < l.n; i++)
		if (!l.p[i].asked)
			ask(&l, &l.p[i], root);
	qsort(l.p, l.n, sizeof(*l.p), by_depth);
	*ret = l;
	return 0;
}

int proctree_only(int cgroup, pid_t root, bool *ret)
{
	const struct stat none = { 0 };
	struct look l;
	int r = look(cgroup, &none, root, &l);

	if (r < 0)
		return r;
	*ret = true;
	for (size_t i = 0; i < l.n; i++)
		*ret &= l.p[i].ours;
	free(l.p);
	return 0;
}

/* 1: moved; 0: it ended meanwhile; or what the kernel refuses. */
static int move_one(int procs, const struct seen *s)
{
	uint64_t started;
	char text[24], state;
	pid_t parent;
	int n = snprintf(text, sizeof(text), "%d", (int)s->pid), err;

	if (child_started(s->pid) != s->started)
		return 0;
	if (write(procs, text, (size_t)n) == n)
		return 1;
	err = -errno;
	/* Ended, or a zombie that only waits for its parent. */
	if (err == -ESRCH || process_read(s->pid, &parent, &started, &state) < 0 ||
	    started != s->started || state == 'Z' || state == 'X')
		return 0;
	return err;
}

static int move_all(const struct look *l, int procs, unsigned *moved, bool *news)
{
	int last = 0;

	for (size_t i = 0; i < l->n; i++) {
		int r;

		if (!l->p[i].ours)
			continue;
		r = move_one(procs, &l->p[i]);
		if (r > 0) {
			(*moved)++;
			*news = true;
		} else if (r < 0) {
			last = r;
		}
	}
	return last;
}

/* A threaded cgroup takes processes, but does not list them: it is refused by the same answer. */
static int is_in(int cgroup, pid_t pid, bool *ret)
{
	struct pids l = { 0 };
	int r = procs_read(cgroup, &l);

	*ret = false;
	for (size_t i = 0; !r && i < l.n; i++)
		*ret |= l.p[i] == pid;
	free(l.p);
	return r;
}

int proctree_move(int from, pid_t root, uint64_t root_started, int to, unsigned *ret_moved)
{
	cleanup_close int procs = openat(to, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	unsigned moved = 0;
	bool news = true, there = false;
	struct stat st;
	int r = 0;

	if (procs < 0 || fstat(to, &st) < 0)
		return -errno;
	r = is_in(to, root, &there);
	if (r < 0)
		return r;
	for (unsigned i = 0; news && i < LOOKS_MAX; i++) {
		struct look l;

		/* A pid used again is neither the root nor anybody's parent. */
		if (root <= 0 || child_started(root) != root_started)
			return -ESRCH;
		r = look(from, &st, root, &l);
		if (r < 0)
			return r;
		news = false;
		r = move_all(&l, procs, &moved, &news);
		free(l.p);
		if (r < 0 && !news)
			return r;
	}
	if (news)
		return -EAGAIN;
	r = is_in(to, root, &there);
	if (r < 0 || !there)
		return r < 0 ? r : -EXDEV;
	*ret_moved = moved;
	return 0;
}

const char *proctree_why(int err)
{
	switch (err) {
	case -ESRCH:
		return "the process has ended";
	case -EXDEV:
		return "the process is not in the cgroup that it should be moved from";
	case -EAGAIN:
		return "it starts processes faster than they can be moved";
	case -EOPNOTSUPP:
		return "the cgroup is threaded or has a threaded one beside it, so that no process "
		       "may be moved into it: the unit must not use threaded cgroups";
	case -EBUSY:
		return "the cgroup gives controllers to cgroups below it, so that it may hold no "
		       "process itself";
	case -EACCES:
	case -EPERM:
		return "the kernel does not allow it: egretd must own both cgroups and their "
		       "common parent";
	case -ENOENT:
	case -ENODEV:
		return "the cgroup is gone";
	case -EINVAL:
		return "a process with real-time scheduling cannot be moved there";
	default:
		return strerror(-err);
	}
}

struct inodes {
	uint64_t *p;
	size_t n, room;
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int fds_read(int task, struct inodes *to)
{
	int fd = openat(task, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r == -ENOENT || r == -ESRCH ? 0 : r;
	}
	while (!r && (e = readdir(dir))) {
		char text[64];
		unsigned long long inode;
		ssize_t n = readlinkat(dirfd(dir), e->d_name, text, sizeof(text) - 1);

		if (n <= 0)
			continue;
		text[n] = 0;
		if (sscanf(text, "socket:[%llu]", &inode) != 1)
			continue;
		if (to->n == SOCKETS_MAX) {
			r = -E2BIG;
			break;
		}
		if (to->n == to->room) {
			to->room = to->room ? to->room * 2 : 256;
			to->p = reallocarray(to->p, to->room, sizeof(*to->p));
			if (!to->p)
				die("out of memory");
		}
		to->p[to->n++] = inode;
	}
	closedir(dir);
	return r;
}

/* A thread may hold descriptors of its own; one that does not is passed over where the kernel can
 * tell. */
static int process_sockets(pid_t pid, struct inodes *to)
{
	char path[64];
	struct dirent *e;
	DIR *dir;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	while (!r && (e = readdir(dir))) {
		cleanup_close int task = -1;
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

		if (tid <= 0 || (tid != pid && syscall(SYS_kcmp, pid, tid, KCMP_FILES, 0, 0) == 0))
			continue;
		task = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (task >= 0)
			r = fds_read(task, to);
	}
	closedir(dir);
	return r;
}

static int cgroup_sockets(int cgroup, struct inodes *to)
{
	struct pids pids = { 0 };
	int r = procs_read(cgroup, &pids);

	for (size_t i = 0; !r && i < pids.n; i++)
		r = process_sockets(pids.p[i], to);
	free(pids.p);
	if (!r && to->n)
		qsort(to->p, to->n, sizeof(*to->p), by_value);
	return r;
}

int proctree_sockets(int cgroup, int but_not, uint64_t **ret, size_t *ret_n)
{
	struct inodes in = { 0 }, not = { 0 };
	size_t kept = 0;
	int r = cgroup_sockets(cgroup, &in);

	if (!r && but_not >= 0)
		r = cgroup_sockets(but_not, &not );
	for (size_t i = 0; !r && i < in.n; i++) {
		if (kept && in.p[kept - 1] == in.p[i])
			continue;
		if (not .n && bsearch(&in.p[i], not .p, not .n, sizeof(*not .p), by_value))
			continue;
		in.p[kept++] = in.p[i];
	}
	free(not .p);
	if (r) {
		free(in.p);
		return r;
	}
	*ret = in.p;
	*ret_n = kept;
	return 0;
}
