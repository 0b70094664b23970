// SPDX-License-Identifier: Apache-2.0
/*
 * Which dials are explained: see dials.h. A dial's place in the list is made by whichever is read
 * first, the proxy's record or the kernel's event: both orders happen, for they come by two rings.
 */
#include "audit/dials.h"
#include "audit/audit.h"
#include "base/clock.h"
#include "event/rows.h"
#include <stdlib.h>

#define STRAY_MS 10000 /* egretd tells of all jobs at once when this process starts */
#define UNSEEN_MS                                                                      \
	600000 /* told, explained, and not seen by the kernel: it was refused, or lost \
		*/
#define REFS_MAX 4096u

struct place {
	uint8_t addr[16];
	bool has_addr;
	uint16_t port;
	uint16_t via_port; /* of a parent proxy: the kernel sees this one. 0: port */
	uint16_t n;
	char *host; /* n bytes */
};

struct dial {
	struct dial *next;
	uint64_t cookie;
	uint64_t at;	/* clock_now when it was read */
	uint64_t until; /* the ring must be read so far before it is judged; 0: not known yet */
	bool told, seen, followed;
	bool early; /* made before this process started */
	struct place to;
};

struct dial_ref {
	struct dial_ref *next;
	unsigned count;
	struct place to;
};

struct dial_stray {
	struct egret_record r;
	uint64_t at;
};

/* The host stays in the event. */
static void place_of(const struct event *e, struct place *ret, uint64_t *ret_cookie)
{
	struct event_item item;
	size_t at = 0;

	*ret = (struct place){ 0 };
	*ret_cookie = 0;
	while (event_walk(e, &at, &item)) {
		if (item.field == FIELD_DEST_HOST) {
			ret->host = (char *)item.p;
			ret->n = item.n;
		} else if (item.field == FIELD_DEST_IP) {
			memcpy(ret->addr, item.p, 16);
			ret->has_addr = true;
		} else if (item.field == FIELD_DEST_PORT) {
			ret->port = (uint16_t)load_le64(item.p);
		} else if (item.field == FIELD_DEST_VIA_PORT) {
			ret->via_port = (uint16_t)load_le64(item.p);
		} else if (item.field == FIELD_SOCKET) {
			*ret_cookie = load_le64(item.p);
		}
	}
}

static void place_keep(struct place *to, const struct place *from)
{
	char *host = from->n ? mem_new(from->n) : NULL;

	free(to->host);
	*to = *from;
	to->host = host;
	if (host)
		memcpy(host, from->host, from->n);
}

/* A name where there is one, else the address. */
static bool same(const struct place *a, const struct place *b)
{
	if (a->port != b->port || a->n != b->n)
		return false;
	if (a->n)
		return memcmp(a->host, b->host, a->n) == 0;
	return a->has_addr && b->has_addr && !memcmp(a->addr, b->addr, 16);
}

/* ---- lines and alerts ---- */

static void where(struct event *e, const struct dial *d)
{
	if (d->to.n)
		event_text(e, FIELD_DEST_HOST, (struct str){ d->to.host, d->to.n });
	event_addr(e, FIELD_DEST_IP, d->to.addr);
	event_num(e, FIELD_DEST_PORT, d->to.port);
	if (d->to.via_port)
		event_num(e, FIELD_DEST_VIA_PORT, d->to.via_port);
}

static void show(struct audit *a, struct audit_job *j, const struct dial *d, enum reason r,
		 const char *text)
{
	struct event e;

	event_begin(&e, EVENT_DIAL, VERDICT_NONE, r);
	if (text)
		event_text(&e, FIELD_MESSAGE, str_of(text));
	where(&e, d);
	own_add(a, &e, j);
}

static void alert(struct audit *a, struct audit_job *j, const struct dial *d, const char *text)
{
	struct event e;

	if (d->early) {
		show(a, j, d, REASON_NONE, "made before this audit process started");
		return;
	}
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_UNEXPLAINED);
	event_text(&e, FIELD_MESSAGE, str_of(text));
	where(&e, d);
	own_add(a, &e, j);
}

/* ---- the list ---- */

static void drop(struct dials *l, struct dial *d)
{
	struct dial **at = &l->first;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	if (l->last == &d->next)
		l->last = at;
	l->n--;
	free(d->to.host);
	free(d);
}

static struct dial *add(struct audit_job *j, uint64_t cookie, const struct place *p)
{
	struct dials *l = &j->dials;
	struct dial *d = mem_new(sizeof(*d));

