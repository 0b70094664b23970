/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See net_link.h. A link is asked from both ends: in the job's namespace for its kind and its
 * peer's number, in egretd's own whether the interface of that number is this very link's other
 * end. The questions go through a socket that was made in the namespace (netns.c), so nobody enters
 * it.
 */
#include "egretd/net_link.h"

#include "egretd/direct.h"
#include "egretd/hostaddr.h"
#include "egretd/job.h"
#include "egretd/member.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LO_IFINDEX 1
#define AGAIN_MS 20000

/* A link as one of its ends shows it. */
struct seen {
	uint32_t own, peer;
	int32_t nsid;	/* of the peer's namespace */
	bool elsewhere; /* the peer, or what is below, is in another namespace */
	char name[16], kind[16];
};

static void text_of(struct nlattr *a, char *to, size_t n)
{
	snprintf(to, n, "%.*s", a ? (int)strnlen(nla_data(a), (size_t)nla_len(a)) : 0,
		 a ? (char *)nla_data(a) : "");
	for (; *to; to++)
		if (!isalnum((unsigned char)*to) && !strchr("-_.", *to))
			*to = '?';
}

static int seen_of(struct nlmsghdr *h, struct seen *ret)
{
	struct nlattr *at[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1] = { 0 };
	const struct ifinfomsg *i = nlmsg_data(h);

	if (nlmsg_parse(h, sizeof(*i), at, IFLA_MAX, NULL) < 0 ||
	    (at[IFLA_LINKINFO] &&
	     nla_parse_nested(info, IFLA_INFO_MAX, at[IFLA_LINKINFO], NULL) < 0))
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->own = (uint32_t)i->ifi_index;
	if (at[IFLA_LINK] && nla_len(at[IFLA_LINK]) == 4)
		ret->peer = nla_get_u32(at[IFLA_LINK]);
	ret->elsewhere = at[IFLA_LINK_NETNSID] && nla_len(at[IFLA_LINK_NETNSID]) == 4;
	if (ret->elsewhere)
		ret->nsid = (int32_t)nla_get_u32(at[IFLA_LINK_NETNSID]);
	text_of(at[IFLA_IFNAME], ret->name, sizeof(ret->name));
	text_of(info[IFLA_INFO_KIND], ret->kind, sizeof(ret->kind));
	return 0;
}

/* ---- egretd's own namespace ---- */

/* The kernel answers before sendto() returns. */
static int ask(struct nlmsghdr *q, void *room, size_t n, struct nlmsghdr **ret)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlmsghdr *h = room;
	ssize_t got;

	q->nlmsg_flags = NLM_F_REQUEST;
	if (fd < 0 || sendto(fd, q, q->nlmsg_len, 0, (void *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	got = recv(fd, room, n, MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	if (!nlmsg_ok(h, (int)got))
		return -EBADMSG;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)nlmsg_data(h))->error ?: -EBADMSG;
	*ret = h;
	return 0;
}

static int own_link(uint32_t ifindex, struct seen *ret)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
		struct nlattr a;
		uint32_t mask;
	} q = { .h = { .nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETLINK },
		.i.ifi_index = (int)ifindex,
		.a = { .nla_len = sizeof(q.a) + sizeof(q.mask), .nla_type = IFLA_EXT_MASK },
		.mask = RTEXT_FILTER_SKIP_STATS };
	char room[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h;
	int r = ask(&q.h, room, sizeof(room), &h);

	return r ? r : seen_of(h, ret);
}

