/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that started with nobody asking. The kernel stops the first task that executes in such
 * a cgroup (bpf/hold.bpf.c) and tells of it here; it is identified, made a member or a stranger,
 * and let go. An admin's MSG_ATTACH does the same for one that runs. Comfort, not a wall: while
 * this egretd does not beat, nobody is stopped and everybody unknown is refused.
 */
#include "egretd/authority.h"
#include "egretd/container.h"
#include "egretd/control.h"
#include "egretd/mounting.h"
#include "egretd/proctree.h"
#include "egretd/sockdiag.h"
#include "egretd/tier.h"
#include "egretd/unit.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BEAT_MS 500
#define STRANGERS_MAX 4096
#define GO_ON_DEPTH 8

struct stranger {
	struct stranger *next;
	struct daemon *d;
	uint64_t id;
	int fd, events;
	struct watch empty;
};

static struct stranger *strangers;
static unsigned nstrangers;

static void stranger_drop(struct stranger *s)
{
	struct stranger **at;

	for (at = &strangers; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	nstrangers--;
	watch_del(&s->empty);
	close(s->events);
	close(s->fd);
	free(s);
}

static void on_stranger(struct watch *w, uint32_t events)
{
	struct stranger *s = w->owner;
	char text[256] = "";

	/* Reading is what arms the file for the next change. */
	if (pread(s->events, text, sizeof(text) - 1, 0) > 0 && strstr(text, "populated 1"))
		return;
	cgroup_forget(s->d, s->id);
	stranger_drop(s);
}

int stranger_add(struct daemon *d, int fd, uint64_t id)
{
	struct stranger *s;
	int events = -1, r;

	if (d->cg.attached) {
		/* forget.c looks when it is gone. */
		r = kernel_cgroup_set(d->kernel, id, 0, 0);
		close(fd);
		return r;
	}
	/* Not known to the kernel: refused all the same, only held once more at its next exec. */
	if (nstrangers == STRANGERS_MAX || cgroup_events_open(fd, &events) < 0 ||
	    kernel_cgroup_set(d->kernel, id, 0, 0) < 0) {
		if (events >= 0)
			close(events);
		close(fd);
		return 0;
	}
	s = mem_new(sizeof(*s));
	s->d = d;
	s->id = id;
	s->fd = fd;
	s->events = events;
	s->next = strangers;
	strangers = s;
	nstrangers++;
	if (watch_add(d->loop, &s->empty, events, EPOLLPRI, on_stranger, s) < 0)
		stranger_drop(s);
	return 0;
}

void stranger_forget(struct daemon *d, uint64_t id)
{
	struct stranger *s;

	for (s = strangers; s; s = s->next)
		if (s->d == d && s->id == id) {
			stranger_drop(s);
			return;
		}
}

/* ---- a held one ---- */

void placing_held_over(struct placing *p, bool refuse)
{
	unsigned i;
	int fd;

	if (refuse && p->path[0]) {
		fd = openat(p->d->cg.jobs, p->path,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			(void)!stranger_add(p->d, fd, p->cgroup_id);
	}
	for (i = 0; i < p->nheld; i++) {
		(void)!syscall(SYS_pidfd_send_signal, p->held[i].pidfd, SIGCONT, NULL, 0);
		close(p->held[i].pidfd);
	}
	p->nheld = 0;
	placing_free(p);
}

static void finish(struct placing *p, struct job *j)
{
	struct msg_out m;

	if (p->client) {
		msg_begin(&m, MSG_JOB, p->question);
		job_put(j, &m);
		client_send(p->client, &m);
	}
	if (p->why == PLACING_ATTACH)
		placing_free(p);
	else
		placing_held_over(p, false);
}

/* In the host's own mount namespace, and in egretd's where that is another (a pod), nothing is laid
 * over files: they are everybody's. The host's is its first process's, where that may be asked. */
static bool in_our_mounts(pid_t pid)
{
	struct stat theirs, ours;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &theirs) < 0 || stat("/proc/self/ns/mnt", &ours) < 0)
		return true;
	if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
		return true;
	return stat("/proc/1/ns/mnt", &ours) == 0 && theirs.st_dev == ours.st_dev &&
	       theirs.st_ino == ours.st_ino;
}

static void on_mounted(void *owner, int err, const char *text)
{
	struct placing *p = owner;
	struct job *j = placing_job(p);
	struct member *at = member_by_cgroup(p->d, p->cgroup_id);

	p->mount = NULL;
	if (!j || !at) {
		placing_fail(p, -ESHUTDOWN, "its job is over");
		return;
	}
	/* Without the files it is a member all the same: clients say that they do not know the CA.
	 */
	if (err < 0)
		log_warn("container %.12s: bundles could not be laid into it: %s", p->id, text);
	else
		at->trust = MEMBER_TRUST_FILES;
	finish(p, j);
}

