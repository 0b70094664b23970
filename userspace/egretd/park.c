/* SPDX-License-Identifier: Apache-2.0 */
/* See park.h. */
#include "egretd/park.h"

#include "egretd/adopt.h"
#include "egretd/direct.h"
#include "egretd/park_form.h"
#include "egretd/worker.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kept_fd {
	uint16_t tag;
	size_t offset;
};
#define JOB_FD(tag, field)                       \
	{                                        \
		tag, offsetof(struct job, field) \
	}
static const struct kept_fd kept[] = {
	JOB_FD(TAG_FD_RING, ring.data),
	JOB_FD(TAG_FD_RING_ACK, ring.ack),
	JOB_FD(TAG_FD_RING_ACK_RO, ring.ack_ro),
	JOB_FD(TAG_FD_RING_WAKE, ring.wake),
	JOB_FD(TAG_FD_RING_SPACE, ring.space),
	JOB_FD(TAG_FD_NAMES, names),
	JOB_FD(TAG_FD_POLICY, policies[0]),
	JOB_FD(TAG_FD_POLICY2, policies[1]),
	JOB_FD(TAG_FD_CREDS, creds),
	JOB_FD(TAG_FD_CA, ca),
	JOB_FD(TAG_FD_BUNDLE, bundle),
	JOB_FD(TAG_FD_P12, p12),
	JOB_FD(TAG_FD_FOLLOW, follow),
};
#define NET_FD(tag, field)                         \
	{                                          \
		tag, offsetof(struct netns, field) \
	}
static const struct kept_fd kept_net[] = {
	NET_FD(TAG_FD_NETNS, netns),	   NET_FD(TAG_FD_TCP, tcp4),
	NET_FD(TAG_FD_TCP6, tcp6),	   NET_FD(TAG_FD_DNS_UDP, dns_udp4),
	NET_FD(TAG_FD_DNS_UDP6, dns_udp6), NET_FD(TAG_FD_DNS_TCP, dns_tcp4),
	NET_FD(TAG_FD_DNS_TCP6, dns_tcp6), NET_FD(TAG_FD_ENGINE_DNS, engine_dns),
	NET_FD(TAG_FD_ROUTE, route),
};

static int *fd_at(void *base, const struct kept_fd *k)
{
	return (int *)((char *)base + k->offset);
}

static void put_fds(struct msg_out *m, void *base, const struct kept_fd *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (*fd_at(base, &list[i]) >= 0)
			msg_put_fd(m, list[i].tag, *fd_at(base, &list[i]));
}

static void take_fds(struct msg_in *m, void *base, const struct kept_fd *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (msg_take_fd(m, list[i].tag, fd_at(base, &list[i])) < 0)
			*fd_at(base, &list[i]) = -1;
}

static int send_frame(struct daemon *d, struct msg_out *m)
{
	int r = msg_send(d->park[0], m);

	msg_out_done(m);
	d->parked += r == 0;
	return r;
}

static int park_net(struct job *j, struct net *net)
{
	const struct egret_listener *l = &net->ns.listener;
	struct park_net words = { .form = PARK_FORM,
				  .shared = net->shared,
				  .cookie = net->ns.cookie,
				  .tcp4_be = l->tcp4_be,
				  .tcp6_be = l->tcp6_be,
				  .dns4_be = l->dns4_be,
				  .dns6_be = l->dns6_be };
	struct msg_out m;

	memcpy(words.addr4, l->addr4, sizeof(words.addr4));
	memcpy(words.addr6, l->addr6, sizeof(words.addr6));
	msg_begin(&m, MSG_PROXY_LISTEN, 0);
	msg_put_u64(&m, TAG_JOB, j->id);
	msg_put(&m, TAG_VALUE, &words, sizeof(words));
	/* Its own addresses as they were found when it joined: it may give itself others. */
	if (net->ns.route >= 0)
		msg_put(&m, TAG_LOCAL_ADDR, net->naddrs ? (const void *)net->addrs : "",
			sizeof(*net->addrs) *
				(net->naddrs < PARK_ADDRS ? net->naddrs : PARK_ADDRS));
	put_fds(&m, &net->ns, kept_net, ARRAY_SIZE(kept_net));
	return send_frame(j->d, &m);
}

