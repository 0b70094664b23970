/* SPDX-License-Identifier: Apache-2.0 */
/* See unit.h. Names of cgroups are compared with the configuration's patterns, never interpreted.
 */
#include "egretd/unit.h"

#include "egretd/bounds.h"
#include "egretd/walls.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SLICES_MAX 64
#define AGAIN_MS 2000

struct units {
	struct daemon *d;
	int inotify;
	struct watch watch;
	struct timer again;
	struct slice {
		int wd;
		char path[512]; /* below the jobs' slice; "" itself */
	} slices[SLICES_MAX];
	unsigned n;
	struct held_unit {
		uint64_t id;
		char path[512];
	} held[SLICES_MAX];
	unsigned nheld;
	struct loose {
		char path[512];
		pid_t pid; /* who was seen by the last look */
		bool refused;
	} loose[SLICES_MAX];
	unsigned nloose;
};

/* The entry of the unit whose cgroup this is, if egretd has anything to do for it. */
static const struct config_managed *entry_of(const struct daemon *d, const char *path)
{
	char whole[1024];
	unsigned i;
	size_t n;

	snprintf(whole, sizeof(whole), "/%s", path);
	for (i = 0; i < d->config.nmanaged; i++) {
		const struct config_managed *m = &d->config.managed[i];

		if (m->unit.n && m->unregistered != UNREGISTERED_DENY &&
		    place_unit(str_of(whole), m->unit.p, &n) && n == strlen(whole))
			return m;
	}
	return NULL;
}

const struct config_managed *unit_entry(const struct daemon *d, struct str path)
{
	unsigned i;
	size_t n;

	for (i = 0; i < d->config.nmanaged; i++)
		if (d->config.managed[i].unit.n &&
		    place_unit(path, d->config.managed[i].unit.p, &n))
			return &d->config.managed[i];
	return NULL;
}

static struct job *job_of_unit(struct daemon *d, const char *path)
{
	struct job *j;

	for (j = d->jobs; j; j = j->next)
		if (j->origin == JOB_OF_UNIT && j->state != JOB_ENDING && str_is(j->cwd, path))
			return j;
	return NULL;
}

int unit_make(struct job *j, char *why, size_t n)
{
	const char *slash = strrchr(j->cwd.p, '/');
	struct member *m = NULL;
	struct net *net = NULL;
	int r = net_of(j, NETNS_SHARED, -1, &net, why, n);

	if (r == 0)
		r = member_add(j, MEMBER_CGROUP, slash ? slash + 1 : j->cwd.p, j->cwd.p, false, net,
			       &m, why, n);
	if (r == 0)
		m->kill = false;
	return r;
}

static struct loose *loose_of(struct units *u, const char *path)
{
	for (unsigned i = 0; i < u->nloose; i++)
		if (!strcmp(u->loose[i].path, path))
			return &u->loose[i];
	return NULL;
}

static void loose_forget(struct units *u, const char *path)
{
	struct loose *l = loose_of(u, path);

	if (l)
		memmove(l, &u->loose[--u->nloose], sizeof(*l));
}

/* One look at a unit's processes: on the host's network none may open packet sockets. What its
 * manager starts in it is loose for a moment, so one that two looks see counts. -EPERM: refused. */
