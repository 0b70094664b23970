/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease and its provider: made, renewed at two thirds of its life, revoked, asked again later
 * when that failed. Called by lease.c. What answers is a process that reads a network (helper.h):
 * hostile until take() has looked at it.
 */
#include "broker/keep.h"
#include "broker/token.h"

#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

/* While a request waits, if the provider says that it is worth it. The last try ends before the
 * proxy gives the broker up (20 s), so that what the request is told is what the provider did. */
#define MINT_TRIES 3u
#define MINT_AGAIN_MS 500u
#define MINT_AGAIN_WITHIN_MS 2500u
#define AGAIN_MS 1000u	    /* doubled each time, */
#define AGAIN_MAX_MS 60000u /* up to this */
#define SOON_MS 1000u	    /* no lease is renewed more often */
#define AHEAD_MS 30000u	    /* of the end of what it is made with */
#define HANDLE_MAX 16384u

struct lease_ask {
	struct ask ask;
	struct broker *b;
	struct lease *lease; /* NULL: what comes is revoked at once */
	struct definition *def;
	uint64_t job_id;
	char job_name[CA_NAME_MAX + 1];
};

static void on_timer(struct timer *t);

static uint64_t random_below(uint64_t n)
{
	uint64_t v = 0;

	if (n && RAND_bytes((unsigned char *)&v, sizeof(v)) == 1)
		return v % n;
	return 0;
}

/* ---- what a provider answered ---- */

static int take_secret(const struct msg_in *m, uint16_t tag, size_t max, struct secret *ret)
{
	struct str s;
	int r = msg_get(m, tag, &s);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || s.n > max)
		return -EBADMSG;
	return secret_dup(s.p, s.n, ret);
}

/* A taken-over process may say anything: what is used has a form and a bound. */
static int take(struct lease *l, const struct msg_in *m, struct lease *ret, char *why, size_t size)
{
	uint64_t now = clock_wall_us(), ttl_ms = credential_ttl_ms(&l->def->cred);
	uint64_t is_static = 0, renewable = 0;
	int r = take_secret(m, TAG_VALUE, LEASE_VALUE_MAX, &ret->value);

	if (r == 0)
		r = take_secret(m, TAG_CERT, LEASE_VALUE_MAX, &ret->cert);
	if (r == 0)
		r = take_secret(m, TAG_ACCESS_KEY, 256, &ret->access_key);
	if (r == 0)
		r = take_secret(m, TAG_SESSION, LEASE_VALUE_MAX, &ret->session);
	if (r == 0)
		r = take_secret(m, TAG_HANDLE, HANDLE_MAX, &ret->handle);
	if (r == 0 && (!ret->value.n || msg_get_u64(m, TAG_EXPIRES, &ret->expires_us) < 0 ||
		       msg_get_u64(m, TAG_STATIC, &is_static) < 0))
		r = -EBADMSG;
	(void)!msg_get_u64(m, TAG_RENEWABLE, &renewable);
	(void)!msg_get_u64(m, TAG_RENEW_BY, &ret->renew_by_us);
	if (r == 0 && ret->value.n + ret->cert.n + ret->session.n + ret->handle.n > LEASE_VALUE_MAX)
		r = -EMSGSIZE;
	if (r == 0 && ret->expires_us && ret->expires_us <= now)
		r = -ESTALE;
	if (r < 0) {
		snprintf(why, size, "%s: %s", definition_provider(l->def),
			 r == -ENOMEM	? "there is no room left in locked memory"
			 : r == -ESTALE ? "the value has expired already: look at both clocks"
			 : r == -EMSGSIZE
				 ? "the value is too long"
				 : "the provider's process gave an answer that is not complete");
		lease_forget(ret);
		return r;
	}
	ret->is_static = is_static || credential_static(&l->def->cred);
	ret->renewable = renewable && ret->handle.n;
	ret->ends_us = ret->expires_us;
	if (ttl_ms && ttl_ms < UINT64_MAX / 2000 &&
	    (!ret->expires_us || ret->expires_us > now + ttl_ms * 1000))
		ret->expires_us = now + ttl_ms * 1000;
	return 0;
}

static void move_values(struct lease *to, struct lease *from)
{
	lease_forget(to);
	to->value = from->value;
	to->cert = from->cert;
	to->access_key = from->access_key;
	to->session = from->session;
	to->handle = from->handle;
	from->value = from->cert = from->access_key = from->session = from->handle =
		(struct secret){ 0 };
}

