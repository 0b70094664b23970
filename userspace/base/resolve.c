// SPDX-License-Identifier: Apache-2.0
/*
 * Resolving: see resolve.h. The only file that includes c-ares. c-ares is given every setting, so
 * that it reads no resolv.conf, hosts file or host name; it asks for a fresh socket per query set
 * and its sockets live in our loop. Answers are c-ares's to parse; what comes out is at most
 * RESOLVE_MAX addresses.
 */
#include "base/resolve.h"

#include "base/resolve_cache.h"
#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define SOCKETS_MAX 32
#define TRY_MS 2000
#define TRIES 3
#define OTHER_MS 50 /* RFC 8305, 3: so long the other family's answer may keep one waiting */

struct socket {
	struct watch watch;
	int fd; /* -1: free */
};

struct resolve {
	struct loop *loop;
	ares_channel channel;
	struct socket sockets[SOCKETS_MAX];
	struct timer timer;
	struct resolve_cache *cache;
	uint64_t ms;
	bool servers;
};

/* The addresses of one family. */
struct half {
	struct resolve_ask *ask;
	int family;
	bool pending; /* c-ares will still call */
	int err;
	unsigned n;
	uint8_t addrs[RESOLVE_MAX][16];
};

struct resolve_ask {
	struct resolve *resolve;
	struct timer timer; /* the deadline, then the delivery */
	resolve_fn fn;
	void *owner;
	bool orphan;	     /* nobody waits any more */
	int err;	     /* of an ask that c-ares never saw */
	uint32_t ttl;	     /* the least of all that was answered */
	struct half half[2]; /* what the cache knew is all in the first */
	char name[260];
};

/* Made before the jail, owned by the one resolver of this process. */
static ares_channel early;
static struct resolve *current;

static void arm(struct resolve *r);

static void on_socket(struct watch *w, uint32_t events)
{
	struct resolve *r = w->owner;
	bool in = events & (EPOLLIN | EPOLLHUP | EPOLLERR), out = events & (EPOLLOUT | EPOLLERR);

	ares_process_fd(r->channel, in ? w->fd : ARES_SOCKET_BAD, out ? w->fd : ARES_SOCKET_BAD);
	arm(r);
}

static void on_time(struct timer *t)
{
	struct resolve *r = t->owner;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(r);
}

static void arm(struct resolve *r)
{
	struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

	if (next)
		timer_set(r->loop, &r->timer,
			  (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1,
			  on_time, r);
	else
		timer_del(&r->timer);
}

/* c-ares says what it waits for on a socket of its own; neither: it is about to close it. */
static void on_state(void *data, ares_socket_t fd, int readable, int writable)
{
	uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
	struct resolve *r = current;
	struct socket *s = NULL, *spare = NULL;

	if (!r)
		return;
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		if (r->sockets[i].fd == fd)
			s = &r->sockets[i];
		else if (r->sockets[i].fd < 0)
			spare = &r->sockets[i];
	}
	if (!events) {
		if (s) {
			watch_del(&s->watch);
			s->fd = -1;
		}
		return;
	}
	if (s) {
		watch_set(&s->watch, events);
		return;
	}
	/* Without a place the query on it runs into its timeout. */
	if (spare && !watch_add(r->loop, &spare->watch, fd, events, on_socket, r))
		spare->fd = fd;
}

int resolve_early(void)
{
	struct in_addr nobody = { .s_addr = htonl(INADDR_LOOPBACK) };
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = TRY_MS,
		.tries = TRIES,
		.servers = &nobody, /* replaced by resolve_new */
		.nservers = 1,
		.lookups = (char *)"b",
		.sock_state_cb = on_state,
	};
	const int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
			  ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
			  ARES_OPT_SOCK_STATE_CB | ARES_OPT_SORTLIST;

	if (early)
		return 0;
	if (ares_library_init(ARES_LIB_INIT_ALL) || ares_init_options(&early, &o, given))
		return -EIO;
	return 0;
}

int resolve_new(struct loop *l, const struct str *nameservers, unsigned n, uint64_t ms,
		struct resolve **ret)
{
	struct resolve *r;
	struct buf csv;
	int err = 0;

	if (resolve_early())
		return -EIO;
	buf_init(&csv, 4096);
	for (unsigned i = 0; i < n && !err; i++)
		err = buf_addf(&csv, "%s%.*s", i ? "," : "", STR_ARG(nameservers[i]));
	if (!err)
		err = buf_add(&csv, "", 1);
	if (!err && n && ares_set_servers_ports_csv(early, csv.p))
		err = -EINVAL;
	buf_done(&csv);
	if (err)
		return err;
	r = mem_new(sizeof(*r));
	r->loop = l;
	r->ms = ms;
	r->servers = n > 0;
	r->cache = resolve_cache_new();
	r->channel = early;
	early = NULL;
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		r->sockets[i].fd = -1;
	current = r;
	*ret = r;
	return 0;
}

struct resolve *resolve_free(struct resolve *r)
{
	if (!r)
		return NULL;
	ares_destroy(r->channel); /* calls every pending ask with ARES_EDESTRUCTION */
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		watch_del(&r->sockets[i].watch);
	timer_del(&r->timer);
	resolve_cache_free(r->cache);
	current = NULL;
	free(r);
	return NULL;
}

