/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three questions of egret-runc once the job is known: what goes into config.json
 * (MSG_PREPARE), the container becomes a member (MSG_JOIN), a process is executed in it
 * (MSG_PREPARE with PREPARE_EXEC).
 */
#include "egretd/adopt.h"
#include "egretd/authority.h"
#include "egretd/bounds.h"
#include "egretd/container.h"
#include "egretd/control.h"
#include "egretd/dialling.h"
#include "egretd/tier.h"
#include "egretd/walls.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put_trust(const struct job *j, uint64_t flags, struct msg_out *m)
{
	char named[48];
	unsigned i;

	msg_put_str(m, TAG_JOB_NAME, str_of(j->name));
	msg_put_u64(m, TAG_FLAGS, j->capabilities | flags | (j->opens_tls ? PREPARED_OWN_CA : 0));
	msg_put_fd(m, TAG_FD_CA, j->ca);
	msg_put_fd(m, TAG_FD_BUNDLE, j->bundle);
	msg_put_fd(m, TAG_FD_P12, j->p12);
	for (i = 0; i < j->nplaceholders; i++)
		msg_put_str(m, TAG_SETENV, j->placeholders[i]);
	snprintf(named, sizeof(named), "EGRET_JOB=%s", j->name);
	msg_put_str(m, TAG_SETENV, str_of(named));
}

void job_put_trust(const struct job *j, struct msg_out *m)
{
	put_trust(j, 0, m);
}

static bool requires_confined(const struct daemon *d)
{
	unsigned i;

	for (i = 0; i < d->config.require.n; i++)
		if (str_is(d->config.require.at[i], "confined") ||
		    str_is(d->config.require.at[i], "unix")) /* is for confined jobs */
			return true;
	return false;
}

/* A container that could leave makes its job cooperative: it loses what only confined ones get,
 * before the container runs. */
int placing_tier(struct placing *p, struct job *j, char *why, size_t n)
{
	const unsigned loose = INSPECT_PRIVILEGED | INSPECT_ENGINE_SOCKET |
			       INSPECT_ENGINE_SOCKET_FILE | INSPECT_HOST_PID |
			       INSPECT_CAPABILITIES | INSPECT_DEVICES;
	bool was = j->confined;
	unsigned flags = p->seen | (p->found ? p->found->flags : 0);
	struct event e;

	if (p->hides)
		flags &= ~INSPECT_ENGINE_SOCKET_FILE;
	if (!(flags & loose))
		return 0;
	if (requires_confined(p->d)) {
		snprintf(
			why, n,
			"the configuration requires confined jobs: no privileged container, engine "
			"socket, host devices or pid namespace, nor added capabilities");
		return -EPERM;
	}
	if (j->dialling) {
		snprintf(why, n,
			 "upstream.netns is \"job\", which is for confined jobs: no privileged "
			 "container, engine socket, host devices or pid namespace, nor added "
			 "capabilities");
		return -EPERM;
	}
	tier_of_container(j, flags);
	if (!was)
		return 0;
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	event_text(&e, FIELD_CONFINED, STR("cooperative"));
	event_text(&e, FIELD_MESSAGE, j->tier);
	daemon_event(p->d, j->id, &e);
	if (!j->own_policy || j->own.policies.count)
		(void)job_reselect(j);
	if (j->state == JOB_ENDING) {
		snprintf(why, n, "its job is over");
		return -ESHUTDOWN;
	}
	return 0;
}

void placing_prepared(struct placing *p, struct job *j)
{
	char why[WHY_MAX];
	struct msg_out m;
	int r;

	p->hides = j && p->engine && p->engine->hide_sockets;
	r = j ? placing_tier(p, j, why, sizeof(why)) : 0;
	if (r < 0) {
		placing_fail(p, r, why);
		return;
	}
	msg_begin(&m, MSG_PREPARED, p->question);
	if (j) {
		put_trust(j, p->hides ? PREPARED_HIDE_SOCKETS : 0, &m);
		job_linger(j); /* the time is for the container that comes now */
	}
	if (p->client)
		client_send(p->client, &m);
	msg_out_done(&m);
	p->client = NULL;
	p->state = PLACING_PREPARED;
	placing_late(p, PLACING_PREPARED_MS);
}

void placing_exec(struct placing *p)
{
	struct member *at = member_by_name(p->d, p->id, NULL);
	struct msg_out m;

	msg_begin(&m, MSG_PREPARED, p->question);
	if (at && at->trust == MEMBER_TRUST_FULL)
		job_put_trust(at->job, &m);
	client_send(p->client, &m);
	msg_out_done(&m);
	placing_free(p);
}