/* A proxy may still send it until its job ends or it does: only then is it revoked. */
static void set_aside(struct lease *l)
{
	struct lease *old = lease_new(l->b, l->def, l->job_id, l->job_name);

	old->state = LEASE_LIVE;
	old->job = l->job;
	old->replaced = true;
	old->minted_us = l->renewed_us ? l->renewed_us : l->minted_us;
	old->expires_us = l->expires_us;
	old->ends_us = l->ends_us;
	old->is_static = l->is_static;
	move_values(old, l);
	snprintf(old->id, sizeof(old->id), "%.17s-%u", l->id, ++l->generation % 10000);
	/* Its own record; one that cannot be written ends by itself. */
	if (l->journalled && keep_lease(old) < 0)
		log_err("a value that was replaced could not be written down");
	lease_plan(old);
}

/* ---- asking ---- */

static int build(struct ask *a, struct msg_out *m, char *why, size_t size)
{
	struct lease_ask *q = (struct lease_ask *)a;
	struct lease *l = q->lease;
	uint64_t ttl_ms = credential_ttl_ms(&q->def->cred);
	int r;

	if (!l) {
		snprintf(why, size, "nobody wants it any more");
		return -ECANCELED;
	}
	r = definition_put_question(l->b, q->def, m, why, size);
	/* Who renews or revokes has a login of its own in the handle, or does without. */
	if (r == 0 && (a->type == MSG_PROVIDE || (l->job && token_for(l->job, &q->def->cred))))
		r = token_put(l->job, &q->def->cred, m, why, size);
	if (r < 0)
		return r;
	if (ttl_ms)
		msg_put_u64(m, TAG_TTL, ttl_ms);
	if (a->type != MSG_PROVIDE && l->handle.n)
		msg_put(m, TAG_HANDLE, l->handle.p, l->handle.n);
	if (a->type != MSG_PROVIDE && l->value.n)
		msg_put(m, TAG_VALUE, l->value.p, l->value.n);
	return 0;
}

static void again_in(struct lease *l, uint64_t ms)
{
	timer_set(l->b->loop, &l->timer, ms + random_below(ms / 8 + 1), on_timer, l);
}

static uint64_t backoff(unsigned tries)
{
	uint64_t ms = (uint64_t)AGAIN_MS << (tries < 7 ? tries : 7);

	return ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS;
}

/* At two thirds of its life, not all of one moment's at one moment; but once more ahead of the end
 * of what it is made with (a job's ID token), as it cannot be had later. */
void lease_plan(struct lease *l)
{
	uint64_t now = clock_wall_us(), life_ms, left_ms;

	timer_del(&l->timer);
	if (!l->expires_us)
		return;
	life_ms = l->expires_us > now ? (l->expires_us - now) / 1000 : 0;
	if (l->replaced) {
		timer_set(l->b->loop, &l->timer, life_ms + 1, on_timer, l);
		return;
	}
	life_ms = life_ms * 2 / 3 - random_below(life_ms / 15 + 1);
	left_ms = l->renew_by_us > now && !l->renewable ? (l->renew_by_us - now) / 1000 : 0;
	if (left_ms > 2 * AHEAD_MS && left_ms - AHEAD_MS < life_ms)
		life_ms = left_ms - AHEAD_MS - random_below(AHEAD_MS);
	timer_set(l->b->loop, &l->timer, life_ms < SOON_MS ? SOON_MS : life_ms, on_timer, l);
}

/* Its value may be used now. */
static void lease_ready(struct lease *l)
{
	l->unsynced = false;
	helper_kept(l->b, l->def->key, l->kept);
	peer_tell(l->b, l->job_id, l->told_as, credential_name(&l->def->cred), l, NULL);
	if (l->dropped)
		return;
	lease_plan(l);
	lease_give_all(l);
}

static void not_kept(struct lease *l, int err)
{
	char why[256];

	l->unsynced = false;
	helper_kept(l->b, l->def->key, l->kept); /* it is revoked from here */
	snprintf(why, sizeof(why), "%s: the journal of leases cannot be written: %s",
		 definition_provider(l->def),
		 err == -ENOENT ? "this egretd runs without a store" : strerror(-err));
	log_err("%s", why);
	peer_tell(l->b, l->job_id, EVENT_CREDENTIAL_FAIL, credential_name(&l->def->cred), l, why);
	lease_refuse_all(l, err, why);
	lease_revoke(l);
}