static int park_member(struct job *j, struct member *at)
{
	struct park_member words = { .form = PARK_FORM,
				     .cookie = at->net ? at->net->ns.cookie : 0,
				     .kind = at->kind,
				     .trust = at->trust,
				     .made = at->made,
				     .kill = at->kill,
				     .nports = at->nports };
	struct msg_out m;
	unsigned i;

	_Static_assert(ARRAY_SIZE(at->ports) == PARK_PORTS, "all ports are parked");
	for (i = 0; i < at->nports; i++)
		words.ports[i] =
			(struct park_port){ .port = at->ports[i].port, .ways = at->ports[i].ways };
	msg_begin(&m, MSG_JOIN, 0);
	msg_put_u64(&m, TAG_JOB, j->id);
	msg_put(&m, TAG_VALUE, &words, sizeof(words));
	msg_put_str(&m, TAG_CONTAINER, str_of(at->name));
	msg_put_str(&m, TAG_CGROUP, str_of(at->path));
	return send_frame(j->d, &m);
}

static int park(struct daemon *d, struct job *j)
{
	struct park_job words = { .form = PARK_FORM };
	struct member *at;
	struct net *net;
	struct msg_out m;
	size_t i;
	int r;

	words.id = j->id;
	words.uid = j->uid;
	words.gid = j->gid;
	words.caller_uid = j->caller_uid;
	words.proxy_uid = j->proxy_uid;
	words.origin = j->origin;
	words.admin = j->admin;
	words.host_net = j->host_net;
	words.confined = j->confined;
	words.own_policy = j->own_policy;
	words.services_rule = j->services_rule;
	words.inbound = j->inbound;
	words.containers_only = j->containers_only;
	words.keep = j->keep;
	words.reaches_engine = j->reaches_engine;
	words.npolicies = j->npolicies;
	words.capabilities = j->capabilities;
	words.dialling = j->dialling;
	words.direct = j->direct ? j->direct->id : 0;
	words.assurance = j->facts.assurance;
	words.started_us = j->started_us;
	words.proxy = j->proxy.pid;
	words.proxy_started = child_started(j->proxy.pid);
	words.init = j->init.pid;
	words.init_started = child_started(j->init.pid);
	words.worker = j->worker ? j->worker->pid : 0;
	words.worker_started = j->worker ? j->worker->started : 0;
	msg_begin(&m, MSG_JOB, 0);
	msg_put(&m, TAG_VALUE, &words, sizeof(words));
	msg_put_str(&m, TAG_JOB_NAME, str_of(j->name));
	msg_put_str(&m, TAG_POLICY, j->policy_name);
	msg_put_str(&m, TAG_DIGEST, j->policy_digest);
	msg_put(&m, TAG_SEALED, j->sealed.p, j->sealed.n);
	msg_put_str(&m, TAG_TIER, j->tier);
	msg_put_str(&m, TAG_KIND, j->wants_policy);
	msg_put_str(&m, TAG_CONTAINER_LABEL, j->container_label);
	msg_put_str(&m, TAG_NETWORK, j->network);
	msg_put_str(&m, TAG_CWD, j->cwd);
	if (j->worker)
		msg_put_str(&m, TAG_CGROUP, str_of(j->worker->unit));
	for (i = 0; i < j->facts.n; i++) {
		msg_put_str(&m, TAG_FACT, j->fact_list[i].key);
		msg_put_str(&m, TAG_FACT, j->fact_list[i].value);
	}
	for (i = 0; i < j->nplaceholders; i++)
		msg_put_str(&m, TAG_SETENV, j->placeholders[i]);
	for (i = 0; i < j->nservices; i++)
		msg_put_str(&m, TAG_SERVICE, j->services[i]);
	put_fds(&m, j, kept, ARRAY_SIZE(kept));
	r = send_frame(d, &m);
	for (net = j->nets; net && r == 0; net = net->next)
		r = park_net(j, net);
	for (at = j->members; at && r == 0; at = at->next)
		r = park_member(j, at);
	return r;
}

static void drop_frames(struct daemon *d, unsigned n)
{
	struct msg_in m;
	int r;

	for (; n; n--) {
		r = msg_recv(d->park[1], &m);
		if (r < 0 && r != -EBADMSG)
			break;
		if (r == 0)
			msg_in_done(&m);
		d->parked -= d->parked > 0;
	}
}