static int bound(struct units *u, const struct config_managed *m, const char *path)
{
	cleanup_close int fd =
		openat(u->d->cg.jobs, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct loose *l = loose_of(u, path);
	char why[WHY_MAX];
	pid_t pid = 0;

	/* An engine has the host's root in any case. */
	if (fd < 0 || m->engine.n || !walls_need_bounds(u->d) ||
	    bounds_cgroup(fd, &pid, why, sizeof(why)) == 0) {
		loose_forget(u, path);
		return 0;
	}
	if (!l && u->nloose < SLICES_MAX) {
		l = &u->loose[u->nloose++];
		*l = (struct loose){ 0 };
		snprintf(l->path, sizeof(l->path), "%s", path);
	}
	if (l && !l->refused && l->pid != pid) {
		l->pid = pid;
		return 0;
	}
	if (!l || !l->refused)
		log_err("unit %s is refused: %s: put CapabilityBoundingSet=~CAP_NET_RAW "
			"CAP_NET_ADMIN CAP_SYS_ADMIN into its drop-in, or NoNewPrivileges=yes",
			path, why);
	if (l)
		l->refused = true;
	return -EPERM;
}

static void open_job(struct units *u, const struct config_managed *managed, const char *path)
{
	const char *slash = strrchr(path, '/');
	char why[WHY_MAX], fact[300];
	struct job *j;
	int r;

	if (job_of_unit(u->d, path) || bound(u, managed, path) < 0)
		return;
	r = job_admit(u->d, why, sizeof(why));
	if (r < 0) {
		log_err("unit %s is refused: %s", path, why);
		return;
	}
	j = job_new(u->d);
	j->origin = JOB_OF_UNIT;
	j->admin = true;
	j->host_net = true;
	j->facts.assurance = ASSURANCE_RUNNER;
	j->cwd = arena_str(&j->arena, str_of(path));
	j->wants_policy = arena_str(&j->arena, managed->policy);
	snprintf(fact, sizeof(fact), "unit=%s", slash ? slash + 1 : path);
	job_cooperative(j, "is a service of the host");
	if (job_fact(j, STR("provider=unit"), why, sizeof(why)) < 0 ||
	    job_fact(j, str_of(fact), why, sizeof(why)) < 0)
		job_fail(j, why);
	else
		job_go(j);
}

/* What executes in it is stopped until an administrator attaches it; what runs already is refused.
 */
static void hold(struct units *u, const char *path)
{
	cleanup_close int fd =
		openat(u->d->cg.jobs, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t id = 0;

	if (fd < 0 || cgroup_id(fd, &id) < 0)
		return;
	if (u->nheld == SLICES_MAX || kernel_hold_set(u->d->kernel, id, EGRET_HOLD_HOST) < 0) {
		log_warn("unit %s cannot be held: what it starts is refused", path);
		return;
	}
	u->held[u->nheld].id = id;
	snprintf(u->held[u->nheld++].path, sizeof(u->held[0].path), "%s", path);
}

static void look(struct units *u, const char *path);

static void found(struct units *u, const char *in, const char *name)
{
	const struct config_managed *m;
	char path[512];
	size_t n = strlen(name);

	if (snprintf(path, sizeof(path), "%s%s%s", in, in[0] ? "/" : "", name) >= (int)sizeof(path))
		return;
	m = entry_of(u->d, path);
	if (m && m->unregistered == UNREGISTERED_HOLD)
		hold(u, path);
	else if (m)
		open_job(u, m, path);
	else if (n > 6 && !strcmp(name + n - 6, ".slice"))
		look(u, path);
}

/* Watches one slice, then looks at what is in it: nothing is missed between. */
static void look(struct units *u, const char *path)
{
	char file[2 * CGROUP_PATH_MAX];
	struct dirent *e;
	DIR *list;
	int wd;

	snprintf(file, sizeof(file), "%s/%s", u->d->cg.jobs_path, path);
	wd = inotify_add_watch(u->inotify, file, IN_CREATE | IN_DELETE | IN_ONLYDIR);
	if (wd < 0)
		return;
	if (u->n == SLICES_MAX) {
		log_err("more than %d slices: units in %s stay refused", SLICES_MAX, path);
		return;
	}
	u->slices[u->n].wd = wd;
	snprintf(u->slices[u->n].path, sizeof(u->slices[u->n].path), "%s", path);
	u->n++;
	list = opendir(file);
	while (list && (e = readdir(list)) != NULL)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			found(u, path, e->d_name);
	if (list)
		closedir(list);
}

static void gone(struct units *u, const char *in, const char *name)
{
	char path[512];
	struct job *j;
	unsigned i;

	snprintf(path, sizeof(path), "%s%s%s", in, in[0] ? "/" : "", name);
	for (i = 0; i < u->n; i++)
		if (!strcmp(u->slices[i].path, path))
			u->slices[i--] = u->slices[--u->n];
	for (i = 0; i < u->nheld; i++) {
		if (strcmp(u->held[i].path, path))
			continue;
		(void)!kernel_hold_del(u->d->kernel, u->held[i].id);
		u->held[i--] = u->held[--u->nheld];
	}
	loose_forget(u, path);
	j = job_of_unit(u->d, path);
	if (j && j->state == JOB_RUNNING)
		job_end(j);
	else if (j)
		job_fail(j, "its unit has ended");
}

static void on_inotify(struct watch *w, uint32_t events)
{
	struct units *u = w->owner;
	char room[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *e;
	ssize_t n;
	unsigned i;
	char *at;

	while ((n = read(u->inotify, room, sizeof(room))) > 0) {
		for (at = room; at < room + n; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)at;
			for (i = 0; i < u->n && u->slices[i].wd != e->wd; i++)
				;
			if (i == u->n || !e->len)
				continue;
			if (e->mask & IN_CREATE)
				found(u, u->slices[i].path, e->name);
			else if (e->mask & IN_DELETE)
				gone(u, u->slices[i].path, e->name);
		}
	}
}

/* A unit whose job could not be made, or was ended, gets another. */
static void on_again(struct timer *t)
{
	struct units *u = t->owner;
	unsigned i, n = u->n;
	struct dirent *e;
	struct job *j;

	for (i = 0; i < n; i++) {
		char file[2 * CGROUP_PATH_MAX];
		DIR *list;

		snprintf(file, sizeof(file), "%s/%s", u->d->cg.jobs_path, u->slices[i].path);
		list = opendir(file);
		while (list && (e = readdir(list)) != NULL) {
			char path[1024];
			const struct config_managed *m;

			snprintf(path, sizeof(path), "%s%s%s", u->slices[i].path,
				 u->slices[i].path[0] ? "/" : "", e->d_name);
			m = e->d_type == DT_DIR && e->d_name[0] != '.' && strlen(path) < 512
				    ? entry_of(u->d, path)
				    : NULL;
			if (!m || m->unregistered != UNREGISTERED_POLICY)
				continue;
			j = job_of_unit(u->d, path);
			if (!j)
				open_job(u, m, path);
			else if (j->state == JOB_RUNNING && bound(u, m, path) < 0)
				job_end(j);
		}
		if (list)
			closedir(list);
	}
	timer_set(u->d->loop, &u->again, AGAIN_MS, on_again, u);
}

int units_open(struct daemon *d, char *why, size_t n)
{
	struct units *u;
	bool wanted = false;
	unsigned i;
	int r;

	for (i = 0; i < d->config.nmanaged; i++)
		wanted |= d->config.managed[i].unit.n > 0 &&
			  d->config.managed[i].unregistered != UNREGISTERED_DENY;
	if (!wanted)
		return 0;
	u = mem_new(sizeof(*u));
	u->d = d;
	d->units = u;
	u->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r = u->inotify < 0 ? -errno
			   : watch_add(d->loop, &u->watch, u->inotify, EPOLLIN, on_inotify, u);
	if (r < 0) {
		snprintf(why, n, "the units of %s cannot be watched: %s", d->cg.jobs_path,
			 strerror(-r));
		return r;
	}
	look(u, "");
	timer_set(d->loop, &u->again, AGAIN_MS, on_again, u);
	return 0;
}

void units_close(struct daemon *d)
{
	struct units *u = d->units;

	if (!u)
		return;
	timer_del(&u->again);
	watch_del(&u->watch);
	while (u->nheld)
		(void)!kernel_hold_del(d->kernel, u->held[--u->nheld].id);
	if (u->inotify >= 0)
		close(u->inotify);
	free(u);
	d->units = NULL;
}