/* All that came in this turn of the loop, by one sync. */
static void on_commit(struct timer *t)
{
	struct broker *b = t->owner;
	int r = keep_sync(b);

	for (struct lease *l = b->leases, *next; l; l = next) {
		next = l->next;
		if (!l->unsynced)
			continue;
		if (r < 0)
			not_kept(l, r);
		else
			lease_ready(l);
	}
}

static void mint_failed(struct lease *l, int err, const char *why)
{
	struct broker *b = l->b;
	uint64_t now = clock_wall_us(), left_ms;

	if (l->dropped) {
		if (l->state == LEASE_LIVE)
			lease_revoke(l);
		else
			lease_free(l);
		return;
	}
	l->tries++;
	if (err == -EAGAIN && l->wants && l->tries < MINT_TRIES &&
	    clock_now() - l->wanted_at < MINT_AGAIN_WITHIN_MS) {
		again_in(l, (uint64_t)MINT_AGAIN_MS << l->tries);
		return;
	}
	/* The same failure of one lease is told once. */
	if (strcmp(l->why, why))
		peer_tell(b, l->job_id, EVENT_CREDENTIAL_FAIL, credential_name(&l->def->cred), l,
			  why);
	snprintf(l->why, sizeof(l->why), "%s", why);
	lease_refuse_all(l, err, why);
	if (l->state == LEASE_MAKING) {
		lease_free(l);
		return;
	}
	/* What there is goes on until it ends; then it is asked for when it is needed. */
	if (err == -ENOKEY)
		return;
	left_ms = l->expires_us > now ? (l->expires_us - now) / 1000 : 0;
	if (left_ms > AGAIN_MS)
		again_in(l, backoff(l->tries) < left_ms ? backoff(l->tries) : left_ms);
}

static void minted(struct lease *l, const struct ask *a, const struct msg_in *m)
{
	enum event_kind kind = EVENT_CREDENTIAL_RENEW;
	struct lease fresh = { 0 };
	char why[256];
	int r = take(l, m, &fresh, why, sizeof(why));

	if (r < 0) {
		mint_failed(l, r, why);
		return;
	}
	if (l->state == LEASE_MAKING) {
		kind = EVENT_CREDENTIAL_LEASE;
		l->minted_us = clock_wall_us();
	} else {
		l->renewed_us = clock_wall_us();
		if (a->type == MSG_PROVIDE) {
			set_aside(l);
		} else if (!fresh.handle.n) {
			fresh.handle = l->handle;
			fresh.renewable = l->renewable;
			l->handle = (struct secret){ 0 };
		}
	}
	move_values(l, &fresh);
	/* One that cannot be made to live longer is made anew the next time. */
	l->renewable = fresh.renewable && (a->type == MSG_PROVIDE ||
					   fresh.expires_us > l->expires_us + SOON_MS * 1000);
	l->expires_us = fresh.expires_us;
	l->ends_us = fresh.ends_us;
	l->renew_by_us = fresh.renew_by_us;
	l->is_static = fresh.is_static;
	l->state = LEASE_LIVE;
	l->tries = 0;
	l->why[0] = 0;
	l->told_as = kind;
	l->kept = a->id;
	r = keep_lease(l);
	if (r < 0) {
		not_kept(l, r);
		return;
	}
	l->unsynced = true;
	if (!l->b->commit.loop)
		timer_set(l->b->loop, &l->b->commit, 0, on_commit, l->b);
	if (l->dropped) {
		l->dropped = false;
		lease_revoke(l);
	}
}

static void revoked(struct lease *l, int err, const char *why)
{
	uint64_t now = clock_wall_us();

	if (err == 0) {
		l->revoked_us = now;
		peer_tell(l->b, l->job_id, EVENT_CREDENTIAL_REVOKE, credential_name(&l->def->cred),
			  l, NULL);
		lease_over(l);
		return;
	}
	/* Told at once, when the reason is another, and each time that twice as many were in vain.
	 */
	l->tries++;
	if (strcmp(l->why, why) || (l->tries & (l->tries - 1)) == 0)
		peer_tell(l->b, l->job_id, EVENT_CREDENTIAL_FAIL, credential_name(&l->def->cred), l,
			  why);
	snprintf(l->why, sizeof(l->why), "%s", why);
	if (l->ends_us && l->ends_us <= now)
		lease_over(l); /* what has ended by itself opens nothing */
	else
		again_in(l, backoff(l->tries - 1));
}