/* What its processes hold, wherever that was made (a process that was moved here brought its own),
 * and what was made here, whoever holds it. */
static int end_sockets(const struct member *m, char *why, size_t n)
{
	cleanup_free uint64_t *inodes = NULL;
	const int ns = m->net->ns.netns;
	unsigned count = 0;
	size_t held = 0;
	int r = proctree_sockets(m->cgroup, -1, &inodes, &held);

	if (r < 0) {
		snprintf(why, n, "its processes cannot be looked at: %s", strerror(-r));
		return r;
	}
	if (held > 0)
		r = sockdiag_destroy(ns, 0, inodes, held, &count, why, n);
	return r < 0 ? r : sockdiag_destroy(ns, m->cgroup_id, NULL, 0, &count, why, n);
}

/* Called twice: with its job, and when it is a served member. */
void placing_held(struct placing *p, struct job *j)
{
	const bool hold = p->engine && p->engine->unregistered == UNREGISTERED_HOLD;
	struct member *at;
	char why[WHY_MAX] = "";
	int r = 0;

	if (!j && p->why == PLACING_HELD && hold && p->state != PLACING_WAIT) {
		p->state = PLACING_WAIT;
		placing_late(p, PLACING_HOLD_MS);
		log_info("%s is held until somebody attaches it: egret attach --cgroup %s", p->path,
			 p->path);
		return;
	}
	if (!j) {
		placing_fail(p, -ENOENT,
			     "it belongs to no job: everything it tries to reach is refused");
		return;
	}
	if (p->state != PLACING_SERVE) {
		r = placing_tier(p, j, why, sizeof(why));
		if (r == 0)
			r = placing_member(p, j, MEMBER_TRUST_NONE, why, sizeof(why));
		if (r < 0)
			placing_fail(p, r, why);
		return; /* comes back when it is served */
	}
	at = member_by_cgroup(p->d, p->cgroup_id);
	/* A connection that it brought would be seen by no program of ours: then it is no member.
	 */
	if (at && p->why == PLACING_ATTACH) {
		r = end_sockets(at, why, sizeof(why));
		if (r < 0) {
			member_remove(at);
			placing_fail(p, r, why);
			return;
		}
	}
	if (in_our_mounts(p->pid)) {
		if (job_files_lay(j) < 0)
			log_warn("job %s: its CA files cannot be written", j->name);
		finish(p, j);
		return;
	}
	p->state = PLACING_MOUNT;
	r = mounting_start(j, p->pid, p->pidfd, on_mounted, p, &p->mount, why, sizeof(why));
	if (r < 0)
		on_mounted(p, r, why);
}

static int path_of(const struct daemon *d, pid_t pid, char *to, size_t size)
{
	const char *slice = d->cg.jobs_path + strlen(d->cg.mount.path);
	size_t n = strlen(slice);
	char file[64], text[16384];
	cleanup_close int fd = -1;
	struct str path;
	ssize_t got;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (got <= 0 || authority_cgroup_path((struct str){ text, (size_t)got }, &path) < 0)
		return -ESRCH;
	if (!str_starts(path, slice) || path.n <= n + 1 || path.p[n] != '/' || path.n - n >= size)
		return -ENOENT;
	snprintf(to, size, "%.*s", (int)(path.n - n - 1), path.p + n + 1);
	return 0;
}

static const struct config_managed *engine_of(const struct daemon *d, const struct place *at)
{
	unsigned i;

	if (at->engine[0])
		return engine_by_name(d, str_of(at->engine));
	/* The shape does not tell: the only engine there is. */
	for (i = 0; i < d->config.nmanaged; i++)
		if (!d->config.managed[i].unit.n)
			return &d->config.managed[i];
	return NULL;
}