/* Lying there they keep the programs attached if the pins are taken away while no egretd runs. */
static int park_links(struct daemon *d)
{
	int fds[PARK_LINKS_MAX], *from = fds;
	unsigned n = d->kernel ? kernel_links(d->kernel, fds, PARK_LINKS_MAX) : 0, i = 0;
	int r = 0;

	if (!n) { /* not attached yet */
		from = d->old_links;
		n = d->nold_links;
	}

	while (i < n && r == 0) {
		struct msg_out m;

		msg_begin(&m, MSG_PARK_LINKS, 0);
		for (unsigned at_once = 0; at_once < MSG_FDS_MAX && i < n; at_once++)
			msg_put_fd(&m, TAG_FD_LINK, from[i++]);
		r = send_frame(d, &m);
	}
	return r;
}

static int park_set(struct daemon *d)
{
	struct msg_out m;
	struct job *j;
	int r = park_links(d);

	if (r == -EAGAIN)
		return r;
	if (r < 0)
		log_warn("the kernel programs' links cannot be parked: %s", strerror(-r));
	for (j = d->jobs; j; j = j->next) {
		r = j->state == JOB_RUNNING ? park(d, j) : 0;
		if (r == -EAGAIN)
			return r;
		if (r < 0)
			log_warn("job %s: cannot be parked; it would not outlive this egretd",
				 j->name);
	}
	msg_begin(&m, MSG_END, 0);
	return send_frame(d, &m);
}

