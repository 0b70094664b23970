/* SPDX-License-Identifier: Apache-2.0 */
/* See worker.h. */
#include "egretd/worker.h"

#include "egretd/authority.h"
#include "egretd/bounds.h"
#include "egretd/proctree.h"
#include "egretd/sockdiag.h"
#include "egretd/walls.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAY_UP_MAX 4096
#define KNOWN_MAX 1024

static int worker_new(struct job *j, pid_t pid, uint64_t started, const char *unit)
{
	struct worker *w;
	int fd = openat(j->d->cg.jobs, unit, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
	uint64_t id = 0;

	if (fd < 0)
		return -errno;
	r = cgroup_id(fd, &id);
	if (r < 0) {
		close(fd);
		return r;
	}
	w = mem_new(sizeof(*w));
	w->pid = pid;
	w->started = started;
	w->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	w->from = fd;
	w->from_id = id;
	w->unit = mem_dup(str_of(unit));
	j->worker = w;
	/* Opened by number: it is the one that was meant only if that one still lives. */
	return w->pidfd >= 0 && child_started(pid) == started ? 0 : -ESRCH;
}

/* ---- once ---- */

/* Who had a job and lives on in its unit was in that job: what it starts next is no runner's. So
 * none of these, and nothing below them, is a worker again; nor is an orphan that nobody's tree
 * knows, while the process that all of the unit's registrations came from lives. */
struct known {
	struct known *next;
	pid_t pid;
	uint64_t started;
	uint64_t unit; /* of a head: its cgroup; 0: spent */
};

static struct known *known;

/* Of a unit the head is kept when it has died too: its orphans may live. */
static void known_add(pid_t pid, uint64_t started, uint64_t unit)
{
	struct known *k, **at = &known;
	unsigned n = 0;

	while ((k = *at)) {
		bool dead = child_started(k->pid) != k->started;

		if (unit ? k->unit == unit : dead && (!k->unit || n >= KNOWN_MAX)) {
			*at = k->next;
			free(k);
			continue;
		}
		at = &k->next;
		n++;
	}
	if (!started)
		return;
	k = mem_new(sizeof(*k));
	*k = (struct known){ known, pid, started, unit };
	known = k;
}

static bool is_spent(pid_t pid)
{
	const struct known *k;

	for (k = known; k; k = k->next)
		if (!k->unit && k->pid == pid && child_started(pid) == k->started)
			return true;
	return false;
}

/* The way up from the worker while it stays in the unit; *ret_head is its end. */
static int way_up(const struct job *j, pid_t pid, const char *unit, pid_t *ret_head)
{
	struct place_of at;

	for (unsigned i = 0; i < WAY_UP_MAX && pid > 0; i++, pid = proctree_parent(pid)) {
		if (is_spent(pid))
			return -EEXIST;
		if (authority_place(j->d, pid, &at) < 0 || strcmp(at.unit, unit) != 0)
			return 0;
		*ret_head = pid;
	}
	return pid > 0 ? -ELOOP : 0;
}

static int once(const struct job *j, pid_t pid, char *why, size_t n)
{
	const struct worker *w = j->worker;
	const struct known *k;
	uint64_t started;
	pid_t head = pid;
	bool only = true;
	int r = way_up(j, pid, w->unit, &head);

	if (r < 0) {
		snprintf(why, n,
			 "process %d is, or was started by, one whose job is over: a worker is "
			 "registered once",
			 (int)pid);
		return -EPERM;
	}
	started = child_started(head);
	for (k = known; k && k->unit != w->from_id; k = k->next)
		;
	if (k && (k->pid != head || k->started != started)) {
		if (child_started(k->pid) == k->started ||
		    proctree_only(w->from, head, &only) < 0 || !only) {
			snprintf(why, n,
				 "process %d does not descend from the one (%d) that unit %s runs "
				 "its jobs from, or others are left in the unit: stop it whole "
				 "(systemctl kill --kill-whom=all) and start it again",
				 (int)pid, (int)k->pid, w->unit);
			return -EPERM;
		}
	}
	known_add(head, started, w->from_id);
	return 0;
}

int worker_of(struct job *j, const struct caller *who, pid_t pid, char *why, size_t n)
{
	uint64_t started = child_started(pid);
	char unit[CGROUP_PATH_MAX];
	struct place_of at;
	int r;

	r = authority_place(j->d, pid, &at);
	if (!started || r < 0) {
		snprintf(why, n, "the worker, process %d, has ended", (int)pid);
		return -ESRCH;
	}
	if (!at.in_slice || !at.unit[0]) {
		snprintf(why, n,
			 "the worker, process %d, is in no managed unit: \"managed\" in the "
			 "configuration names them, and a drop-in puts the runner's unit into "
			 "egret.slice",
			 (int)pid);
		return -EPERM;
	}
	if (!who->admin && (at.uid != who->uid || strcmp(at.unit, who->place.unit) ||
			    !proctree_descends(who->pid, pid))) {
		snprintf(why, n,
			 "a registrar registers only its own job: process %d is no ancestor of it "
			 "in its own unit",
			 (int)pid);
		return -EPERM;
	}
	snprintf(unit, sizeof(unit), "%s", at.unit);
	r = worker_new(j, pid, started, unit);
	if (r < 0)
		snprintf(why, n, "the worker's cgroup %s cannot be used: %s", unit, strerror(-r));
	return r < 0 || who->admin ? r : once(j, pid, why, n);
}

/* What can be done about it is said with it. */
static int unbound(char *fault, char *why, size_t n)
{
	snprintf(why, n,
		 "%s: put CapabilityBoundingSet=~CAP_NET_RAW CAP_NET_ADMIN CAP_SYS_ADMIN into the "
		 "unit's drop-in (egret-setup does), or NoNewPrivileges=yes; or boot with bpf in "
		 "lsm=; or, where no step runs on the host, register with --containers-only",
		 fault);
	return -EPERM;
}

int worker_bound(const struct job *j, char *why, size_t n)
{
	char fault[WHY_MAX];

	if (j->containers_only || !walls_need_bounds(j->d) ||
	    bounds_process(j->worker->pid, fault, sizeof(fault)) == 0)
		return 0;
	return unbound(fault, why, n);
}

int worker_unparked(struct job *j, pid_t pid, uint64_t started, const char *unit)
{
	return worker_new(j, pid, started, unit);
}

static void on_ended(struct watch *w, uint32_t events)
{
	struct job *j = w->owner;

	watch_del(w);
	log_info("job %s: its worker has ended", j->name);
	if (j->state == JOB_RUNNING)
		job_end(j);
	else
		job_fail(j, "its worker has ended");
}

void worker_taken_up(struct job *j)
{
	struct worker *w = j->worker;

	if (w->pidfd < 0 || watch_add(j->d->loop, &w->ended, w->pidfd, EPOLLIN, on_ended, j) < 0)
		log_warn("job %s: its worker is not followed: it ends by its hook", j->name);
}

int worker_make(struct job *j, char *why, size_t n)
{
	struct worker *w = j->worker;
	char path[2 * CGROUP_PATH_MAX], ns[64];
	cleanup_close int netns = -1;
	struct net *net = NULL;
	int r;

	snprintf(path, sizeof(path), "%s/%s", w->unit, j->name);
	r = member_add(j, MEMBER_WORKER, j->name, path, true, NULL, &w->member, why, n);
	if (r < 0)
		return r;
	w->member->kill = !j->keep;
	snprintf(ns, sizeof(ns), "/proc/%d/ns/net", (int)w->pid);
	netns = open(ns, O_RDONLY | O_CLOEXEC);
	if (netns < 0) {
		snprintf(why, n, "the worker, process %d, has ended", (int)w->pid);
		return -ESRCH;
	}
	/* Other jobs and the runner itself are in it, whichever it is. */
	r = net_of(j, NETNS_SHARED, netns, &net, why, n);
	if (r < 0)
		return r;
	member_net(w->member, net);
	j->host_net = true;
	return watch_add(j->d->loop, &w->ended, w->pidfd, EPOLLIN, on_ended, j);
}

/* What the worker's processes hold, made in this cgroup (0: wherever). */
static int end_sockets(const struct worker *w, uint64_t cgroup, char *why, size_t n)
{
	cleanup_free uint64_t *inodes = NULL;
	unsigned ended = 0;
	size_t count = 0;
	int r = proctree_sockets(w->member->cgroup, -1, &inodes, &count);

	if (r < 0)
		snprintf(why, n, "the sockets that they hold cannot be listed: %s", strerror(-r));
	if (r < 0 || count == 0)
		return r;
	return sockdiag_destroy(w->member->net->ns.netns, cgroup, inodes, count, &ended, why, n);
}

int worker_take(struct job *j, char *why, size_t n)
{
	struct worker *w = j->worker;
	char fault[WHY_MAX];
	unsigned moved = 0;
	int r;

	r = proctree_move(w->from, w->pid, w->started, w->member->cgroup, &moved);
	if (r < 0) {
		snprintf(why, n, "the worker's processes cannot be moved to the job's cgroup: %s",
			 strerror(-r));
		return r;
	}
	/* A process is bound as its parent is; but one may be older than what binds the worker. */
	if (!j->containers_only && walls_need_bounds(j->d) &&
	    bounds_cgroup(w->member->cgroup, NULL, fault, sizeof(fault)) < 0)
		return unbound(fault, why, n);
	/* Also those that the listener shares: it makes others. One that stayed would be the
	 * unit's, under its policy and in its records: without this there is no job. */
	r = end_sockets(w, 0, fault, sizeof(fault));
	if (r < 0) {
		snprintf(why, n, "connections from before the job cannot be ended: %s", fault);
		return r;
	}
	r = member_watch(w->member);
	if (r < 0)
		snprintf(why, n, "the worker's cgroup cannot be followed: %s", strerror(-r));
	return r;
}

static bool lives_on(const struct worker *w, pid_t pid)
{
	return pid == w->pid || pid == w->spare || proctree_descends(w->spare, pid);
}

/* Who lives on goes back; the rest stays, and is killed with the cgroup, however fast it forks. */
static void move_back(const struct job *j)
{
	const struct worker *w = j->worker;
	int fd = openat(w->member->cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1) {
		if (!j->keep && !lives_on(w, pid))
			continue;
		known_add(pid, child_started(pid), 0);
		(void)!cgroup_add(w->from, pid);
	}
	if (f)
		fclose(f);
}

void worker_release(struct job *j)
{
	struct worker *w = j->worker;
	char fault[WHY_MAX];

	if (!w)
		return;
	watch_del(&w->ended);
	if (w->member && (w->spare || j->keep)) {
		/* They were the job's: whoever goes on makes new ones. Left, they stay refused, as
		 * sockets of a cgroup that is nobody's. */
		if (w->member->net &&
		    end_sockets(w, w->member->cgroup_id, fault, sizeof(fault)) < 0)
			log_warn("job %s: %s", j->name, fault);
		move_back(j);
	}
	if (w->pidfd >= 0)
		close(w->pidfd);
	close(w->from);
	free(w->unit);
	free(w);
	j->worker = NULL;
}
