/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `egret attach`: an admin says that a container or cgroup that runs is of a job, or makes a job of
 * it. Its old sockets are ended, bundles laid over its files. Cgroup names are the kernel's to
 * read, whoever chose them; they are compared only.
 */
#include "egretd/authority.h"
#include "egretd/container.h"
#include "egretd/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 8

struct search {
	const char *id;
	char path[CGROUP_PATH_MAX];
	unsigned found;
};

/* Cgroups below the slice whose shape names this container. */
static void search(int dir, const char *prefix, unsigned depth, struct search *s)
{
	int copy = depth < DEPTH_MAX ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	while (list && (e = readdir(list)) != NULL) {
		char path[CGROUP_PATH_MAX];
		struct place at;
		int child;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] ? "/" : "", e->d_name);
		if (place_container(str_of(path), &at) == 0 &&
		    !strncmp(at.id, s->id, strlen(s->id))) {
			if (!s->found++)
				snprintf(s->path, sizeof(s->path), "%s", path);
			continue;
		}
		child = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0) {
			search(child, path, depth + 1, s);
			close(child);
		}
	}
	if (list)
		closedir(list);
	else if (copy >= 0)
		close(copy);
}

/* "/egret.slice/a", "egret.slice/a", "/sys/fs/cgroup/egret.slice/a" or "a" -> "a" */
static int below(const struct daemon *d, struct str path, char *to, size_t size)
{
	const char *slice = d->cg.jobs_path + strlen(d->cg.mount.path) + 1;

	if (str_starts(path, d->cg.jobs_path)) {
		path.p += strlen(d->cg.jobs_path);
		path.n -= strlen(d->cg.jobs_path);
	}
	while (path.n && path.p[0] == '/') {
		path.p++;
		path.n--;
	}
	if (str_starts(path, slice) && path.n > strlen(slice) && path.p[strlen(slice)] == '/') {
		path.p += strlen(slice) + 1;
		path.n -= strlen(slice) + 1;
	}
	if (!path.n || path.n >= size || memmem(path.p, path.n, "..", 2))
		return -EINVAL;
	snprintf(to, size, "%.*s", STR_ARG(path));
	return 0;
}

static int find(struct daemon *d, struct msg_in *m, char *path, char *id, char *why, size_t n)
{
	struct search s = { 0 };
	char wanted[PLACE_ID_MAX];
	struct place at;
	struct str text;

	if (msg_get_str(m, TAG_CONTAINER, PLACE_ID_MAX - 1, &text) == 0) {
		snprintf(wanted, sizeof(wanted), "%.*s", STR_ARG(text));
		s.id = wanted;
		if (text.n < 12) {
			snprintf(why, n, "--container: give the id, at least its first 12 digits");
			return -EINVAL;
		}
		search(d->cg.jobs, "", 0, &s);
		if (s.found != 1) {
			snprintf(why, n,
				 s.found ? "several containers below %s have an id that begins so"
					 : "no container with this id runs below %s",
				 d->cg.jobs_path);
			return -ENOENT;
		}
		snprintf(path, CGROUP_PATH_MAX, "%s", s.path);
	} else if (msg_get_str(m, TAG_CGROUP, PROTO_TEXT_MAX, &text) < 0 ||
		   below(d, text, path, CGROUP_PATH_MAX) < 0) {
		snprintf(why, n, "--cgroup: give a path below %s", d->cg.jobs_path);
		return -EINVAL;
	}
	if (place_container(str_of(path), &at) == 0) {
		snprintf(id, PLACE_ID_MAX, "%s", at.id);
	} else {
		const char *slash = strrchr(path, '/');

		snprintf(id, PLACE_ID_MAX, "%s", slash ? slash + 1 : path);
	}
	return 0;
}

static int any_process(int cgroup, pid_t *ret)
{
	int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC), pid = 0;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	bool got = f && fscanf(f, "%d", &pid) == 1 && pid > 0;

	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	*ret = pid;
	return got ? 0 : -ESRCH;
}

