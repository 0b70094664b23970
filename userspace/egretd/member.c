/* SPDX-License-Identifier: Apache-2.0 */
/* See member.h. One table in the kernel decides: egret_cgroups with its flags; this keeps it true.
 */
#include "egretd/member.h"

#include "egretd/container.h"
#include "egretd/dialling.h"
#include "egretd/direct.h"
#include "egretd/hostaddr.h"
#include "egretd/job.h"
#include "egretd/walls.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKS_MAX 8

/* Somewhere to go but loopback: without, what a rule `direct` names is the proxy's. */
static bool has_way(const struct net *net)
{
	return net->shared || net->naddrs > 0;
}

uint32_t member_flags(const struct member *m)
{
	const struct job *j = m->job;
	uint32_t flags = 0;

	if (!m->net)
		return 0;
	if (m->net->shared)
		flags |= EGRET_CG_HOST_NET;
	if (j->services_rule)
		flags |= EGRET_CG_SERVICES;
	if (j->inbound)
		flags |= EGRET_CG_INBOUND;
	if (m->published)
		flags |= EGRET_CG_PUBLISHED;
	if (j->direct && has_way(m->net))
		flags |= EGRET_CG_DIRECT;
	/* A worker whose jobs run in containers speaks to the engine for them. */
	if (j->confined && !(j->containers_only && m->kind == MEMBER_WORKER))
		flags |= EGRET_CG_CONFINED;
	if (m->net->dials)
		flags |= EGRET_CG_DIALS;
	if (m->net->served && dialling_stands(m->net) && j->state != JOB_ENDING &&
	    walls_carry(j->d) && !j->d->links_down)
		flags |= EGRET_CG_READY;
	return flags;
}

int member_refresh(struct member *m)
{
	struct egret_cgroup v = { .job = m->job->id,
				  .flags = member_flags(m),
				  .policy = m->job->direct ? m->job->direct->id : 0 };

	/* What stands in the table is how it was left: changed when all is known of it again. */
	if (m->job->d->taking_up)
		return 0;
	if (m->net)
		net_links_tell(m->net);
	return kernel_cgroup_put(m->job->d->kernel, m->cgroup_id, &v);
}

int members_refresh(struct job *j)
{
	struct member *m;
	int r = 0, one;

	for (m = j->members; m; m = m->next) {
		one = member_refresh(m);
		if (one < 0)
			r = one;
	}
	return r;
}

