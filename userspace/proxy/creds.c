/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's client: asks once a credential, by its index, over the socket that egretd made for
 * this job; keeps the value in locked memory until it expires; from two thirds of its life on asks
 * for the next one beside the requests that still go with it. Called by the session's exchange.
 * Trusts the broker for values, and still checks that each can stand in a header and be searched
 * for in answers.
 */
#include "proxy/creds.h"
#include "proxy/uses.h"

#include "base/clock.h"
#include "base/msg.h"
#include "base/proto.h"
#include "proxy/creds_fit.h"
#include "proxy/derived.h"
#include "proxy/kept.h"
#include "proxy/scrubs.h"
#include "sigv4/sigv4.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MS 20000u /* the broker's own deadlines towards providers are shorter */

#define LEASES_MAX 64 /* for one host, and as many derived ones */

struct creds_want {
	struct creds_want *next, **back;
	struct entry *entry;
	struct timer timer;
	creds_fn fn;
	void *owner;
};

#define SCOPES_MAX 32 /* of one credential; the oldest goes */

/* One a credential; and behind it one a scope of a credential that signs. */
struct entry {
	struct credentials *creds;
	struct entry *more;
	int index;
	char scope[SIGV4_SCOPE_MAX + 1];
	struct lease lease;
	struct formed formed;
	struct kept kept; /* what the lease was; of one that signs its session tokens */
	bool have, asked;
	uint64_t renew_us; /* wall: from then on the next one is asked for; 0: never */
	uint32_t ask_id;
	struct creds_want *wants;
	char fault[256];
};

struct credentials {
	struct proxy *px;
	struct watch watch;
	struct uses *uses;
	bool leased; /* anything, ever */
	struct derived *derived;
	unsigned derived_version; /* that the scrubs were made of */
	struct scrubs scrubs;
	uint32_t next_id;
	int n;
	struct entry entries[];
};

int creds_new(struct proxy *px, struct pack creds, struct credentials **ret)
{
	struct credentials *c = mem_new(sizeof(*c) + creds.count * sizeof(c->entries[0]));

	c->px = px;
	c->derived = derived_new();
	c->n = (int)creds.count;
	for (int i = 0; i < c->n; i++) {
		c->entries[i].creds = c;
		c->entries[i].index = i;
		c->entries[i].lease.formed = &c->entries[i].formed;
		if (credential_open(pack_at(&creds, (uint32_t)i), &c->entries[i].lease.cred) < 0) {
			derived_free(c->derived);
			free(c);
			return -EBADMSG;
		}
	}
	c->uses = uses_new(px, c->n);
	*ret = c;
	return 0;
}

/* All there are: start with NULL. */
static struct entry *each_entry(struct credentials *c, const struct entry *e)
{
	if (e && e->more)
		return e->more;
	if (e && e->index + 1 == c->n)
		return NULL;
	return c->n ? &c->entries[e ? e->index + 1 : 0] : NULL;
}

static void entry_done(struct entry *e)
{
	while (e->wants)
		creds_cancel(e->wants);
	secret_done(&e->lease.value);
	secret_done(&e->lease.access_key);
	secret_done(&e->lease.session);
	formed_done(&e->formed);
	client_cert_free(e->lease.cert);
	kept_done(&e->kept);
}

/* The one of this scope, or NULL. */
static struct entry *find_entry(const struct credentials *c, int index, struct str scope)
{
	struct entry *e = (struct entry *)&c->entries[index];

	while (e && !str_is(scope, e->scope))
		e = e->more;
	return e;
}

static struct entry *scope_entry(struct credentials *c, int index, struct str scope)
{
	struct entry *e = find_entry(c, index, scope), *base = &c->entries[index], **at;
	unsigned n = 0;

	if (e)
		return e;
	e = mem_new(sizeof(*e));
	e->creds = c;
	e->index = index;
	e->lease.cred = base->lease.cred;
	e->lease.formed = &e->formed;
	snprintf(e->scope, sizeof(e->scope), "%.*s", STR_ARG(scope));
	e->more = base->more;
	base->more = e;
	for (at = &base->more; *at;) {
		if (++n <= SCOPES_MAX || (*at)->wants || (*at)->asked) {
			at = &(*at)->more;
			continue;
		}
		e = *at;
		*at = e->more;
		entry_done(e);
		free(e);
	}
	return base->more;
}

