/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to an engine's resolver: see services.h. Trusts the list for what it says; hostile
 * bytes: the engine's answers, since a container's root can sit on that address. Each answer must
 * fit its question to the letter and name an address that a container can have. An answer that does
 * not fit is dropped and the question waits on: it may be somebody else's guess.
 */
#include "proxy/services.h"

#include "proxy/address.h"
#include "proxy/names.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 2000
#define BATCH 64
#define ANSWER_MAX 1500

struct engine {
	struct engine *next;
	struct services *s;
	struct watch watch;
	int fd;
	uint64_t netns;
};

struct question {
	struct engine *engine; /* NULL: free */
	struct timer late;
	services_fn fn;
	void *owner;
	size_t n;
	uint8_t bytes[DNS_QUESTION_MAX];
};

struct services {
	struct proxy *px;
	struct engine *engines;
	char *names[SERVICES_MAX];   /* canonical */
	char *spelled[SERVICES_MAX]; /* as listed: older engines tell large letters from small */
	unsigned nnames;
	struct question questions[SERVICE_QUESTIONS_MAX];
};

struct services *services_new(struct proxy *px)
{
	struct services *s = mem_new(sizeof(*s));

	s->px = px;
	return s;
}

static void drop_names(struct services *s)
{
	while (s->nnames) {
		free(s->names[--s->nnames]);
		free(s->spelled[s->nnames]);
	}
}

void services_free(struct services *s)
{
	if (!s)
		return;
	while (s->engines)
		services_leave(s, s->engines->netns);
	drop_names(s);
	free(s);
}

int services_set(struct services *s, const struct str *names, unsigned n, unsigned *ret_left_out)
{
	char text[HOST_MAX + 1];
	uint8_t wire[DNS_QUESTION_MAX];

	if (n > SERVICES_MAX)
		return -E2BIG;
	drop_names(s);
	for (unsigned i = 0; i < n; i++) {
		struct str canonical = { text, 0 };

		if (host_canonical(names[i], text, &canonical.n) ||
		    !dns_ask(wire, 0, canonical, DNS_A))
			continue;
		s->spelled[s->nnames] = mem_dup(names[i].n == canonical.n ? names[i] : canonical);
		s->names[s->nnames++] = mem_dup(canonical);
	}
	*ret_left_out = n - s->nnames;
	return 0;
}

static struct engine *engine_of(const struct services *s, uint64_t netns)
{
	struct engine *e = s->engines;

	while (e && e->netns != netns)
		e = e->next;
	return e;
}

static unsigned listed(const struct services *s, struct str name)
{
	unsigned i = 0;

	while (i < s->nnames && !str_is(name, s->names[i]))
		i++;
	return i;
}

bool services_known(const struct services *s, uint64_t netns, struct str name)
{
	return listed(s, name) < s->nnames && engine_of(s, netns) != NULL;
}

static void finish(struct question *q, int err, const struct dns_found *found)
{
	timer_del(&q->late);
	q->engine = NULL;
	q->fn(q->owner, err, found);
}

static void on_late(struct timer *t)
{
	finish(t->owner, -ETIMEDOUT, NULL);
}

static void fail_all(struct engine *e, int err)
{
	for (unsigned i = 0; i < SERVICE_QUESTIONS_MAX; i++)
		if (e->s->questions[i].engine == e)
			finish(&e->s->questions[i], err, NULL);
}

/* A container has an address of a private or public network, and none that means something else. */
static bool may_be_service(const struct services *s, const uint8_t addr[16])
{
	switch (address_class(addr)) {
	case ADDRESS_PUBLIC:
	case ADDRESS_PRIVATE:
	case ADDRESS_SHARED:
	case ADDRESS_RESERVED: /* documentation, benchmarking: used for engines' networks */
		return !names_owns(s->px->names, addr);
	case ADDRESS_UNSPECIFIED:
	case ADDRESS_LOOPBACK:
	case ADDRESS_LINK_LOCAL:
	case ADDRESS_METADATA:
	case ADDRESS_MULTICAST:
	case ADDRESS_SYNTHETIC:
	case ADDRESS_HOST:
		break;
	}
	return false;
}