/* What egretd's namespace calls that one. */
static int own_nsid(int netns, int32_t *ret)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
		uint8_t pad[NLMSG_ALIGN(sizeof(struct rtgenmsg)) - sizeof(struct rtgenmsg)];
		struct nlattr a;
		uint32_t fd;
	} q = { .h = { .nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETNSID },
		.a = { .nla_len = sizeof(q.a) + sizeof(q.fd), .nla_type = NETNSA_FD },
		.fd = (uint32_t)netns };
	char room[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlattr *at[NETNSA_MAX + 1];
	struct nlmsghdr *h;
	int r = ask(&q.h, room, sizeof(room), &h);

	if (r)
		return r;
	if (nlmsg_parse(h, sizeof(struct rtgenmsg), at, NETNSA_MAX, NULL) < 0 || !at[NETNSA_NSID] ||
	    nla_len(at[NETNSA_NSID]) != 4)
		return -EBADMSG;
	*ret = (int32_t)nla_get_u32(at[NETNSA_NSID]);
	return *ret < 0 ? -ENOENT : 0;
}

/* A veth of ours, whose other end is this very link. Numbers alone would not say so: others have
 * the same ones, and what is below a macvlan is the host's own way out. */
static bool is_host_side(const struct net *net, const struct seen *s)
{
	struct seen here;
	int32_t nsid;

	/* Asked first: this is also what gives that namespace a number. */
	if (own_link(s->peer, &here))
		return false;
	return !strcmp(here.kind, "veth") && here.elsewhere && here.peer == s->own &&
	       own_nsid(net->ns.netns, &nsid) == 0 && nsid == here.nsid;
}

/* What leads nowhere by itself: its packets leave by another link of the same namespace, if at all.
 */
static bool is_inside(const struct seen *s)
{
	static const char *const kinds[] = {
		"veth",	  "dummy",  "bridge", "bond",	"vlan",	     "vrf",	 "ifb",
		"ipip",	  "sit",    "gre",    "gretap", "vti",	     "vti6",	 "ip6tnl",
		"ip6gre", "erspan", "vcan",   "nlmon",	"ip6gretap", "ip6erspan"
	};

	for (size_t i = 0; !s->elsewhere && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(s->kind, kinds[i]))
			return true;
	return false;
}

/* What leads out of the namespace. Judged one by one: who has NET_ADMIN there makes as many links
 * as it likes, which must not hide the others. */
struct looked {
	const struct net *net;
	struct seen at[NET_LINKS_MAX]; /* those with a side on this host */
	unsigned n;
	bool more;
	struct seen stray; /* the first without one; own 0: there is none */
};

static int on_link(struct nlmsghdr *h, void *arg)
{
	struct looked *l = arg;
	struct seen s;
	int r = seen_of(h, &s);

	if (r || s.own == LO_IFINDEX || is_inside(&s))
		return r;
	if (strcmp(s.kind, "veth") != 0 || !is_host_side(l->net, &s)) {
		if (!l->stray.own)
			l->stray = s;
	} else if (l->n == NET_LINKS_MAX) {
		l->more = true;
	} else {
		l->at[l->n++] = s;
	}
	return 0;
}

/* Still a veth of ours that leads elsewhere. The host's side alone is asked: its other end may have
 * been moved on from the job's namespace into one that the job made, and a list that changes while
 * it is read may lack it. */
static bool is_there(uint32_t ifindex)
{
	struct seen here;

	return own_link(ifindex, &here) == 0 && !strcmp(here.kind, "veth") && here.elsewhere;
}

/* ---- the wall ---- */

static bool has(const uint32_t *list, unsigned n, uint32_t one)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == one)
			return true;
	return false;
}

__attribute__((format(printf, 2, 3))) static void lacks(struct net_links *l, const char *fmt, ...)
{
	va_list ap;

	if (l->why[0])
		return; /* the first is enough */
	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
}

static void take_away(struct net *net, uint32_t ifindex, bool keep)
{
	struct kernel *k = net->job->d->kernel;

	/* The entry first: without it nothing passes. */
	if (kernel_link_del(k, ifindex) < 0 || (!keep && kernel_link_detach(k, ifindex) < 0))
		log_warn("job %s: the wall at interface %u cannot be taken away; nothing passes "
			 "there: tc filter del dev IF ingress",
			 net->job->name, ifindex);
}