void creds_free(struct credentials *c)
{
	if (!c)
		return;
	scrubs_forget(&c->scrubs);
	uses_free(c->uses);
	watch_del(&c->watch);
	for (int i = 0; i < c->n; i++) {
		struct entry *e = c->entries[i].more, *next;

		for (; e; e = next) {
			next = e->more;
			entry_done(e);
			free(e);
		}
		entry_done(&c->entries[i]);
	}
	derived_free(c->derived);
	free(c);
}

void creds_adopt(struct credentials *c, struct credentials *before)
{
	int *to;

	if (!c || !before)
		return;
	to = mem_new((size_t)before->n * sizeof(*to) + 1);
	for (int i = 0; i < before->n; i++) {
		struct entry *e = &before->entries[i];
		int k = 0;

		while (k < c->n && !credential_same(&e->lease.cred, &c->entries[k].lease.cred))
			k++;
		to[i] = k < c->n ? k : -1;
		if (to[i] < 0)
			continue;
		kept_move(&c->entries[k].kept, &e->kept);
		if (e->have && e->lease.value.n)
			kept_add(&c->entries[k].kept, &e->lease.value, clock_now() + KEPT_MS);
	}
	derived_move(c->derived, before->derived, to);
	c->leased |= before->leased;
	free(to);
}

bool creds_opaque(const struct credentials *c, struct str host)
{
	for (int i = 0; i < c->n; i++) {
		const struct entry *e = &c->entries[i];
		struct str kept;

		if ((e->have || (credential_provider(&e->lease.cred) != PROVIDER_AWS &&
				 kept_list(&e->kept, &kept, 1))) &&
		    credential_host(&e->lease.cred, host) &&
		    !credential_opaque_pass(&e->lease.cred))
			return false;
	}
	return true;
}

struct derived *creds_derived(const struct credentials *c)
{
	return c->derived;
}

int creds_count(const struct credentials *c)
{
	return c ? c->n : 0;
}

struct credential creds_at(const struct credentials *c, int index)
{
	return c->entries[index].lease.cred;
}

int creds_find(const struct credentials *c, struct str name)
{
	for (int i = 0; i < creds_count(c); i++) {
		if (str_eq(credential_name(&c->entries[i].lease.cred), name))
			return i;
	}
	return -1;
}

static bool good(const struct entry *e)
{
	return e->have && (!e->lease.expires_us || e->lease.expires_us > clock_wall_us());
}

const struct lease *creds_now_scope(const struct credentials *c, int index, struct str scope)
{
	const struct entry *e;

	if (!c || index < 0 || index >= c->n)
		return NULL;
	e = find_entry(c, index, scope);
	return e && good(e) ? &e->lease : NULL;
}

static int make_scrub(const struct credentials *c, struct str host, struct scrub **ret)
{
	struct str values[2 * LEASES_MAX];
	size_t n = 0, plain, sessions = 0, at = 0;
	int r;

	for (int i = 0; i < c->n; i++) {
		const struct entry *e = &c->entries[i];

		if (!credential_host(&e->lease.cred, host))
			continue;
		if (n == LEASES_MAX)
			return -ENOMEM;
		if (e->have)
			values[n++] = (struct str){ (char *)e->lease.value.p, e->lease.value.n };
		plain = kept_list(&e->kept, values + n, LEASES_MAX - n);
		sessions += credential_provider(&e->lease.cred) == PROVIDER_AWS ? plain : 0;
		n += plain;
	}
	plain = n;
	while (n < ARRAY_SIZE(values) && derived_each(c, host, &at, &values[n]))
		n++;
	r = scrub_new(values, n, plain, ret);
	if (r == 0 && sessions == n)
		scrub_set_loose(*ret);
	return r;
}

int creds_scrub(struct credentials *c, struct str host, struct scrub **ret)
{
	struct scrub *made;
	int r;

	if (!c || !c->leased) {
		*ret = NULL;
		return 0;
	}
	if (c->derived_version != derived_version(c->derived)) {
		scrubs_forget(&c->scrubs);
		c->derived_version = derived_version(c->derived);
	}
	made = scrubs_find(&c->scrubs, host);
	if (made) {
		*ret = scrub_hold(made);
		return 0;
	}
	r = make_scrub(c, host, &made);
	if (r < 0) { /* of other hosts they are only kept */
		scrubs_forget(&c->scrubs);
		r = make_scrub(c, host, &made);
	}
	if (r < 0)
		return r;
	scrubs_put(&c->scrubs, host, made);
	*ret = scrub_hold(made);
	return 0;
}