/* The job that is named, or a new one with the labels, policy and files of the question. */
static int job_of(struct daemon *d, struct msg_in *m, struct job **ret, bool *ret_fresh, char *why,
		  size_t n)
{
	struct str name;
	struct job *j;
	size_t at = 0;
	int r;

	if (msg_get_str(m, TAG_JOB_NAME, 64, &name) == 0) {
		j = job_by_name(d, name);
		if (!j || j->state == JOB_ENDING) {
			snprintf(why, n, "no such job runs here: egret job list shows them");
			return -ENOENT;
		}
		*ret = j;
		return 0;
	}
	r = job_admit(d, why, n);
	if (r < 0)
		return r;
	j = job_new(d);
	j->origin = JOB_OF_ENGINE;
	j->admin = true;
	j->facts.assurance = ASSURANCE_RUNNER;
	while (r == 0 && msg_each(m, TAG_LABEL, &at, &name))
		r = job_fact(j, name, why, n);
	if (r == 0 && msg_get_str(m, TAG_POLICY, PROTO_NAME_MAX, &name) == 0)
		j->wants_policy = arena_str(&j->arena, name);
	if (r < 0) {
		job_fail(j, why);
		return r;
	}
	*ret = j;
	*ret_fresh = true;
	return 0;
}

void container_attach(struct daemon *d, struct client *c, const struct caller *who,
		      struct msg_in *m)
{
	char path[CGROUP_PATH_MAX], id[PLACE_ID_MAX], why[WHY_MAX] = "";
	cleanup_close int cgroup = -1;
	struct placing *p, *held;
	struct place at;
	struct job *j = NULL;
	bool fresh = false;
	uint64_t cgid = 0;
	cleanup_close int pidfd = -1;
	pid_t pid = 0, again = 0;
	int r = 0;

	if (!who->admin) {
		snprintf(why, sizeof(why), "only root, outside jobs, attaches: use sudo");
		r = -EPERM;
	}
	if (r == 0)
		r = find(d, m, path, id, why, sizeof(why));
	if (r == 0) {
		cgroup = openat(d->cg.jobs, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = cgroup < 0 ? -errno : cgroup_id(cgroup, &cgid);
		if (r == 0)
			r = any_process(cgroup, &pid);
		if (r == 0) {
			pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
			r = any_process(cgroup, &again);
			if (r == 0 && (pidfd < 0 || again != pid))
				r = -EAGAIN;
		}
		if (r < 0)
			snprintf(why, sizeof(why), "no process runs in %s below %s", path,
				 d->cg.jobs_path);
	}
	if (r == 0 && member_by_path(d, str_of(path))) {
		snprintf(why, sizeof(why), "it is of job %s already",
			 member_by_path(d, str_of(path))->job->name);
		r = -EEXIST;
	}
	if (r == 0)
		r = job_of(d, m, &j, &fresh, why, sizeof(why));
	if (r < 0) {
		client_failed(c, m->id, r, why);
		return;
	}
	held = placing_by_cgroup(d, cgid);
	p = held && held->state == PLACING_WAIT ? held : placing_new(d, PLACING_ATTACH, id);
	if (!p) {
		client_failed(c, m->id, -EBUSY, "too many containers are being started at once");
		return;
	}
	stranger_forget(d, cgid);
	snprintf(why, sizeof(why), "%s to %s", id, j->name);
	client_event(c, EVENT_ADMIN_JOB, "attach", str_of(why));
	p->client = c;
	p->container = place_container(str_of(path), &at) == 0;
	p->question = m->id;
	p->cgroup_id = cgid;
	p->pid = pid;
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = TAKE_FD(pidfd);
	p->job = j->id;
	p->state = PLACING_JOB;
	snprintf(p->path, sizeof(p->path), "%s", path);
	placing_late(p, PLACING_MS);
	if (fresh) {
		r = job_sources(j, m, why, sizeof(why));
		if (r < 0)
			job_fail(j, why);
		else if (r == 0)
			job_go(j);
	} else if (j->state == JOB_RUNNING) {
		placing_held(p, j);
	}
}
