/* SPDX-License-Identifier: Apache-2.0 */
/* See adopt.h: the services, the parking place, and what an earlier egretd left. */
#include "egretd/adopt.h"

#include "egretd/direct.h"
#include "egretd/job.h"
#include "egretd/park.h"
#include "egretd/park_form.h"
#include "egretd/supervisor.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PARK_BYTES (16 << 20) /* two sets: park.h */

static void services_path(const struct daemon *d, char *to, size_t n)
{
	snprintf(to, n, "%s/services", d->config.run_dir.p);
}

bool adopt_waited(const struct daemon *d)
{
	char path[4200];

	services_path(d, path, sizeof(path));
	return access(path, F_OK) == 0;
}

void adopt_note_services(struct daemon *d)
{
	char path[4200], fresh[4210], text[256];
	cleanup_close int fd = -1;
	int n;

	services_path(d, path, sizeof(path));
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	n = snprintf(text, sizeof(text), "audit %d %llu\nbroker %d %llu\n", (int)d->audit.child.pid,
		     (unsigned long long)child_started(d->audit.child.pid),
		     (int)d->broker.child.pid,
		     (unsigned long long)child_started(d->broker.child.pid));
	/* By rename: a new egretd finds the old list or the new one, never half of it. */
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n || rename(fresh, path) < 0)
		log_warn("%s cannot be written: a new egretd would not find the services of this "
			 "one",
			 path);
}