/* The cgroup that the process is in. On a host with hybrid cgroups it is the one of version 2 that
 * counts: runc puts containers there too, from 1.1 on; before, they stayed in its root, where
 * nothing holds them. */
static int place_process(struct placing *p, char *why, size_t n)
{
	const char *slice = p->d->cg.jobs_path + strlen(p->d->cg.mount.path);
	size_t len = strlen(slice);
	char file[64], text[16384];
	cleanup_close int fd = -1;
	struct str path;
	ssize_t got;

	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)p->pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (p->pidfd < 0 || got <= 0 ||
	    authority_cgroup_path((struct str){ text, (size_t)got }, &path) < 0) {
		snprintf(why, n, "its first process, %d, has ended", (int)p->pid);
		return -ESRCH;
	}
	if (str_starts(path, slice) && path.n > len + 1 && path.p[len] == '/') {
		snprintf(p->path, sizeof(p->path), "%.*s", (int)(path.n - len - 1),
			 path.p + len + 1);
		return 0;
	}
	snprintf(why, n,
		 "its cgroup of version 2, %.*s, is outside %s, where nothing would hold it: see "
		 "docs/runner-hosts.md%s",
		 STR_ARG(path), slice,
		 p->d->cg.mount.hybrid ? "; on a hybrid host runc 1.1 or newer is needed" : "");
	return -EPERM;
}

/* Names by which other members call it: what the runner gave it on its network, not docker's own.
 */
static void take_services(const struct placing *p, struct job *j)
{
	unsigned i;
	bool fresh = false;

	for (i = 0; p->found && i < p->found->aliases.n; i++) {
		struct str name = p->found->aliases.at[i];

		if (name.n == 12 && !strncmp(p->id, name.p, name.n))
			continue;
		fresh |= job_service(j, name) > 0;
	}
	if (fresh && proxy_services(j) < 0)
		log_warn("job %s: its proxy was not told of a service's name", j->name);
}

static void join_ok(struct placing *p, const struct job *j)
{
	struct msg_out m;

	msg_begin(&m, MSG_OK, p->question);
	if (j)
		msg_put_str(&m, TAG_JOB_NAME, str_of(j->name));
	if (p->client)
		client_send(p->client, &m);
	msg_out_done(&m);
	p->client = NULL;
}

static void on_served(void *owner, int err, const char *why)
{
	struct placing *p = owner;
	struct job *j = placing_job(p);

	if (err < 0) {
		placing_fail(p, err, why);
		return;
	}
	if (p->why != PLACING_JOIN) {
		placing_held(p, j);
		return;
	}
	join_ok(p, j);
	placing_free(p);
}

/* Whoever makes a namespace in a user namespace of its own gives it whatever addresses it likes,
 * and a member's addresses are reached by the others directly. The runtime's own first process is
 * told by egret-runc; one that was found may be any. */
static bool made_by_host(int netns)
{
	cleanup_close int owner = ioctl(netns, NS_GET_USERNS);
	struct stat theirs, own;

	return owner >= 0 && fstat(owner, &theirs) == 0 && stat("/proc/self/ns/user", &own) == 0 &&
	       theirs.st_dev == own.st_dev && theirs.st_ino == own.st_ino;
}

/* What egret-runc changed has no capability for packet sockets, routes and rules but what the
 * policy left; of others their processes say, which run already. */
static int is_bound(const struct placing *p, const struct job *j, const struct member *m,
		    enum member_trust trust, char *fault, size_t n)
{
	const unsigned flags = p->seen | (p->found ? p->found->flags : 0);

	if (p->why != PLACING_JOIN || trust != MEMBER_TRUST_FULL)
		return bounds_cgroup(m->cgroup, NULL, fault, n);
	if (!(j->capabilities & (PREPARED_NET_RAW | PREPARED_NET_ADMIN)) &&
	    !(flags & (INSPECT_PRIVILEGED | INSPECT_CAPABILITIES)))
		return 0;
	snprintf(fault, n, "its policy leaves it NET_RAW or NET_ADMIN");
	return -EPERM;
}

/* Where the proxy dials from the container's namespace the routes and rules there are its too. */
static int dialling_bound(const struct placing *p, const struct job *j, const struct member *m,
			  enum member_trust trust, char *why, size_t n)
{
	char fault[WHY_MAX] = "its job is cooperative";
	int r = -EPERM;

	if (!m->net->dials)
		return 0;
	if (j->confined)
		r = is_bound(p, j, m, trust, fault, sizeof(fault));
	if (r < 0)
		snprintf(why, n,
			 "upstream.netns is \"job\": who could change the routes of the namespace "
			 "or forge packets there is not let in: %s",
			 fault);
	return r;
}