static int open_cgroup(struct daemon *d, const char *path, bool make, int *ret, uint64_t *ret_id)
{
	cleanup_close int fd = -1;
	int r;

	while (*path == '/')
		path++;
	if (make && mkdirat(d->cg.jobs, path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(d->cg.jobs, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = cgroup_id(fd, ret_id);
	if (r < 0)
		return r;
	*ret = TAKE_FD(fd);
	return 0;
}

int member_add(struct job *j, enum member_kind kind, const char *name, const char *path, bool make,
	       struct net *net, struct member **ret, char *why, size_t n)
{
	struct member *m;
	uint64_t id = 0;
	int fd = -1, r;

	if (j->nmembers == MEMBERS_MAX) {
		snprintf(why, n, "job %s has %d members already", j->name, MEMBERS_MAX);
		return -E2BIG;
	}
	r = open_cgroup(j->d, path, make, &fd, &id);
	if (r < 0) {
		snprintf(why, n, "the cgroup %s below %s cannot be %s: %s", path,
			 j->d->cg.jobs_path, make ? "made" : "opened", strerror(-r));
		return r;
	}
	m = mem_new(sizeof(*m));
	m->job = j;
	m->kind = kind;
	m->events = -1;
	snprintf(m->name, sizeof(m->name), "%s", name);
	while (*path == '/')
		path++;
	m->path = mem_dup(str_of(path));
	m->cgroup = fd;
	m->cgroup_id = id;
	m->made = make;
	m->kill = true;
	m->next = j->members;
	j->members = m;
	j->nmembers++;
	if (net)
		member_net(m, net);
	r = member_refresh(m);
	if (r < 0) {
		snprintf(why, n, "the kernel's tables cannot take the job: %s", strerror(-r));
		member_remove(m);
		return r;
	}
	*ret = m;
	return 0;
}

void member_net(struct member *m, struct net *net)
{
	m->net = net;
	net->members++;
}

static void tell_served(struct member *m, int err, const char *why)
{
	member_fn fn = m->served;

	m->served = NULL;
	if (fn)
		fn(m->owner, err, why);
}

void member_when_served(struct member *m, member_fn fn, void *owner)
{
	m->served = fn;
	m->owner = owner;
	if (m->net && m->net->served)
		tell_served(m, 0, "");
}

/* Reading is what arms the file for the next change. */
static bool is_empty(int events)
{
	char text[256];
	ssize_t n = pread(events, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return true; /* the cgroup is gone */
	text[n] = 0;
	return !strstr(text, "populated 1");
}

static void on_events(struct watch *w, uint32_t events)
{
	struct member *m = w->owner;

	if (is_empty(m->events))
		job_member_left(m->job, m);
}

int member_watch(struct member *m)
{
	int r;

	if (m->events >= 0)
		return 0;
	r = cgroup_events_open(m->cgroup, &m->events);
	if (r < 0)
		return r;
	return watch_add(m->job->d->loop, &m->empty, m->events, EPOLLPRI, on_events, m);
}

/* The kernel's entry of one port: what all members of the job publish at it. */
static int publish_one(struct job *j, uint16_t port)
{
	const struct member *m;
	uint8_t ways = 0;
	unsigned i;

	for (m = j->members; m; m = m->next)
		for (i = 0; i < m->nports; i++)
			if (m->ports[i].port == port)
				ways |= m->ports[i].ways;
	return ways ? kernel_published_set(j->d->kernel, j->id, port, ways)
		    : kernel_published_del(j->d->kernel, j->id, port);
}

int member_publish(struct member *m, const struct member_port *list, unsigned n)
{
	struct member_port was[ARRAY_SIZE(m->ports)];
	unsigned nwas = m->nports, i, k;
	int r = 0, one;

	memcpy(was, m->ports, sizeof(was));
	m->nports = 0;
	for (i = 0; i < n; i++) {
		for (k = 0; k < m->nports && m->ports[k].port != list[i].port; k++)
			;
		if (k == ARRAY_SIZE(m->ports)) {
			r = -E2BIG;
			continue;
		}
		if (k == m->nports)
			m->ports[m->nports++] = (struct member_port){ .port = list[i].port };
		m->ports[k].ways |= list[i].ways;
	}
	for (i = 0; i < nwas + m->nports; i++) {
		one = publish_one(m->job, i < nwas ? was[i].port : m->ports[i - nwas].port);
		if (one < 0)
			r = one;
	}
	m->published = m->nports > 0;
	one = member_refresh(m);
	return one < 0 ? one : r;
}

/* ---- namespaces ---- */

static bool has_addr(uint8_t (*list)[16], size_t n, const uint8_t *addr)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!memcmp(list[i], addr, 16))
			return true;
	return false;
}

/* Unless another namespace of the job has it too: two networks of a job can be of one range. */
static void addr_forget(struct net *net, const uint8_t *addr)
{
	struct net *other;

	for (other = net->job->nets; other; other = other->next)
		if (other != net && has_addr(other->addrs, other->naddrs, addr))
			return;
	(void)!kernel_member_del(net->job->d->kernel, net->job->id, addr);
}

static void addrs_forget(struct net *net)
{
	size_t i;

	for (i = 0; i < net->naddrs; i++)
		addr_forget(net, net->addrs[i]);
	free(net->addrs);
	net->addrs = NULL;
	net->naddrs = 0;
}

static void addrs_tell(const struct net *net, uint8_t (*list)[16], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (kernel_member_set(net->job->d->kernel, net->job->id, list[i]) < 0)
			log_err("job %s: the kernel's table of members is full", net->job->name);
}

/* The new list into the kernel's table, what is gone out of it. */
static void addrs_look(struct net *net)
{
	uint8_t(*list)[16] = NULL;
	size_t n = 0, i;

	if (netns_addrs(net->ns.route, &list, &n) < 0)
		return;
	addrs_tell(net, list, n);
	for (i = 0; i < net->naddrs; i++)
		if (!has_addr(list, n, net->addrs[i]))
			addr_forget(net, net->addrs[i]);
	free(net->addrs);
	net->addrs = list;
	net->naddrs = n;
}

/* Whoever has NET_ADMIN in the namespace can give itself any address: then the ones it had when it
 * joined are its only ones. */
void net_look(struct net *net, bool fresh)
{
	struct job *j = net->job;
	bool had = has_way(net), stood = dialling_stands(net), more = true;

	for (int i = 0; i < LOOKS_MAX && more; i++) {
		if (fresh || (j->confined && !(j->capabilities & PREPARED_NET_ADMIN)))
			addrs_look(net);
		else
			hostaddr_drain(net->ns.route);
		more = net_links_look(net);
	}
	if ((had != has_way(net) || stood != dialling_stands(net)) && members_refresh(j) < 0)
		log_err("job %s: the kernel's table cannot be changed", j->name);
}

static void on_route(struct watch *w, uint32_t events)
{
	net_look(w->owner, false);
}

static bool others_are_in(const struct job *j, int netns, bool dialling);

static void net_drop(struct net *net)
{
	struct job *j = net->job;
	struct msg_out m;
	struct net **at;

	watch_del(&net->route);
	net_links_drop(net, others_are_in(j, net->ns.netns, false));
	addrs_forget(net);
	if (net->served && j->proxy.pid > 0 && j->state != JOB_ENDING) {
		msg_begin(&m, MSG_PROXY_UNLISTEN, 0);
		msg_put_u64(&m, TAG_NETNS, net->ns.cookie);
		if (msg_send(j->proxy.sock, &m) < 0)
			child_kill(&j->proxy, SIGKILL);
		msg_out_done(&m);
	}
	if (net->ns.cookie)
		(void)!kernel_listener_del(j->d->kernel, j->id, net->ns.cookie);
	netns_close(&net->ns);
	child_end(&net->source);
	for (at = &j->nets; *at != net; at = &(*at)->next)
		;
	*at = net->next;
	j->nnets--;
	free(net);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static bool is_own(int netns)
{
	cleanup_close int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return own < 0 || same_file(own, netns);
}

/* dialling: such as dial from there. */
static bool others_are_in(const struct job *j, int netns, bool dialling)
{
	const struct job *other;
	const struct net *net;

	for (other = j->d->jobs; other; other = other->next)
		for (net = other == j ? NULL : other->nets; net; net = net->next)
			if (same_file(net->ns.netns, netns) && (!dialling || net->dials))
				return true;
	return false;
}

static struct net *net_new(struct job *j)
{
	struct net *net = mem_new(sizeof(*net));

	net->job = j;
	net->ns = NETNS_NONE;
	net->source = CHILD_NONE;
	net->next = j->nets;
	j->nets = net;
	j->nnets++;
	return net;
}

/* A listener on the host's network cannot serve a namespace of the job's own: told apart here. */
int net_of(struct job *j, enum netns_how how, int given, struct net **ret, char *why, size_t n)
{
	struct net *net;
	bool beside;
	int r;

	if (given >= 0)
		for (net = j->nets; net; net = net->next)
			if (same_file(net->ns.netns, given)) {
				*ret = net;
				return 0;
			}
	if (how == NETNS_SHARED && given < 0) {
		for (net = j->nets; net; net = net->next)
			if (net->shared && is_own(net->ns.netns)) {
				*ret = net;
				return 0;
			}
	}
	if (j->nnets == NETS_MAX) {
		snprintf(why, n, "job %s has %d network namespaces already", j->name, NETS_MAX);
		return -E2BIG;
	}
	if (given >= 0 && (is_own(given) || others_are_in(j, given, false)))
		how = NETNS_SHARED;
	/* Whose namespace it is would have a hand in what is dialled for the other. */
	beside = how == NETNS_SHARED && given >= 0 && !is_own(given) &&
		 (j->dialling || others_are_in(j, given, true));
	r = dialling_there(j, how, beside, why, n);
	if (r < 0)
		return r;
	net = net_new(j);
	net->shared = how == NETNS_SHARED;
	net->dials = j->dialling && how == NETNS_ENTER;
	r = netns_open(j->d->cg.listen, how, given, &net->ns, why, n);
	if (r == 0) {
		r = kernel_listener_set(j->d->kernel, j->id, net->ns.cookie, &net->ns.listener);
		if (r < 0)
			snprintf(why, n, "the kernel's tables cannot take the job's listeners: %s",
				 strerror(-r));
	}
	if (r == 0 && net->ns.route >= 0) {
		net_look(net, true);
		r = watch_add(j->d->loop, &net->route, net->ns.route, EPOLLIN, on_route, net);
		if (r < 0)
			snprintf(why, n, "the addresses of the namespace cannot be followed: %s",
				 strerror(-r));
		else
			r = net_links_required(net, why, n);
		if (r == 0)
			r = dialling_links(net, why, n);
	}
	if (r < 0) {
		net_drop(net);
		return r;
	}
	*ret = net;
	return 0;
}

struct net *net_unparked(struct job *j, struct netns *ns, bool shared, struct str addrs)
{
	struct net *net = net_new(j);

	net->ns = *ns;
	*ns = NETNS_NONE;
	net->shared = shared;
	net->dials = j->dialling && !shared && net->ns.route >= 0;
	net->naddrs = addrs.n / sizeof(*net->addrs);
	net->addrs = addrs.n ? memcpy(mem_new(addrs.n), addrs.p, addrs.n) : NULL;
	addrs_tell(net, net->addrs, net->naddrs);
	if (net->ns.route >= 0) {
		/* As in net_look: what it gave itself since is no address of its own now either. */
		if (!addrs.p || (j->confined && !(j->capabilities & PREPARED_NET_ADMIN)))
			addrs_look(net);
		if (watch_add(j->d->loop, &net->route, net->ns.route, EPOLLIN, on_route, net) < 0)
			log_warn("job %s: addresses of a namespace are not followed any more",
				 j->name);
	}
	return net;
}

bool nets_answered(struct job *j, uint32_t id, bool ok, const char *why)
{
	struct member *m, *next;
	struct net *net;

	for (net = j->nets; net && net->question != id; net = net->next)
		;
	if (!id || !net)
		return false;
	net->question = 0;
	net->served = ok;
	for (m = j->members; m; m = next) {
		int r = ok ? 0 : -EIO;

		next = m->next;
		if (m->net != net)
			continue;
		if (ok)
			r = member_refresh(m);
		tell_served(m, r, r == 0 ? "" : ok ? "the kernel's table cannot be changed" : why);
	}
	return true;
}

/* ---- the end ---- */

void member_remove(struct member *m)
{
	struct job *j = m->job;
	struct member **at;

	tell_served(m, -ESHUTDOWN, "its job is over");
	container_ports_gone(m->cgroup_id);
	watch_del(&m->empty);
	if (m->events >= 0)
		close(m->events);
	if (m->nports)
		(void)!member_publish(m, NULL, 0);
	cgroup_forget(j->d, m->cgroup_id);
	if (m->cgroup >= 0)
		close(m->cgroup);
	if (m->made)
		(void)!cgroup_remove(j->d->cg.jobs, m->path);
	for (at = &j->members; *at != m; at = &(*at)->next)
		;
	*at = m->next;
	j->nmembers--;
	if (m->net && --m->net->members == 0)
		net_drop(m->net);
	else if (m->net)
		net_links_tell(m->net);
	free(m->path);
	free(m);
}

void members_kill(struct job *j)
{
	struct member *m;

	for (m = j->members; m; m = m->next)
		if (m->kill)
			(void)!cgroup_kill(m->cgroup);
}

void members_done(struct job *j, int ms)
{
	struct member *m;
	int r;

	members_kill(j);
	for (m = j->members; m; m = m->next) {
		if (!m->kill)
			continue;
		r = cgroup_wait_empty(m->cgroup, ms);
		if (r < 0 && r != -ENODEV)
			log_warn("job %s: processes are left in its cgroup: %s; they stay refused",
				 j->name, strerror(-r));
	}
	while (j->members)
		member_remove(j->members);
	while (j->nets)
		net_drop(j->nets);
}
