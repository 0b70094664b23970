/* SPDX-License-Identifier: Apache-2.0 */
/* See adopt.h. The frames read here were written by an egretd; they passed through no other
 * process's hands, only through its keeping. */
#include "egretd/adopt.h"

#include "egretd/job.h"
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

#define PARK_BYTES (8 << 20)

static void services_path(const struct daemon *d, char *to, size_t n)
{
	snprintf(to, n, "%s/services", d->config.run_dir.p);
}

void adopt_note_services(struct daemon *d)
{
	char path[4200], text[256];
	cleanup_close int fd = -1;
	int n;

	services_path(d, path, sizeof(path));
	n = snprintf(text, sizeof(text), "audit %d %llu\nbroker %d %llu\n", (int)d->audit.child.pid,
		     (unsigned long long)child_started(d->audit.child.pid),
		     (int)d->broker.child.pid,
		     (unsigned long long)child_started(d->broker.child.pid));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
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
static int park_take(struct daemon *d, const struct child *broker)
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
	if (d->broker.child.pid > 0 && park_take(d, &d->broker.child) == 0) {
		if (by_systemd) {
			close(kept[0]);
			close(kept[1]);
		}
		supervisor_park_keep(d->park);
		return 0;
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

/* ---- one job, as a message ---- */

struct kept_fd {
	uint16_t tag;
	size_t offset;
};
#define FD(tag, field)                           \
	{                                        \
		tag, offsetof(struct job, field) \
	}
static const struct kept_fd kept[] = {
	FD(TAG_FD_NETNS, ns.netns),	  FD(TAG_FD_TCP, ns.tcp4),
	FD(TAG_FD_TCP6, ns.tcp6),	  FD(TAG_FD_DNS_UDP, ns.dns_udp4),
	FD(TAG_FD_DNS_UDP6, ns.dns_udp6), FD(TAG_FD_DNS_TCP, ns.dns_tcp4),
	FD(TAG_FD_DNS_TCP6, ns.dns_tcp6), FD(TAG_FD_RING, ring.data),
	FD(TAG_FD_RING_ACK, ring.ack),	  FD(TAG_FD_RING_ACK_RO, ring.ack_ro),
	FD(TAG_FD_RING_WAKE, ring.wake),  FD(TAG_FD_RING_SPACE, ring.space),
	FD(TAG_FD_NAMES, names),	  FD(TAG_FD_POLICY, policies[0]),
	FD(TAG_FD_POLICY2, policies[1]),  FD(TAG_FD_CREDS, creds),
};

static int *fd_of(struct job *j, const struct kept_fd *k)
{
	return (int *)((char *)j + k->offset);
}

static int park(struct daemon *d, struct job *j)
{
	struct job_words words = { .id = j->id,
				   .uid = j->uid,
				   .gid = j->gid,
				   .caller_uid = j->caller_uid,
				   .proxy_uid = j->proxy_uid,
				   .admin = j->admin,
				   .host_net = j->host_net,
				   .confined = j->confined,
				   .own_policy = j->own_policy,
				   .npolicies = j->npolicies,
				   .assurance = j->facts.assurance,
				   .cookie = j->ns.cookie,
				   .listener = j->ns.listener,
				   .started_us = j->started_us,
				   .proxy = j->proxy.pid,
				   .proxy_started = child_started(j->proxy.pid),
				   .init = j->init.pid,
				   .init_started = child_started(j->init.pid) };
	struct msg_out m;
	size_t i;
	int r;

	msg_begin(&m, MSG_JOB, 0);
	msg_put(&m, TAG_VALUE, &words, sizeof(words));
	msg_put_str(&m, TAG_JOB_NAME, str_of(j->name));
	msg_put_str(&m, TAG_POLICY, j->policy_name);
	msg_put_str(&m, TAG_DIGEST, j->policy_digest);
	msg_put(&m, TAG_SEALED, j->sealed.p, j->sealed.n);
	for (i = 0; i < j->facts.n; i++) {
		msg_put_str(&m, TAG_FACT, j->fact_list[i].key);
		msg_put_str(&m, TAG_FACT, j->fact_list[i].value);
	}
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		if (*fd_of(j, &kept[i]) >= 0)
			msg_put_fd(&m, kept[i].tag, *fd_of(j, &kept[i]));
	r = msg_send(d->park[0], &m);
	msg_out_done(&m);
	return r;
}

void park_jobs(struct daemon *d)
{
	struct msg_in m;
	struct job *j;

	while (msg_recv(d->park[1], &m) == 0)
		msg_in_done(&m);
	for (j = d->jobs; j; j = j->next)
		if (j->state == JOB_RUNNING && park(d, j) < 0)
			log_warn("job %s: cannot be parked; it would not outlive this egretd",
				 j->name);
}

/* "j-" and hexadecimal digits, as job_new() writes it: it becomes the name of a cgroup. */
static bool is_job_name(struct str s)
{
	size_t i;

	if (s.n < 3 || !str_starts(s, "j-"))
		return false;
	for (i = 2; i < s.n; i++)
		if (!strchr("0123456789abcdef", s.p[i]))
			return false;
	return true;
}

static int unpark(struct daemon *d, struct msg_in *m)
{
	struct job_words w;
	struct job *j;
	struct str words, name, s;
	size_t at = 0, i;

	if (m->type != MSG_JOB || msg_get(m, TAG_VALUE, &words) < 0 || words.n != sizeof(w) ||
	    msg_get_str(m, TAG_JOB_NAME, sizeof(j->name) - 1, &name) < 0)
		return -EBADMSG;
	memcpy(&w, words.p, sizeof(w));
	/* The broker only keeps it, but it could have put another in its place. */
	if (!is_job_name(name) || job_by_name(d, name) || !w.id || w.npolicies == 0 ||
	    w.npolicies > JOB_POLICIES_MAX || (unsigned)w.assurance > ASSURANCE_SIGNED)
		return -EBADMSG;
	j = job_new(d);
	snprintf(j->name, sizeof(j->name), "%.*s", STR_ARG(name));
	j->id = w.id;
	j->uid = w.uid;
	j->gid = w.gid;
	j->caller_uid = w.caller_uid;
	j->proxy_uid = w.proxy_uid;
	j->admin = w.admin;
	j->host_net = w.host_net;
	j->confined = w.confined;
	j->own_policy = w.own_policy;
	j->npolicies = w.npolicies;
	j->facts.list = j->fact_list;
	j->facts.assurance = w.assurance;
	j->ns.cookie = w.cookie;
	j->ns.listener = w.listener;
	j->started_us = w.started_us;
	if (msg_get(m, TAG_POLICY, &s) == 0)
		j->policy_name = arena_str(&j->arena, s);
	if (msg_get(m, TAG_DIGEST, &s) == 0)
		j->policy_digest = arena_str(&j->arena, s);
	if (msg_get(m, TAG_SEALED, &s) == 0)
		j->sealed = arena_str(&j->arena, s);
	while (j->facts.n < JOB_FACTS_MAX && msg_each(m, TAG_FACT, &at, &s)) {
		j->fact_list[j->facts.n].key = arena_str(&j->arena, s);
		if (!msg_each(m, TAG_FACT, &at, &s))
			break;
		j->fact_list[j->facts.n++].value = arena_str(&j->arena, s);
	}
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		if (msg_take_fd(m, kept[i].tag, fd_of(j, &kept[i])) < 0)
			*fd_of(j, &kept[i]) = -1;
	if (cgroup_make(d->cg.jobs, j->name, &j->cgroup, &j->cgroup_id) < 0 ||
	    cgroup_make(d->cg.proxies, j->name, &j->proxy_cgroup, &j->proxy_cgroup_id) < 0) {
		job_fail(j, "its cgroups cannot be opened: it is ended");
		return -ENOENT;
	}
	j->state = JOB_RUNNING;
	(void)!child_adopt_silent(w.init, w.init_started, &j->init);
	if (child_adopt(w.proxy, w.proxy_started, &j->proxy) < 0)
		j->proxy = CHILD_NONE;
	job_taken_up(j);
	return 0;
}

/* Cgroups of jobs that nobody knows: what was being made when egretd died. Their processes end
 * here; they were refused all along. */
static void sweep(struct daemon *d)
{
	int dir = openat(d->cg.jobs, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *e;

	while (list && (e = readdir(list)) != NULL) {
		int fd;
		uint64_t id;

		if (strncmp(e->d_name, "j-", 2) || job_by_name(d, str_of(e->d_name)))
			continue;
		if (cgroup_make(d->cg.jobs, e->d_name, &fd, &id) == 0) {
			(void)!cgroup_kill(fd);
			(void)!cgroup_wait_empty(fd, 1000);
			(void)!kernel_cgroup_del(d->kernel, id);
			close(fd);
		}
		(void)!cgroup_remove(d->cg.jobs, e->d_name);
		if (cgroup_make(d->cg.proxies, e->d_name, &fd, &id) == 0) {
			(void)!cgroup_kill(fd);
			(void)!cgroup_wait_empty(fd, 1000);
			(void)!kernel_cage_del(d->kernel, id);
			close(fd);
		}
		(void)!cgroup_remove(d->cg.proxies, e->d_name);
	}
	if (list)
		closedir(list);
	else if (dir >= 0)
		close(dir);
}

void adopt_jobs(struct daemon *d)
{
	struct msg_in m;
	struct job *j, *next;
	unsigned taken = 0;

	while (msg_recv(d->park[1], &m) == 0) {
		if (unpark(d, &m) == 0)
			taken++;
		msg_in_done(&m);
	}
	sweep(d);
	for (j = d->jobs; j; j = next) {
		next = j->next;
		if (j->init.pid <= 0)
			job_end(j); /* it ended while there was no egretd */
	}
	park_jobs(d);
	if (taken)
		log_info("took up %u jobs of an earlier egretd", taken);
}