static bool pending(const struct resolve_ask *a)
{
	return a->half[0].pending || a->half[1].pending;
}

/* c-ares still holds it: then the last answer frees it. */
static void ask_done(struct resolve_ask *a)
{
	if (pending(a))
		a->orphan = true;
	else
		free(a);
}

static unsigned merge(const struct half h[2], uint8_t ret[RESOLVE_MAX][16])
{
	unsigned n = 0;

	for (unsigned i = 0; i < RESOLVE_MAX; i++) {
		for (unsigned k = 0; k < 2; k++)
			if (i < h[k].n && n < RESOLVE_MAX)
				memcpy(ret[n++], h[k].addrs[i], 16);
	}
	return n;
}

/* What is known by now. */
static void deliver(struct timer *t)
{
	struct resolve_ask *a = t->owner;
	const struct half *h = a->half;
	uint8_t both[RESOLVE_MAX][16];
	unsigned n = merge(h, both);
	int err = 0;

	if (!n && pending(a))
		err = -ETIMEDOUT;
	else if (!n)
		err = a->err ? a->err : h[h[0].err == -ENOENT].err;
	a->fn(a->owner, err, n ? (const uint8_t(*)[16])both : NULL, n);
	ask_done(a);
}

static void shorten(uint32_t *ttl, int seconds)
{
	uint32_t s = seconds < 0 ? 0 : (uint32_t)seconds;

	if (s < *ttl)
		*ttl = s;
}

/* For the next who asks, when neither family's answer is missing. */
static void keep(const struct resolve_ask *a)
{
	uint8_t both[RESOLVE_MAX][16];

	for (unsigned k = 0; k < 2; k++)
		if (a->half[k].pending || (a->half[k].err && a->half[k].err != -ENOENT))
			return;
	resolve_cache_put(a->resolve->cache, str_of(a->name), (const uint8_t(*)[16])both,
			  merge(a->half, both), a->ttl);
}

static void collect(struct half *h, const struct ares_addrinfo *info)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	for (const struct ares_addrinfo_node *n = info->nodes; n && h->n < RESOLVE_MAX;
	     n = n->ai_next) {
		uint8_t *to = h->addrs[h->n];

		if (n->ai_family != h->family)
			continue;
		if (h->family == AF_INET) {
			memcpy(to, mapped, 12);
			memcpy(to + 12,
			       &((const struct sockaddr_in *)(const void *)n->ai_addr)->sin_addr,
			       4);
		} else {
			memcpy(to,
			       &((const struct sockaddr_in6 *)(const void *)n->ai_addr)->sin6_addr,
			       16);
		}
		shorten(&h->ask->ttl, n->ai_ttl);
		h->n++;
	}
	for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
		shorten(&h->ask->ttl, c->ttl);
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct half *h = arg;
	struct resolve_ask *a = h->ask;

	h->pending = false;
	if (status == ARES_EDESTRUCTION) {
		ares_freeaddrinfo(info);
		timer_del(&a->timer);
		a->orphan = true;
		ask_done(a);
		return;
	}
	if (status == ARES_SUCCESS && info)
		collect(h, info);
	ares_freeaddrinfo(info);
	h->err = h->n			   ? 0
		 : status == ARES_ETIMEOUT ? -ETIMEDOUT
		 : status == ARES_SUCCESS || status == ARES_ENOTFOUND || status == ARES_ENODATA ||
				 status == ARES_EBADNAME
			 ? -ENOENT
			 : -EIO;
	keep(a);
	if (a->orphan)
		ask_done(a);
	else if (!pending(a))
		timer_set(a->resolve->loop, &a->timer, 0, deliver, a);
	else if (h->n)
		timer_set(a->resolve->loop, &a->timer, OTHER_MS, deliver, a);
}

static void ask_half(struct resolve_ask *a, struct half *h, int family, const char *name)
{
	struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT, .ai_family = family };

	h->ask = a;
	h->family = family;
	ares_getaddrinfo(a->resolve->channel, name, NULL, &hints, answered, h);
}

struct resolve_ask *resolve_get(struct resolve *r, struct str name, resolve_fn fn, void *owner)
{
	struct resolve_ask *a = mem_new(sizeof(*a));

	a->resolve = r;
	a->ttl = UINT32_MAX;
	a->fn = fn;
	a->owner = owner;
	if (!r->servers || name.n >= sizeof(a->name) - 1) {
		a->err = -EIO;
		timer_set(r->loop, &a->timer, 0, deliver, a);
		return a;
	}
	memcpy(a->name, name.p, name.n); /* and a NUL: it is new */
	a->half[0].n = resolve_cache_get(r->cache, name, a->half[0].addrs);
	if (a->half[0].n) {
		timer_set(r->loop, &a->timer, 0, deliver, a);
		return a;
	}
	/* Before the first is asked: c-ares may answer from inside. */
	a->half[0].pending = a->half[1].pending = true;
	timer_set(r->loop, &a->timer, r->ms, deliver, a);
	ask_half(a, &a->half[0], AF_INET6, a->name);
	ask_half(a, &a->half[1], AF_INET, a->name);
	arm(r);
	return a;
}

void resolve_cancel(struct resolve_ask *a)
{
	timer_del(&a->timer);
	ask_done(a);
}