static int park_open(struct daemon *d)
{
	int size = PARK_BYTES, r = msg_pair(d->park);

	if (r < 0)
		return r;
	(void)setsockopt(d->park[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return 0;
}

/* Another egretd's broker holds both ends. */
static int place_take(struct daemon *d, const struct child *broker)
{
	int a = (int)syscall(SYS_pidfd_getfd, broker->pidfd, PROTO_PARK_FD, 0);
	int b = (int)syscall(SYS_pidfd_getfd, broker->pidfd, PROTO_PARK_FD + 1, 0);

	if (a < 0 || b < 0) {
		if (a >= 0)
			close(a);
		if (b >= 0)
			close(b);
		return -errno;
	}
	d->park[0] = a;
	d->park[1] = b;
	return 0;
}

/* Empties a cgroup of ours. It is made anew after cgroup.kill: 6.18 also kills what is later cloned
 * straight into a cgroup that was ever killed when the parent's own cgroup was not. */
static int renew(struct daemon *d, const char *name, int *fd)
{
	bool populated = true;
	uint64_t id;
	int r = cgroup_populated(*fd, &populated);

	if (r < 0 || !populated)
		return r;
	r = cgroup_kill(*fd);
	if (r == 0)
		r = cgroup_wait_empty(*fd, 2000);
	if (r == 0)
		r = cgroup_remove(d->cg.own, name);
	if (r < 0)
		return r;
	close(*fd);
	*fd = -1;
	return cgroup_make(d->cg.own, name, fd, &id);
}

int adopt_services(struct daemon *d, char *why, size_t n)
{
	char path[4200], name[16];
	int pid, r, kept[2] = { -1, -1 };
	bool by_systemd = supervisor_park_take(kept) == 0;
	unsigned long long started;
	FILE *f;

	d->audit.child = d->broker.child = CHILD_NONE;
	services_path(d, path, sizeof(path));
	f = fopen(path, "re");
	while (f && fscanf(f, "%15s %d %llu", name, &pid, &started) == 3) {
		struct child *c = !strcmp(name, "audit") ? &d->audit.child : &d->broker.child;

		if (pid <= 0 || child_adopt(pid, started, c) < 0)
			*c = CHILD_NONE;
	}
	if (f)
		fclose(f);
	/* Without its parking place the broker is of no use. What it and the audit process know of
	 * jobs, they are told anew by services_tell_jobs. */
	if (d->broker.child.pid > 0 && place_take(d, &d->broker.child) == 0) {
		if (by_systemd) {
			close(kept[0]);
			close(kept[1]);
		}
		if (!d->hand)
			supervisor_park_keep(d->park);
		return 0;
	}
	if (d->hand) {
		snprintf(why, n, "egret-broker, which keeps the parked jobs, cannot be taken over");
		return -ESRCH;
	}
	/* They are no children of this process: SIGKILL, and their cgroups are emptied by
	 * cgroup_kill below. */
	child_kill(&d->audit.child, SIGKILL);
	child_kill(&d->broker.child, SIGKILL);
	child_done(&d->audit.child);
	child_done(&d->broker.child);
	r = renew(d, "audit", &d->cg.audit);
	if (r == 0)
		r = renew(d, "broker", &d->cg.broker);
	if (r == 0)
		r = renew(d, "work", &d->cg.work);
	if (r < 0) {
		snprintf(
			why, n,
			"processes of an earlier egretd below %s cannot be ended: end them by hand",
			d->cg.own_path);
		return r;
	}
	if (by_systemd)
		memcpy(d->park, kept, sizeof(kept));
	else
		r = park_open(d);
	if (r < 0) {
		snprintf(why, n, "no parking place for jobs: %s", strerror(-r));
		return r;
	}
	supervisor_park_keep(d->park);
	return 0;
}

/* Registered cgroups whose job nobody knows: what was being made when egretd died. Whatever runs in
 * them is nobody's now, and refused. */
static void forget_unknown(void *owner, uint64_t cgroup, const struct egret_cgroup *c)
{
	struct daemon *d = owner;
	struct job *j;

	for (j = d->jobs; j; j = j->next)
		if (j->id == c->job && member_by_cgroup(d, cgroup))
			return;
	cgroup_forget(d, cgroup);
	if (c->job && !job_by_id(d, c->job))
		(void)!kernel_job_forget(d->kernel, c->job);
}

/* As job_new() names them: "j-" and twelve hexadecimal digits. */
static bool is_job_cgroup(const char *name)
{
	return !strncmp(name, "j-", 2) && strlen(name) == 14 &&
	       strspn(name + 2, "0123456789abcdef") == 12;
}

/* Cgroups that egretd made for jobs that nobody knows, at the slice's top or in a unit's cgroup:
 * what was being made when it died. Their processes end here. */
static void sweep_folder(struct daemon *d, int parent, bool units)
{
	int dir = openat(parent, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *e;

	while (list && (e = readdir(list)) != NULL) {
		int fd;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		if (!is_job_cgroup(e->d_name)) {
			fd = units ? openat(parent, e->d_name,
					    O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
				   : -1;
			if (fd >= 0) {
				sweep_folder(d, fd, false);
				close(fd);
			}
			continue;
		}
		if (job_by_name(d, str_of(e->d_name)))
			continue;
		fd = openat(parent, e->d_name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0) {
			(void)!cgroup_kill(fd);
			(void)!cgroup_wait_empty(fd, 1000);
			close(fd);
		}
		(void)!cgroup_remove(parent, e->d_name);
	}
	if (list)
		closedir(list);
	else if (dir >= 0)
		close(dir);
}

static void sweep_proxies(struct daemon *d)
{
	int dir = openat(d->cg.proxies, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *e;
	uint64_t id;
	int fd;

	while (list && (e = readdir(list)) != NULL) {
		if (strncmp(e->d_name, "j-", 2) || job_by_name(d, str_of(e->d_name)))
			continue;
		if (cgroup_make(d->cg.proxies, e->d_name, &fd, &id) == 0) {
			(void)!cgroup_kill(fd);
			(void)!cgroup_wait_empty(fd, 1000);
			(void)!kernel_cage_del(d->kernel, id);
			(void)!kernel_dialler_del(d->kernel, id);
			close(fd);
		}
		(void)!cgroup_remove(d->cg.proxies, e->d_name);
	}
	if (list)
		closedir(list);
	else if (dir >= 0)
		close(dir);
}

/* How many jobs it read; -EPROTO: there are some of another form. */
static int unpark(struct daemon *d)
{
	struct park_set set;
	bool other = false;
	struct msg_in m;
	int taken = 0, r;

	park_look(d->park[1], &set);
	d->parked = set.count;
	d->taking_up = true;
	park_rewind(d->park[1]);
	for (unsigned i = 0; i < set.to; i++) {
		r = park_next(d->park[1], &m);
		if (r < 0)
			continue;
		r = i >= set.from ? park_take(d, &m) : 0;
		taken += i >= set.from && r == 0 && m.type == MSG_JOB;
		other |= r == -EPROTO;
		msg_in_done(&m);
	}
	d->taking_up = false;
	return other ? -EPROTO : taken;
}

static int refill(struct daemon *d, char *why, size_t n)
{
	struct job *j;
	int r = 0, one;

	for (j = d->jobs; j; j = j->next) {
		one = park_refill(j);
		if (one < 0) {
			snprintf(why, n, "job %s: the kernel's tables cannot take it: %s", j->name,
				 strerror(-one));
			r = one;
		}
	}
	one = kernel_cgroups_nobodys(d->kernel);
	if (one < 0)
		snprintf(why, n, "the kernel's table of cgroups cannot be filled: %s",
			 strerror(-one));
	return one < 0 ? one : r;
}

int adopt_jobs(struct daemon *d, char *why, size_t n)
{
	struct job *j, *next;
	int taken = unpark(d), r;

	if (taken < 0) {
		snprintf(why, n,
			 "the jobs that run were parked in a form that this version does not know "
			 "(docs/install.md, Upgrading)");
		/* Who parked them may live, and goes on with them. */
		if (d->hand)
			return taken;
		log_err("%s: they are ended", why);
	}
	r = refill(d, why, n);
	if (r < 0 && d->hand)
		return r;
	if (r < 0)
		log_err("%s; it stays refused", why);
	for (j = d->jobs; j; j = next) {
		next = j->next;
		park_taken(j);
	}
	if (kernel_cgroup_each(d->kernel, forget_unknown, d) < 0)
		log_warn("the kernel's table of cgroups cannot be read: stale entries stay");
	sweep_folder(d, d->cg.jobs, !d->cg.attached);
	sweep_proxies(d);
	direct_sweep(d);
	park_jobs(d);
	if (taken > 0)
		log_info("took up %d jobs of an earlier egretd", taken);
	return 0;
}