static void answered(struct engine *e, const uint8_t *p, size_t n)
{
	struct services *s = e->s;
	struct dns_found found;

	for (unsigned i = 0; i < SERVICE_QUESTIONS_MAX; i++) {
		struct question *q = &s->questions[i];

		if (q->engine != e || n < 2 || memcmp(p, q->bytes, 2))
			continue;
		if (dns_found(p, n, q->bytes, q->n, &found))
			continue;
		for (unsigned k = 0; k < found.n; k++) {
			if (may_be_service(s, found.addr[k]))
				continue;
			finish(q, -EACCES, NULL);
			return;
		}
		finish(q, 0, &found);
		return;
	}
}

static void on_answer(struct watch *w, uint32_t events)
{
	struct engine *e = w->owner;
	uint8_t in[ANSWER_MAX];
	ssize_t n;

	for (int i = 0; i < BATCH; i++) {
		n = recv(w->fd, in, sizeof(in), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == ECONNREFUSED)
			fail_all(e, -ECONNREFUSED); /* nobody listens there (any more) */
		else if (n < 0)
			return;
		else if ((size_t)n <= sizeof(in))
			answered(e, in, (size_t)n);
	}
}

int services_engine(struct services *s, uint64_t netns, int fd)
{
	int flags = fcntl(fd, F_GETFL), r;
	struct engine *e;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	e = mem_new(sizeof(*e));
	e->s = s;
	e->fd = fd;
	e->netns = netns;
	r = watch_add(s->px->loop, &e->watch, fd, EPOLLIN, on_answer, e);
	if (r) {
		free(e);
		return r;
	}
	e->next = s->engines;
	s->engines = e;
	return 0;
}

void services_leave(struct services *s, uint64_t netns)
{
	struct engine **at = &s->engines, *e;

	while (*at && (*at)->netns != netns)
		at = &(*at)->next;
	e = *at;
	if (!e)
		return;
	*at = e->next;
	fail_all(e, -ECANCELED);
	watch_del(&e->watch);
	close(e->fd);
	free(e);
}

/* An id that no other question of ours has. */
static int fresh_id(const struct services *s, uint16_t *ret)
{
	uint8_t b[2];

	for (int tries = 0; tries < 100; tries++) {
		bool taken = false;

		if (RAND_bytes(b, sizeof(b)) != 1)
			return -EIO;
		for (unsigned i = 0; i < SERVICE_QUESTIONS_MAX && !taken; i++)
			taken = s->questions[i].engine && !memcmp(s->questions[i].bytes, b, 2);
		if (taken)
			continue;
		*ret = (uint16_t)(b[0] << 8 | b[1]);
		return 0;
	}
	return -EIO;
}

int services_ask(struct services *s, uint64_t netns, struct str name, uint16_t type, services_fn fn,
		 void *owner)
{
	struct question *q = s->questions;
	struct engine *e = engine_of(s, netns);
	unsigned which = listed(s, name);
	uint16_t id;
	int r;

	while (q < s->questions + SERVICE_QUESTIONS_MAX && q->engine)
		q++;
	if (q == s->questions + SERVICE_QUESTIONS_MAX)
		return -EBUSY;
	r = e && which < s->nnames ? fresh_id(s, &id) : -ENOENT;
	if (r)
		return r;
	q->n = dns_ask(q->bytes, id, str_of(s->spelled[which]), type);
	if (!q->n)
		return -EINVAL;
	/* A refusal of an earlier question may be waiting on the socket: it is not this one's. */
	if (send(e->fd, q->bytes, q->n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    (errno != ECONNREFUSED || send(e->fd, q->bytes, q->n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0))
		return -errno;
	q->engine = e;
	q->fn = fn;
	q->owner = owner;
	timer_set(s->px->loop, &q->late, WAIT_MS, on_late, q);
	return 0;
}