void park_jobs(struct daemon *d)
{
	unsigned before = d->parked;

	park_stop(d->park[1]);
	if (park_set(d) == 0) {
		drop_frames(d, before);
		return;
	}
	/* No room for two sets. */
	drop_frames(d, d->parked);
	if (park_set(d) < 0)
		log_warn("the parking place is full: jobs would not outlive this egretd");
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

static void take_text(const struct msg_in *m, uint16_t tag, struct job *j, struct str *to)
{
	struct str s;

	if (msg_get(m, tag, &s) == 0)
		*to = arena_str(&j->arena, s);
}

static void take_texts(const struct msg_in *m, struct job *j)
{
	struct str s;
	size_t at;

	take_text(m, TAG_POLICY, j, &j->policy_name);
	take_text(m, TAG_DIGEST, j, &j->policy_digest);
	take_text(m, TAG_SEALED, j, &j->sealed);
	take_text(m, TAG_TIER, j, &j->tier);
	take_text(m, TAG_KIND, j, &j->wants_policy);
	take_text(m, TAG_CONTAINER_LABEL, j, &j->container_label);
	take_text(m, TAG_NETWORK, j, &j->network);
	take_text(m, TAG_CWD, j, &j->cwd);
	for (at = 0; j->facts.n < JOB_FACTS_MAX && msg_each(m, TAG_FACT, &at, &s);) {
		j->fact_list[j->facts.n].key = arena_str(&j->arena, s);
		if (!msg_each(m, TAG_FACT, &at, &s))
			break;
		j->fact_list[j->facts.n++].value = arena_str(&j->arena, s);
	}
	for (at = 0;
	     j->nplaceholders < ARRAY_SIZE(j->placeholders) && msg_each(m, TAG_SETENV, &at, &s);)
		j->placeholders[j->nplaceholders++] = arena_str(&j->arena, s);
	for (at = 0; j->nservices < JOB_SERVICES_MAX && msg_each(m, TAG_SERVICE, &at, &s);)
		j->services[j->nservices++] = arena_str(&j->arena, s);
}

/* What the rules are stands in the parked policy; the words say the number only. */
static int take_direct(struct job *j, uint32_t id)
{
	struct library l;
	struct policy p;
	char why[WHY_MAX];
	int r = j->npolicies != 1 || j->policies[0] < 0 ? -EBADMSG
							: library_open(j->policies[0], -1, &l);

	if (r == 0) {
		r = l.policies.count == 1 ? policy_open(pack_at(&l.policies, 0), &p) : -EBADMSG;
		if (r == 0)
			r = direct_take(j->d, &p, id, &j->direct, why, sizeof(why));
		library_close(&l);
	}
	return r;
}

static int take_job(struct daemon *d, struct msg_in *m)
{
	struct park_job w;
	struct job *j;
	struct str words, name, unit;
	char path[1024];

	int r;

	if (msg_get(m, TAG_VALUE, &words) < 0 ||
	    msg_get_str(m, TAG_JOB_NAME, sizeof(j->name) - 1, &name) < 0)
		return -EBADMSG;
	r = park_words(words, &w, sizeof(w));
	if (r < 0)
		return r;
	/* The broker only keeps it, but it could have put another in its place. */
	if (!is_job_name(name) || job_by_name(d, name) || !w.id || w.npolicies == 0 ||
	    w.npolicies > JOB_POLICIES_MAX || w.assurance > ASSURANCE_SIGNED ||
	    w.origin > JOB_OF_UNIT)
		return -EBADMSG;
	j = job_new(d);
	snprintf(j->name, sizeof(j->name), "%.*s", STR_ARG(name));
	j->id = w.id;
	j->uid = w.uid;
	j->gid = w.gid;
	j->caller_uid = w.caller_uid;
	j->proxy_uid = w.proxy_uid;
	j->origin = w.origin;
	j->admin = w.admin;
	j->host_net = w.host_net;
	j->confined = w.confined;
	j->own_policy = w.own_policy;
	j->services_rule = w.services_rule;
	j->inbound = w.inbound;
	j->containers_only = w.containers_only;
	j->keep = w.keep;
	j->dialling = w.dialling != 0;
	j->reaches_engine = w.reaches_engine;
	j->npolicies = w.npolicies;
	j->capabilities = w.capabilities;
	j->facts.list = j->fact_list;
	j->facts.assurance = w.assurance;
	j->started_us = w.started_us;
	take_texts(m, j);
	take_fds(m, j, kept, ARRAY_SIZE(kept));
	if (w.direct && take_direct(j, w.direct) < 0)
		log_warn("job %s: its rules \"direct\" are not taken up: what they name goes "
			 "through "
			 "its proxy",
			 j->name);
	if (cgroup_make(d->cg.proxies, j->name, &j->proxy_cgroup, &j->proxy_cgroup_id) < 0) {
		job_fail(j, "its proxy's cgroup cannot be opened: it is ended");
		return -ENOENT;
	}
	j->state = JOB_RUNNING;
	(void)!child_adopt_silent(w.init, w.init_started, &j->init);
	if (child_adopt(w.proxy, w.proxy_started, &j->proxy) < 0)
		j->proxy = CHILD_NONE;
	if (w.worker > 0 && msg_get_str(m, TAG_CGROUP, sizeof(path) - 1, &unit) == 0) {
		snprintf(path, sizeof(path), "%.*s", STR_ARG(unit));
		if (worker_unparked(j, w.worker, w.worker_started, path) < 0)
			log_warn("job %s: its worker is gone", j->name);
	}
	return 0;
}

static int take_net(struct job *j, struct msg_in *m)
{
	struct netns ns = NETNS_NONE;
	struct park_net w;
	struct str words, addrs = { 0 };
	int r;

	if (msg_get(m, TAG_VALUE, &words) < 0 || j->nnets >= NETS_MAX)
		return -EBADMSG;
	r = park_words(words, &w, sizeof(w));
	if (r < 0)
		return r;
	ns.cookie = w.cookie;
	ns.listener = (struct egret_listener){ .tcp4_be = w.tcp4_be,
					       .tcp6_be = w.tcp6_be,
					       .dns4_be = w.dns4_be,
					       .dns6_be = w.dns6_be };
	memcpy(ns.listener.addr4, w.addr4, sizeof(w.addr4));
	memcpy(ns.listener.addr6, w.addr6, sizeof(w.addr6));
	take_fds(m, &ns, kept_net, ARRAY_SIZE(kept_net));
	if (ns.netns < 0 || ns.tcp4 < 0) {
		netns_close(&ns);
		return -EBADMSG;
	}
	(void)!msg_get(m, TAG_LOCAL_ADDR, &addrs);
	net_unparked(j, &ns, w.shared, addrs);
	return 0;
}

static struct net *net_by_cookie(struct job *j, uint64_t cookie)
{
	struct net *net;

	for (net = j->nets; net && net->ns.cookie != cookie; net = net->next)
		;
	return net;
}

static int take_member(struct job *j, struct msg_in *m)
{
	struct str words, name, path;
	struct park_member w;
	struct member *at = NULL;
	char id[PLACE_ID_MAX], where[CGROUP_PATH_MAX], why[WHY_MAX];
	unsigned i;
	int r;

	if (msg_get(m, TAG_VALUE, &words) < 0 ||
	    msg_get_str(m, TAG_CONTAINER, sizeof(id) - 1, &name) < 0 ||
	    msg_get_str(m, TAG_CGROUP, sizeof(where) - 1, &path) < 0)
		return -EBADMSG;
	r = park_words(words, &w, sizeof(w));
	if (r < 0)
		return r;
	if (w.kind > MEMBER_CGROUP || w.trust > MEMBER_TRUST_FULL || w.nports > PARK_PORTS ||
	    memmem(path.p, path.n, "..", 2))
		return -EBADMSG;
	snprintf(id, sizeof(id), "%.*s", STR_ARG(name));
	snprintf(where, sizeof(where), "%.*s", STR_ARG(path));
	r = member_add(j, w.kind, id, where, false, net_by_cookie(j, w.cookie), &at, why,
		       sizeof(why));
	if (r < 0)
		return 0; /* its cgroup is gone, and so is it */
	at->trust = w.trust;
	at->made = w.made;
	at->kill = w.kill;
	for (i = 0; i < w.nports; i++)
		at->ports[i] =
			(struct member_port){ .port = w.ports[i].port, .ways = w.ports[i].ways };
	at->nports = w.nports;
	at->published = w.nports > 0;
	if (w.kind == MEMBER_WORKER && j->worker)
		j->worker->member = at;
	if (w.kind != MEMBER_COMMAND && member_watch(at) < 0)
		log_warn("job %s: the end of %.12s is not followed", j->name, id);
	return 0;
}

/* With their pins they are in this kernel's room already. */
static void take_links(struct daemon *d, struct msg_in *m)
{
	struct str field;
	size_t at = 0;

	while (!kernel_reused(d->kernel) && d->nold_links < PARK_LINKS_MAX &&
	       msg_each(m, TAG_FD_LINK, &at, &field))
		if (msg_take_fd_of(m, field, &d->old_links[d->nold_links]) == 0)
			d->nold_links++;
}

void park_links_done(struct daemon *d)
{
	while (d->nold_links)
		close(d->old_links[--d->nold_links]);
}

int park_take(struct daemon *d, struct msg_in *m)
{
	struct job *j = NULL;
	uint64_t id = 0;

	if (m->type == MSG_PARK_LINKS)
		take_links(d, m);
	if (m->type == MSG_JOB)
		return take_job(d, m);
	if (m->type != MSG_PROXY_LISTEN && m->type != MSG_JOIN)
		return 0; /* a later egretd's: passed over */
	if (msg_get_u64(m, TAG_JOB, &id) == 0)
		j = job_by_id(d, id);
	if (!j)
		return -ENOENT;
	return m->type == MSG_PROXY_LISTEN ? take_net(j, m) : take_member(j, m);
}

int park_refill(struct job *j)
{
	struct member_port ports[PARK_PORTS];
	struct kernel *k = j->d->kernel;
	struct member *m;
	struct net *net;
	int r = 0;

	/* A living proxy has its listeners; another will ask for them again. */
	j->proxy_up = j->proxy.pid > 0;
	for (net = j->nets; net && r == 0; net = net->next) {
		net->served = j->proxy.pid > 0;
		r = kernel_listener_set(k, j->id, net->ns.cookie, &net->ns.listener);
	}
	for (m = j->members; m && r == 0; m = m->next) {
		memcpy(ports, m->ports, sizeof(ports));
		r = m->nports ? member_publish(m, ports, m->nports) : member_refresh(m);
	}
	/* What the proxy may dial stands in the table; only an empty one is filled anew. */
	if (r == 0 && kernel_cage_anew(k)) {
		r = job_dials(j);
		if (r == 0)
			r = kernel_cage_set(k, j->proxy_cgroup_id, j->dials, j->ndials);
	}
	return r;
}

void park_taken(struct job *j)
{
	job_taken_up(j);
	if ((j->origin == JOB_OF_RUN && j->init.pid <= 0) ||
	    (j->origin == JOB_OF_RUNNER && j->worker && j->worker->pidfd < 0) ||
	    (j->origin == JOB_OF_UNIT && !j->members))
		job_end(j); /* it ended while there was no egretd */
	else if (j->origin == JOB_OF_ENGINE && !j->members)
		job_member_left(j, NULL);
}