void creds_cancel(struct creds_want *w)
{
	if (!w)
		return;
	timer_del(&w->timer);
	*w->back = w->next;
	if (w->next)
		w->next->back = w->back;
	free(w);
}

static void tell_one(struct timer *t)
{
	struct creds_want *w = t->owner;
	struct entry *e = w->entry;
	creds_fn fn = w->fn;
	void *owner = w->owner;
	bool ok = good(e);

	if (!ok && !e->asked && !e->fault[0])
		snprintf(e->fault, sizeof(e->fault), "the lease has expired");
	if (!ok && e->asked) {
		snprintf(e->fault, sizeof(e->fault), "the broker did not answer in time");
		e->asked = false;
	}
	creds_cancel(w);
	fn(owner, ok ? &e->lease : NULL, ok ? NULL : e->fault);
}

static void tell_all(struct entry *e)
{
	/* By timers, so that a callback may cancel or add what it likes. */
	for (struct creds_want *w = e->wants; w; w = w->next)
		timer_set(e->creds->px->loop, &w->timer, 0, tell_one, w);
}

static void fail(struct entry *e, const char *why)
{
	e->asked = false;
	snprintf(e->fault, sizeof(e->fault), "%s", why);
	creds_note_failure(e->creds->px, &e->lease.cred, e->fault);
	tell_all(e);
}

static void refused_by_broker(struct entry *e, struct str why)
{
	e->asked = false;
	e->renew_us = creds_renew_at(e->lease.expires_us);
	text_escape(e->fault, sizeof(e->fault), why);
	tell_all(e);
}

/* The lease's value is about to be another one. */
static void keep_old(struct entry *e, struct secret value)
{
	struct str is = { (char *)e->lease.value.p, e->lease.value.n };

	if (!e->have || secret_eq(is, (struct str){ (char *)value.p, value.n }))
		secret_done(&e->lease.value);
	else
		kept_add(&e->kept, &e->lease.value, clock_now() + KEPT_MS);
}

/* A session token signs nothing without its key, which never leaves the broker; still an origin may
 * write it back, as S3 does when it finds a signature wrong. Kept once a credential, whatever its
 * scopes, as long as it is good; and what the proxy before this one had. */
static int keep_known(struct entry *e, struct str value, uint64_t expires_us)
{
	return kept_copy(&e->creds->entries[e->index].kept, value,
			 e->creds->px->limits.scrub_window / 3, expires_us);
}

static const char *take_signer(struct entry *e, const struct msg_in *m, struct str key,
			       uint64_t expires_us)
{
	struct str token;
	const char *why = creds_signer(&e->lease, m, key, &token);

	return why || keep_known(e, token, expires_us) == 0
		       ? why
		       : "there is no room left in locked memory";
}

static void leased(struct entry *e, const struct msg_in *m)
{
	uint64_t expires = 0, is_static = 0;
	struct client_cert *cert = NULL;
	struct secret value;
	struct str v, id, pem;
	const char *why;

	if (msg_get(m, TAG_VALUE, &v) < 0 ||
	    msg_get_str(m, TAG_LEASE, sizeof(e->lease.id) - 1, &id) < 0 ||
	    msg_get_u64(m, TAG_EXPIRES, &expires) < 0 ||
	    msg_get_u64(m, TAG_STATIC, &is_static) < 0) {
		fail(e, "the broker's answer is not complete");
		return;
	}
	if (credential_provider(&e->lease.cred) == PROVIDER_MTLS) {
		/* Shown, never sent: nothing to keep as bytes, nothing to search for. */
		if (msg_get(m, TAG_CERT, &pem) < 0 || client_cert_read(pem, v, &cert) < 0) {
			fail(e, "it is not a certificate with its key, in PEM");
			return;
		}
		v.n = 0;
	}
	why = cert	    ? NULL
	      : e->scope[0] ? take_signer(e, m, v, expires)
			    : creds_unfit(v, &e->creds->px->limits);
	if (why) {
		fail(e, why);
		return;
	}
	if (secret_dup(v.p, v.n, &value) < 0) {
		client_cert_free(cert);
		fail(e, "there is no room left in locked memory");
		return;
	}
	if (e->scope[0])
		secret_done(&e->lease.value);
	else
		keep_old(e, value);
	formed_done(&e->formed);
	e->lease.value = value;
	client_cert_free(e->lease.cert);
	e->lease.cert = cert;
	memcpy(e->lease.id, id.p, id.n);
	e->lease.id[id.n] = 0;
	e->lease.expires_us = expires;
	e->lease.is_static = is_static != 0;
	creds_said(&e->lease.cred, str_of(e->lease.id), &e->lease.said);
	e->renew_us = creds_renew_at(e->lease.expires_us);
	e->have = true;
	e->asked = false;
	e->fault[0] = 0;
	e->creds->leased = true;
	scrubs_forget(&e->creds->scrubs);
	tell_all(e);
}