static bool matches(struct daemon *d, const char *path, uint64_t id)
{
	cleanup_close int fd =
		openat(d->cg.jobs, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t have = 0;

	return fd >= 0 && cgroup_id(fd, &have) == 0 && have == id;
}

static void on_held(void *owner, const struct egret_held *h)
{
	struct daemon *d = owner;
	struct placing *p = placing_by_cgroup(d, h->cgroup);
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)h->pid, 0);
	char path[CGROUP_PATH_MAX];
	struct place at = { .engine = "" };
	struct placing *joined;

	if (pidfd < 0)
		return;
	if (path_of(d, (pid_t)h->pid, path, sizeof(path)) < 0 || !matches(d, path, h->cgroup)) {
		/* It went elsewhere meanwhile. */
		(void)!syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
		close(pidfd);
		return;
	}
	if (!p) {
		char whole[CGROUP_PATH_MAX + 1];
		const struct config_managed *unit;

		snprintf(whole, sizeof(whole), "/%s", path);
		unit = unit_entry(d, str_of(whole));
		if (place_container(str_of(path), &at) < 0)
			at.id[0] = 0;
		p = placing_new(d, PLACING_HELD, at.id[0] ? at.id : strrchr(whole, '/') + 1);
		if (p) {
			p->container = at.id[0];
			snprintf(p->path, sizeof(p->path), "%s", path);
			p->cgroup_id = h->cgroup;
			p->engine = at.id[0] ? engine_of(d, &at) : unit;
			p->pid = (pid_t)h->pid;
			p->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
		}
	} else if (p->nheld > 0 && p->nheld < PLACING_HELD_MAX) {
		p->held[p->nheld++] = (struct held){ (pid_t)h->pid, pidfd };
		return;
	} else {
		p = NULL;
	}
	if (!p) {
		/* Too many: refused as everything unknown, but not stopped. */
		(void)!syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
		close(pidfd);
		return;
	}
	p->held[p->nheld++] = (struct held){ (pid_t)h->pid, pidfd };
	joined = at.id[0] ? placing_by_id(d, at.id, PLACING_PREPARED) : NULL;
	if (joined && joined->why == PLACING_JOIN) {
		/* Its hook has asked already: what it said of it stands. */
		p->job = joined->job;
		p->state = PLACING_JOB;
		placing_free(joined);
		placing_late(p, PLACING_MS);
		placing_held(p, placing_job(p));
	} else if (p->engine && at.id[0])
		placing_identify(p);
	else
		placing_held(p, NULL);
}

/* Who an egretd before this one had stopped, and did not live to let go: known by no list any more,
 * so whatever stands still in a container is let go. */
static void go_on(struct daemon *d, int dir, unsigned depth)
{
	int procs = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC), pid;
	FILE *f = procs < 0 ? NULL : fdopen(procs, "r");
	int copy = depth < GO_ON_DEPTH ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	uint64_t id = 0;
	bool held = cgroup_id(dir, &id) == 0 && placing_by_cgroup(d, id);

	while (f && !held && fscanf(f, "%d", &pid) == 1) {
		cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		char path[CGROUP_PATH_MAX];

		if (pidfd >= 0 && proctree_stands(pid) &&
		    path_of(d, (pid_t)pid, path, sizeof(path)) == 0)
			(void)!syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
	}
	while (list && (e = readdir(list)) != NULL) {
		cleanup_close int child = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		child = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0)
			go_on(d, child, depth + 1);
	}
	if (f)
		fclose(f);
	if (list)
		closedir(list);
}

static void on_ring(struct watch *w, uint32_t events)
{
	struct daemon *d = w->owner;

	kernel_held_each(d->kernel, on_held, d);
}

static void on_beat(struct timer *t)
{
	struct daemon *d = t->owner;

	if (kernel_hold_beat(d->kernel) < 0)
		log_err("the kernel's table cannot be changed: unknown containers are refused "
			"without being held");
	timer_set(d->loop, &d->beat, BEAT_MS, on_beat, d);
}

int held_open(struct daemon *d, char *why, size_t n)
{
	uint64_t slice = 0;
	bool engines = false, units = false;
	unsigned i;
	int r;

	for (i = 0; i < d->config.nmanaged; i++) {
		engines |= !d->config.managed[i].unit.n;
		units |= d->config.managed[i].unregistered == UNREGISTERED_HOLD;
	}
	/* At an attach point of others' whom nobody announces is not egret's. */
	if ((!engines && !units) || d->cg.attached)
		return 0;
	r = cgroup_id(d->cg.jobs, &slice);
	if (r == 0 && engines)
		r = kernel_hold_set(d->kernel, slice, 0);
	if (r == -EOPNOTSUPP) {
		log_warn("this kernel cannot hold containers: those that nobody announces are "
			 "refused until egret attach");
		return 0;
	}
	if (r == 0)
		r = kernel_hold_beat(d->kernel);
	if (r == 0)
		r = watch_add(d->loop, &d->held, kernel_held_fd(d->kernel), EPOLLIN, on_ring, d);
	if (r < 0) {
		snprintf(why, n, "unknown containers cannot be held: %s", strerror(-r));
		return r;
	}
	timer_set(d->loop, &d->beat, BEAT_MS, on_beat, d);
	on_ring(&d->held, EPOLLIN); /* told, and not heard: known again, not let go */
	go_on(d, d->cg.jobs, 0);
	return 0;
}

void held_again(struct daemon *d)
{
	if (!d->held.loop)
		return;
	on_ring(&d->held, EPOLLIN);
	go_on(d, d->cg.jobs, 0);
}

void held_close(struct daemon *d)
{
	uint64_t slice = 0;

	timer_del(&d->beat);
	if (d->kernel && cgroup_id(d->cg.jobs, &slice) == 0)
		(void)!kernel_hold_del(d->kernel, slice);
	if (d->held.loop)
		on_ring(&d->held, EPOLLIN); /* who was stopped just now is let go */
	watch_del(&d->held);
	containers_done(d);
	while (strangers)
		stranger_drop(strangers);
}