/* The entry first again: the program lets nothing through without it. */
static int put_up(struct net *net, uint32_t ifindex)
{
	struct kernel *k = net->job->d->kernel;
	int r = kernel_link_set(k, ifindex, &net->links.told);

	if (r == 0)
		r = kernel_link_attach(k, ifindex);
	if (r == 0)
		r = kernel_link_stands(k, ifindex) == 1 ? 0 : -EBUSY;
	return r;
}

static const char *words_of(int r)
{
	switch (r) {
	case -EOPNOTSUPP:
		return "the kernel has no clsact or cls_bpf: load sch_ingress and cls_bpf";
	case -EBUSY:
		return "a program of others runs before egret's there (tcx)";
	case -EEXIST:
		return "another's filter has its place there";
	default:
		return strerror(-r);
	}
}

static struct egret_link value_of(const struct net *net)
{
	const struct direct *direct = net->job->direct;
	struct egret_link v = { .job = net->job->id, .policy = direct ? direct->id : 0 };
	const struct member *m;

	for (m = net->job->members; m; m = m->next)
		if (m->net == net)
			v.flags |= member_flags(m);
	return v;
}

/* A wall that was put up. It may never have been possible, too. */
static int look_at(struct net *net, uint32_t ifindex)
{
	int r = kernel_link_stands(net->job->d->kernel, ifindex);
	struct event e;

	if (r)
		return r < 0 ? r : 0;
	r = put_up(net, ifindex);
	if (r)
		return r;
	log_err("job %s: somebody took the wall at a link of it away; it is put up again",
		net->job->name);
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_WALL);
	event_text(&e, FIELD_MESSAGE, STR("the program at a link of the job was gone"));
	event_text(&e, FIELD_WALLS, STR("tc"));
	daemon_event(net->job->d, net->job->id, &e);
	return 0;
}

/* Those that have the wall: each keeps it until its link is gone. */
static void look_after(struct net *net)
{
	struct net_links *l = &net->links, was = *l;

	l->n = 0;
	for (unsigned i = 0; i < was.n; i++) {
		int r;

		if (!is_there(was.host[i])) {
			take_away(net, was.host[i], false);
			continue;
		}
		l->host[l->n++] = was.host[i];
		r = look_at(net, was.host[i]);
		if (r)
			lacks(l, "its links: %s", words_of(r));
	}
}

static struct net *net_by_link(const struct daemon *d, uint32_t ifindex)
{
	for (struct job *j = d->jobs; j; j = j->next)
		for (struct net *net = j->nets; net; net = net->next)
			if (has(net->links.host, net->links.n, ifindex))
				return net;
	return NULL;
}

/* A number that another namespace had is this one's now. */
static void yield(struct net *other, uint32_t ifindex)
{
	struct net_links *l = &other->links, was = *l;

	l->n = 0;
	for (unsigned i = 0; i < was.n; i++)
		if (was.host[i] != ifindex)
			l->host[l->n++] = was.host[i];
}

static void settle(struct net *net, const struct looked *looked)
{
	struct net_links *l = &net->links, was = *l;

	l->why[0] = 0;
	l->told = value_of(net);
	look_after(net);
	if (looked->stray.own)
		lacks(l, "its link %s%s%s%s has no side on this host", looked->stray.name,
		      looked->stray.kind[0] ? " (" : "", looked->stray.kind,
		      looked->stray.kind[0] ? ")" : "");
	if (looked->more)
		lacks(l, "its network namespace has more than %d links", NET_LINKS_MAX);
	for (unsigned i = 0; i < looked->n; i++) {
		const struct seen *s = &looked->at[i];
		struct net *other = net_by_link(net->job->d, s->peer);
		int r;

		if (other == net)
			continue;
		if (other)
			yield(other, s->peer);
		if (l->n == NET_LINKS_MAX) {
			lacks(l, "its network namespace has more than %d links", NET_LINKS_MAX);
			continue;
		}
		l->host[l->n++] = s->peer;
		r = put_up(net, s->peer);
		if (r)
			lacks(l, "its link %s: %s", s->name, words_of(r));
	}
	if (l->why[0] && strcmp(l->why, was.why) != 0)
		log_warn("job %s: %s: what no socket of the job sent is not stopped there",
			 net->job->name, l->why);
}