static void done(struct ask *a, int err, struct msg_in *m, const char *why)
{
	struct lease_ask *q = (struct lease_ask *)a;
	const char *provider = definition_provider(q->def);
	struct lease *l = q->lease;
	char text[640];

	q->lease = NULL;
	if (!l)
		return;
	l->ask = NULL;
	/* The process names its provider itself. */
	snprintf(text, sizeof(text), "%s%s%s%s",
		 a->type == MSG_PROVIDER_REVOKE ? "not revoked: " : "",
		 str_starts(str_of(why), provider) ? "" : provider,
		 str_starts(str_of(why), provider) ? "" : ": ", why);
	if (a->type == MSG_PROVIDER_RENEW && err == -EIO)
		l->renewable = false;
	if (a->type == MSG_PROVIDER_REVOKE)
		revoked(l, err, text);
	else if (err < 0)
		mint_failed(l, err, text);
	else
		minted(l, a, m);
}

/* Nobody waits for it any more, and yet it is there. */
static void late(struct ask *a, struct msg_in *m)
{
	struct lease_ask *q = (struct lease_ask *)a;
	struct lease *l;

	if (a->type != MSG_PROVIDE)
		return; /* renewed is what is known already */
	l = lease_new(q->b, q->def, q->job_id, q->job_name);
	l->dropped = true;
	minted(l, a, m);
}

static void release(struct ask *a)
{
	struct lease_ask *q = (struct lease_ask *)a;

	if (q->lease)
		q->lease->ask = NULL;
	definition_put(q->b, q->def);
	free(q);
}

static void ask(struct lease *l, uint16_t type)
{
	static const struct ask_fns fns = { build, done, late, release };
	struct lease_ask *q = mem_new(sizeof(*q));

	timer_del(&l->timer);
	q->b = l->b;
	q->lease = l;
	q->def = definition_hold(l->def);
	q->job_id = l->job_id;
	snprintf(q->job_name, sizeof(q->job_name), "%s", l->job_name);
	q->ask.fns = &fns;
	q->ask.type = type;
	q->ask.exec = credential_provider(&l->def->cred) == PROVIDER_EXEC;
	q->ask.urgent = l->wants != NULL;
	q->ask.ms = definition_ask_ms(l->def);
	memcpy(q->ask.key, l->def->key, HELPER_KEY);
	l->ask = q;
	helper_ask(l->b, &q->ask);
}

void lease_ask_drop(struct lease *l)
{
	if (l->ask)
		l->ask->lease = NULL;
	l->ask = NULL;
}

void lease_mint(struct lease *l)
{
	if (!l->ask && !l->unsynced)
		ask(l, l->state == LEASE_LIVE && l->renewable ? MSG_PROVIDER_RENEW : MSG_PROVIDE);
}

void lease_revoke(struct lease *l)
{
	if (l->state == LEASE_OWED || l->state == LEASE_OVER)
		return;
	lease_refuse_all(l, -ECANCELED, "the lease is revoked");
	l->dropped = true;
	l->job = NULL;
	timer_del(&l->timer);
	if (l->ask)
		return; /* what comes is revoked then */
	if (l->state == LEASE_MAKING) {
		lease_free(l);
		return;
	}
	l->tries = 0;
	l->why[0] = 0;
	if (!l->handle.n || (l->ends_us && l->ends_us <= clock_wall_us())) {
		lease_over(l); /* nothing is there that could be revoked, and nothing claims it */
		return;
	}
	l->state = LEASE_OWED;
	ask(l, MSG_PROVIDER_REVOKE);
}

static void on_timer(struct timer *t)
{
	struct lease *l = t->owner;

	if (l->ask)
		return;
	if (l->state == LEASE_OWED)
		ask(l, MSG_PROVIDER_REVOKE);
	else if (l->replaced)
		lease_revoke(l); /* no proxy sends it any more */
	else
		lease_mint(l);
}