static void broker_lost(struct credentials *c)
{
	watch_del(&c->watch);
	for (struct entry *e = NULL; (e = each_entry(c, e));)
		if (e->asked)
			fail(e, "the broker is not there");
}

void creds_broker_changed(struct credentials *c)
{
	/* What was asked of the old one is not answered any more; the next ask watches the new one.
	 */
	if (c)
		broker_lost(c);
}

/* Unasked: it left the proxy before this one. Only searched for; who needs it asks. */
static void known(struct credentials *c, const struct msg_in *m)
{
	uint64_t index, expires;
	struct str v;

	if (msg_get_u64(m, TAG_INDEX, &index) < 0 || index >= (uint64_t)c->n ||
	    msg_get(m, TAG_VALUE, &v) < 0 || msg_get_u64(m, TAG_EXPIRES, &expires) < 0 ||
	    keep_known(&c->entries[index], v, expires) < 0)
		return;
	c->leased = true;
	scrubs_forget(&c->scrubs);
}

/* The value is another now, or revoked. It is kept to be searched for, not to be used. */
static void gone(struct credentials *c, const struct msg_in *m)
{
	uint64_t index;

	if (msg_get_u64(m, TAG_INDEX, &index) < 0 || index >= (uint64_t)c->n)
		return;
	for (struct entry *e = &c->entries[index]; e; e = e->more) {
		e->lease.expires_us = 1;
		formed_done(&e->formed);
	}
}

static void on_answer(struct watch *watch, uint32_t events)
{
	struct credentials *c = watch->owner;
	struct msg_in m;
	struct entry *e = NULL;
	struct str text;
	int r = msg_recv(watch->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		broker_lost(c);
		return;
	}
	while ((e = each_entry(c, e)) && !(e->asked && e->ask_id == m.id))
		;
	if (m.type == MSG_CRED_GONE)
		gone(c, &m);
	else if (!m.id && m.type == MSG_CRED)
		known(c, &m);
	else if (e && m.type == MSG_CRED)
		leased(e, &m);
	else if (e)
		refused_by_broker(e, msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0
					     ? text
					     : STR("no reason given"));
	msg_in_done(&m);
}

int creds_listen(struct credentials *c)
{
	return !c || c->watch.loop
		       ? 0
		       : watch_add(c->px->loop, &c->watch, c->px->broker, EPOLLIN, on_answer, c);
}

static void ask(struct entry *e)
{
	struct credentials *c = e->creds;
	struct msg_out m;
	int r = creds_listen(c);

	if (r == 0) {
		e->ask_id = ++c->next_id;
		msg_begin(&m, MSG_CRED_GET, e->ask_id);
		msg_put_u64(&m, TAG_INDEX, (uint64_t)e->index);
		if (e->scope[0])
			msg_put_str(&m, TAG_SCOPE, str_of(e->scope));
		r = msg_send(c->px->broker, &m);
		if (r == -EAGAIN)
			msg_out_done(&m);
	}
	if (r < 0) {
		fail(e, "the broker cannot be asked");
		return;
	}
	e->asked = true;
}

void creds_used(struct proxy *px, int index)
{
	uses_add(px->creds->uses, index);
}

struct creds_want *creds_get_scope(struct proxy *px, int index, struct str scope, creds_fn fn,
				   void *owner)
{
	struct entry *e = scope_entry(px->creds, index, scope);
	struct creds_want *w = mem_new(sizeof(*w));
	bool have = good(e);

	w->entry = e;
	w->fn = fn;
	w->owner = owner;
	w->next = e->wants;
	w->back = &e->wants;
	if (w->next)
		w->next->back = &w->next;
	e->wants = w;
	timer_set(px->loop, &w->timer, have ? 0 : ANSWER_MS, tell_one, w);
	if (!e->asked && !have) {
		e->fault[0] = 0;
		ask(e);
	}
	return w;
}

void creds_ahead(struct proxy *px, int index, struct str scope)
{
	struct entry *e = find_entry(px->creds, index, scope);

	if (!e || e->asked || !e->renew_us || clock_wall_us() < e->renew_us || !good(e))
		return;
	e->renew_us = 0;
	ask(e);
}