bool net_links_look(struct net *net)
{
	struct looked *looked;
	int group = RTNLGRP_LINK, r;
	bool news = false;

	if (net->shared || net->ns.route < 0)
		return false;
	/* The socket may be of an egretd that did not ask for news of links. */
	(void)!setsockopt(net->ns.route, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
			  sizeof(group));
	looked = mem_new(sizeof(*looked));
	looked->net = net;
	r = hostaddr_dump(net->ns.route, RTM_GETLINK, on_link, looked, &news);
	if (r == 0)
		settle(net, looked);
	else
		lacks(&net->links, "its links cannot be listed: %s", strerror(-r));
	free(looked);
	return news;
}

void net_links_tell(struct net *net)
{
	struct egret_link v = value_of(net);
	unsigned i;

	if (!net->links.n || !memcmp(&v, &net->links.told, sizeof(v)))
		return;
	net->links.told = v;
	for (i = 0; i < net->links.n; i++)
		if (kernel_link_set(net->job->d->kernel, net->links.host[i], &v) < 0)
			log_err("job %s: the kernel's table of links cannot be changed",
				net->job->name);
}

void net_links_drop(struct net *net, bool keep)
{
	for (unsigned i = 0; i < net->links.n; i++)
		take_away(net, net->links.host[i], keep);
	net->links.n = 0;
}

bool net_tc(const struct net *net, const char **why)
{
	*why = net->shared ? "others are in its network namespace" : net->links.why;
	return !**why;
}

int net_links_required(const struct net *net, char *why, size_t n)
{
	const struct config_list *require = &net->job->d->config.require;
	const char *lack;

	for (unsigned i = 0; i < require->n; i++) {
		if (!str_is(require->at[i], "tc") || net_tc(net, &lack))
			continue;
		snprintf(why, n, "the configuration requires the wall \"tc\", and %s", lack);
		return -EPERM;
	}
	return 0;
}

/* ---- looking after ---- */

/* Of a job that goes on: its link's other end is in a namespace that the job made. */
static bool is_moved(struct daemon *d, uint32_t ifindex, const struct egret_link *v)
{
	for (struct job *j = d->jobs; j; j = j->next)
		for (struct net *net = j->id == v->job ? j->nets : NULL; net; net = net->next) {
			if (net->shared || net->links.n == NET_LINKS_MAX || !is_there(ifindex))
				continue;
			net->links.host[net->links.n++] = ifindex;
			return put_up(net, ifindex) == 0;
		}
	return false;
}

static void sweep_one(void *owner, uint32_t ifindex, const struct egret_link *v)
{
	struct daemon *d = owner;

	if (net_by_link(d, ifindex) || is_moved(d, ifindex, v))
		return;
	if (kernel_link_del(d->kernel, ifindex) < 0 || kernel_link_detach(d->kernel, ifindex) < 0)
		log_warn("what an earlier egretd left at interface %u cannot be taken away",
			 ifindex);
}

static void on_again(struct timer *t)
{
	struct daemon *d = t->owner;

	for (struct job *j = d->jobs; j; j = j->next)
		for (struct net *net = j->nets; net; net = net->next)
			look_after(net);
	timer_set(d->loop, &d->net_links, AGAIN_MS, on_again, d);
}

void net_links_open(struct daemon *d)
{
	for (struct job *j = d->jobs; j; j = j->next)
		for (struct net *net = j->nets; net; net = net->next)
			net_look(net, false);
	if (kernel_link_each(d->kernel, sweep_one, d) < 0)
		log_warn("the kernel's table of links cannot be read: stale entries stay");
	timer_set(d->loop, &d->net_links, AGAIN_MS, on_again, d);
}

void net_links_close(struct daemon *d)
{
	timer_del(&d->net_links);
}