/* On a network that is not its own a packet socket goes round every wall but the LSM one. */
static int shared_bound(const struct placing *p, const struct job *j, const struct member *m,
			enum member_trust trust, char *why, size_t n)
{
	char fault[WHY_MAX] = "";
	int r;

	if (!m->net->shared || !walls_need_bounds(p->d))
		return 0;
	r = is_bound(p, j, m, trust, fault, sizeof(fault));
	if (r < 0)
		snprintf(why, n,
			 "on the host's network a container must not be able to open packet "
			 "sockets where the wall \"lsm\" does not stand: %s; give it a network of "
			 "its own, or start it by egret-runc without such capabilities",
			 fault);
	return r;
}

int placing_member(struct placing *p, struct job *j, enum member_trust trust, char *why, size_t n)
{
	char ns[64];
	cleanup_close int netns = -1;
	struct net *net = NULL;
	struct member *m = NULL;
	int r;

	snprintf(ns, sizeof(ns), "/proc/%d/ns/net", (int)p->pid);
	netns = open(ns, O_RDONLY | O_CLOEXEC);
	/* Opened by number: it is its own, and so was its cgroup, only if it still lives. */
	if (netns < 0 || !process_lives(p->pidfd)) {
		snprintf(why, n, "its first process, %d, has ended", (int)p->pid);
		return -ESRCH;
	}
	if (p->why != PLACING_JOIN && !made_by_host(netns)) {
		snprintf(why, n,
			 "process %d is in a network namespace that it, or a user namespace, made: "
			 "start "
			 "the container by egret-runc",
			 (int)p->pid);
		return -EPERM;
	}
	/* Sends only what is new: other members are not disturbed. */
	r = net_of(j, NETNS_ENTER, netns, &net, why, n);
	if (r < 0)
		return r;
	r = member_add(j, p->container ? MEMBER_CONTAINER : MEMBER_CGROUP, p->id, p->path, false,
		       net, &m, why, n);
	if (r < 0)
		return r;
	r = shared_bound(p, j, m, trust, why, n);
	if (r == 0)
		r = dialling_bound(p, j, m, trust, why, n);
	if (r < 0) {
		member_remove(m);
		return r;
	}
	m->trust = trust;
	m->kill = p->why != PLACING_ATTACH && !j->keep;
	timer_del(&j->linger);
	take_services(p, j);
	if (j->services_rule && p->found && p->engine)
		container_follow_ports(m, p->engine, p->why != PLACING_JOIN);
	r = member_watch(m);
	if (r == 0 && j->proxy_up)
		r = nets_listen(j);
	if (r < 0) {
		snprintf(why, n, "it cannot be followed: %s", strerror(-r));
		member_remove(m);
		return r;
	}
	park_jobs(p->d);
	p->state = PLACING_SERVE;
	member_when_served(m, on_served, p);
	return 0;
}

void placing_join(struct placing *p, struct job *j)
{
	char why[WHY_MAX] = "";
	uint64_t id = 0;
	int fd, r = place_process(p, why, sizeof(why));

	if (r == 0 && j && member_by_name(p->d, p->id, NULL)) {
		r = -EEXIST;
		snprintf(why, sizeof(why), "a container with this id is a member already");
	}
	if (r == 0 && j)
		r = placing_tier(p, j, why, sizeof(why));
	/* A hooks.d engine edits nothing: the container becomes a member while its first program is
	 * held, and bundles are laid into it then, when it has its own root. */
	if (r == 0 && j && !(p->flags & JOIN_SPLICED) && p->d->held.loop) {
		join_ok(p, j);
		p->state = PLACING_PREPARED;
		placing_late(p, PLACING_PREPARED_MS);
		return;
	}
	if (r == 0 && j)
		r = placing_member(p, j,
				   p->flags & JOIN_SPLICED ? MEMBER_TRUST_FULL : MEMBER_TRUST_NONE,
				   why, sizeof(why));
	if (r < 0) {
		placing_fail(p, r, why);
		return;
	}
	if (j)
		return;
	/* Nobody's: known to the kernel as such, so that it is refused and not held, unless the
	 * configuration wants it held until somebody attaches it. */
	if (!p->engine || p->engine->unregistered != UNREGISTERED_HOLD) {
		fd = openat(p->d->cg.jobs, p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : cgroup_id(fd, &id);
		if (r == 0)
			r = stranger_add(p->d, fd, id);
		else if (fd >= 0)
			close(fd);
		if (r < 0 && p->d->cg.attached) {
			placing_fail(p, r,
				     "it belongs to no job, and the kernel's table does not "
				     "take it");
			return;
		}
	}
	join_ok(p, NULL);
	placing_free(p);
}