	if (!l->last)
		l->last = &l->first;
	if (l->n >= DIALS_MAX) {
		if (l->first->seen || !l->first->followed)
			alert(j->a, j, l->first,
			      "more dials of this proxy wait to be explained than are kept");
		drop(l, l->first);
	}
	d->cookie = cookie;
	d->at = clock_now();
	place_keep(&d->to, p);
	*l->last = d;
	l->last = &d->next;
	l->n++;
	return d;
}

/* The one with this cookie that waits for the other side. */
static struct dial *find(struct dials *l, uint64_t cookie, bool told)
{
	struct dial *d = l->first;

	while (d && (d->cookie != cookie || d->told != told || d->seen == told))
		d = d->next;
	return d;
}

static void refs_free(struct dials *l)
{
	while (l->refs) {
		struct dial_ref *r = l->refs;

		l->refs = r->next;
		free(r->to.host);
		free(r);
	}
	l->nrefs = 0;
}

void dials_free(struct dials *l)
{
	while (l->first)
		drop(l, l->first);
	refs_free(l);
}

/* ---- requests ---- */

static struct dial_ref **ref_find(struct dials *l, const struct place *p)
{
	struct dial_ref **at = &l->refs;

	while (*at && !same(&(*at)->to, p))
		at = &(*at)->next;
	return at;
}

static void ref_begin(struct dials *l, const struct place *p)
{
	struct dial_ref *r = *ref_find(l, p);

	if (!r) {
		if (l->nrefs >= REFS_MAX)
			return; /* what follows is an alert, not silence */
		r = mem_new(sizeof(*r));
		place_keep(&r->to, p);
		r->next = l->refs;
		l->refs = r;
		l->nrefs++;
	}
	r->count++;
}

static void ref_end(struct dials *l, const struct place *p)
{
	struct dial_ref **at = ref_find(l, p), *r = *at;

	if (!r || --r->count)
		return;
	*at = r->next;
	l->nrefs--;
	free(r->to.host);
	free(r);
}

/* All that was dialled for it by now: one that names the address itself needs no line. */
static void follow(struct audit_job *j, const struct place *p)
{
	struct dial *next;

	for (struct dial *d = j->dials.first; d; d = next) {
		next = d->next;
		if (!d->told || d->followed || !same(&d->to, p))
			continue;
		d->followed = true;
		if (!p->has_addr || memcmp(d->to.addr, p->addr, 16))
			show(j->a, j, d, REASON_NONE, NULL);
		if (d->seen)
			drop(&j->dials, d);
	}
}

/* A new proxy, or the end of the job: the records of what was dialled last may never come. */
static void give_up(struct audit_job *j, const char *text)
{
	struct dial *next;

	for (struct dial *d = j->dials.first; d; d = next) {
		next = d->next;
		if (!d->told || d->followed)
			continue;
		d->followed = true;
		show(j->a, j, d, REASON_SHUTDOWN, text);
		if (d->seen)
			drop(&j->dials, d);
	}
	refs_free(&j->dials);
}

/* ---- both sides ---- */

static void hold_against(struct audit_job *j, const struct dial *d, const struct place *told,
			 const uint8_t seen[16], uint16_t seen_port)
{
	struct dial kernels = { .early = d->early, .to = { .port = seen_port } };

	if (!memcmp(told->addr, seen, 16) &&
	    seen_port == (told->via_port ? told->via_port : told->port))
		return;
	memcpy(kernels.to.addr, seen, 16);
	alert(j->a, j, &kernels, "the proxy told another address than the kernel saw it dial");
}

static bool on_told(struct audit_job *j, const struct event *e, uint64_t cookie,
		    const struct place *p)
{
	struct dials *l = &j->dials;
	struct dial *d = find(l, cookie, false);

	if (d) {
		hold_against(j, d, p, d->to.addr, d->to.port);
		place_keep(&d->to, p);
		d->until = 0;
	} else {
		d = add(j, cookie, p);
	}
	d->told = true;
	if (event_verdict_of(e) != VERDICT_ALLOW)
		return false;
	/* Its record came before, unless an earlier audit process read that. */
	d->followed = true;
	if (!*ref_find(l, p) && clock_now() - j->a->started_ms > l->bound_ms)
		alert(j->a, j, d, "the proxy dialled for a request that it had not recorded");
	if (d->seen)
		drop(l, d);
	/* Of an address without a name the request's own line says it. */
	return p->n;
}

bool dials_record(struct audit_job *j, const struct event *e)
{
	enum event_verdict v = event_verdict_of(e);
	struct place p;
	uint64_t cookie;

	switch (event_kind_of(e)) {
	case EVENT_DIAL:
		place_of(e, &p, &cookie);
		if (event_reason_of(e) == REASON_NONE)
			return on_told(j, e, cookie, &p);
		if (event_reason_of(e) == REASON_SHUTDOWN) {
			give_up(j, "the proxy ended before the request was recorded");
			return false;
		}
		follow(j, &p);
		return true;
	case EVENT_HTTP_REQUEST:
	case EVENT_CONNECT:
	case EVENT_TLS_PASSTHROUGH:
		place_of(e, &p, &cookie);
		follow(j, &p);
		if (v == VERDICT_ALLOW || v == VERDICT_WOULD_DENY)
			ref_begin(&j->dials, &p);
		return true;
	case EVENT_HTTP_RESPONSE:
	case EVENT_CONNECT_END:
		place_of(e, &p, &cookie);
		follow(j, &p);
		ref_end(&j->dials, &p);
		return true;
	default:
		return true;
	}
}

static void on_seen(struct audit_job *j, const struct egret_record *r)
{
	struct place p = { .has_addr = true, .port = r->port };
	struct dial *d = find(&j->dials, r->cookie, true);

	memcpy(p.addr, r->addr, 16);
	if (d) {
		hold_against(j, d, &d->to, p.addr, p.port);
		d->seen = true;
		if (d->followed)
			drop(&j->dials, d);
		return;
	}
	d = add(j, r->cookie, &p);
	d->seen = true;
	d->early = r->time_ns / 1000000 < j->a->started_ms;
	/* It was told before it was made: so far the ring must hold it. */
	d->until = j->ring ? ring_written(j->ring) : 0;
}

static struct audit_job *job_of(struct audit *a, uint64_t cgroup)
{
	for (struct audit_job *j = a->jobs; j; j = j->next)
		if (cgroup && j->dials.cgroup == cgroup)
			return j;
	return NULL;
}

void dials_kernel(struct audit *a, const struct egret_record *r)
{
	struct audit_job *j;

	if (r->flags & EGRET_REC_DNS)
		return; /* a nameserver of the configuration: the kernel says so */
	j = job_of(a, r->cgroup);
	if (j) {
		on_seen(j, r);
		return;
	}
	if (!a->strays)
		a->strays = mem_new(DIALS_STRAYS_MAX * sizeof(*a->strays));
	if (a->nstrays == DIALS_STRAYS_MAX) {
		own_lost(a, "dials", 1, ++a->strays_lost);
		return;
	}
	a->strays[a->nstrays++] = (struct dial_stray){ *r, clock_now() };
}

void dials_strays_free(struct audit *a)
{
	free(a->strays);
	a->strays = NULL;
}

/* ---- what is due ---- */

static bool read_so_far(const struct audit_job *j, uint64_t until)
{
	return !j->ring || !j->wake.loop || ring_taken(j->ring) >= until;
}

static void look_at(struct audit_job *j, struct dial *d, uint64_t now)
{
	struct dials *l = &j->dials;

	if (!d->told) {
		if (read_so_far(j, d->until)) {
			alert(j->a, j, d, "the proxy did not tell of this dial");
			drop(l, d);
		}
	} else if (!d->followed && now - d->at > l->bound_ms) {
		if (!d->until && j->ring) {
			d->until = ring_written(j->ring);
		} else if (read_so_far(j, d->until)) {
			if (d->seen)
				alert(j->a, j, d, "no request followed this dial");
			else
				show(j->a, j, d, REASON_NONE, "told, and not seen by the kernel");
			drop(l, d);
		}
	} else if (d->followed && now - d->at > UNSEEN_MS) {
		drop(l, d);
	}
}

void dials_look(struct audit *a)
{
	uint64_t now = clock_now();
	struct dial *next;
	unsigned kept = 0;

	for (unsigned i = 0; i < a->nstrays; i++) {
		struct dial_stray *s = &a->strays[i];
		struct audit_job *j = job_of(a, s->r.cgroup);

		if (j) {
			on_seen(j, &s->r);
		} else if (now - s->at < STRAY_MS) {
			a->strays[kept++] = *s;
		} else {
			struct dial d = { .early = s->r.time_ns / 1000000 < a->started_ms,
					  .to = { .port = s->r.port } };

			memcpy(d.to.addr, s->r.addr, 16);
			alert(a, NULL, &d, "a proxy of no job that is known dialled");
		}
	}
	a->nstrays = kept;
	for (struct audit_job *j = a->jobs; j; j = j->next) {
		for (struct dial *d = j->dials.first; d; d = next) {
			next = d->next;
			look_at(j, d, now);
		}
	}
}

void dials_over(struct audit_job *j)
{
	give_up(j, "the job ended before the request was recorded");
}
