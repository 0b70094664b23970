/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lease.h. Called by peer.c (a proxy asks), job.c (jobs begin, change and end) and by
 * lease_ask.c when something has come of it. The indexes are a proxy's, checked by peer.c.
 */
#include "broker/keep.h"
#include "broker/token.h"

#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define OVER_MAX 1024u /* kept for `egret lease list --all` */

struct want {
	struct want *next;
	uint32_t question;
	uint64_t index;
	size_t scope_n;
	char scope[LEASE_SCOPE_MAX];
};

static void new_id(char to[LEASE_ID_MAX])
{
	uint8_t b[8];

	if (RAND_bytes(b, sizeof(b)) != 1)
		die("no random bytes for a lease");
	snprintf(to, LEASE_ID_MAX, "L%02x%02x%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
		 b[4], b[5], b[6], b[7]);
}

void lease_forget(struct lease *l)
{
	secret_done(&l->value);
	secret_done(&l->cert);
	secret_done(&l->access_key);
	secret_done(&l->session);
	secret_done(&l->handle);
}

struct lease *lease_new(struct broker *b, struct definition *d, uint64_t job_id,
			const char *job_name)
{
	struct lease *l = mem_new(sizeof(*l)), **at = &b->leases;

	l->b = b;
	l->def = definition_hold(d);
	l->job_id = job_id;
	snprintf(l->job_name, sizeof(l->job_name), "%s", job_name);
	new_id(l->id);
	while (*at) /* in the order in which they were made */
		at = &(*at)->next;
	*at = l;
	return l;
}

void lease_free(struct lease *l)
{
	struct lease **at;

	for (at = &l->b->leases; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	lease_ask_drop(l);
	timer_del(&l->timer);
	while (l->wants) {
		struct want *w = l->wants;

		l->wants = w->next;
		free(w);
	}
	lease_forget(l);
	definition_put(l->b, l->def);
	free(l);
}

static bool good(const struct lease *l)
{
	return l->state == LEASE_LIVE && l->value.n && !l->unsynced &&
	       (!l->expires_us || l->expires_us > clock_wall_us());
}

void lease_give_all(struct lease *l)
{
	while (l->wants) {
		struct want *w = l->wants;

		l->wants = w->next;
		if (l->job)
			peer_give(l->job, l, w->question, w->index,
				  (struct str){ w->scope, w->scope_n });
		free(w);
	}
}

void lease_refuse_all(struct lease *l, int err, const char *why)
{
	while (l->wants) {
		struct want *w = l->wants;

		l->wants = w->next;
		if (l->job)
			peer_refuse(l->job, w->question, w->index, err, why);
		free(w);
	}
}

void lease_over(struct lease *l)
{
	unsigned n = 0;

	timer_del(&l->timer);
	l->state = LEASE_OVER;
	l->job = NULL;
	keep_over(l);
	lease_forget(l);
	for (const struct lease *o = l->b->leases; o; o = o->next)
		n += o->state == LEASE_OVER;
	for (struct lease *o = l->b->leases, *next; o && n > OVER_MAX; o = next) {
		next = o->next;
		if (o->state == LEASE_OVER && o != l) {
			lease_free(o);
			n--;
		}
	}
}

static struct lease *find(const struct job *j, const struct definition *d)
{
	struct lease *l = j->broker->leases;

	while (l && !(l->job == j && l->def == d && !l->replaced && !l->dropped &&
		      (l->state == LEASE_MAKING || l->state == LEASE_LIVE)))
		l = l->next;
	return l;
}

static bool same(const struct secret *a, const struct secret *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->p, b->p, a->n));
}

/* A proxy asks for the next one when a third of it is left. */
static bool near_end(const struct lease *l, uint64_t ttl_ms)
{
	return l->expires_us && l->expires_us < clock_wall_us() + ttl_ms * 1000 / 2;
}

/* Read each time that it is asked for: a secret that was set anew is found. */
static void want_local(struct job *j, struct definition *d, struct lease *l, uint32_t question,
		       uint64_t index)
{
	struct secret value = { 0 }, cert = { 0 };
	uint64_t ttl_ms = credential_ttl_ms(&d->cred), now = clock_wall_us();
	bool fresh = !l;
	char why[512] = "";
	int r = definition_value(j->broker, d, &value, &cert, why, sizeof(why));

	if (r == 0 && value.n + cert.n > LEASE_VALUE_MAX) {
		r = -EMSGSIZE;
		snprintf(why, sizeof(why), "%s: the value is too long", definition_provider(d));
	}
	if (r < 0) {
		secret_done(&value);
		secret_done(&cert);
		peer_tell(j->broker, j->id, EVENT_CREDENTIAL_FAIL, credential_name(&d->cred), NULL,
			  why);
		peer_refuse(j, question, index, r, why);
		return;
	}
	if (l && good(l) && !near_end(l, ttl_ms) && same(&l->value, &value) &&
	    same(&l->cert, &cert)) {
		secret_done(&value);
		secret_done(&cert);
		peer_give(j, l, question, index, STR(""));
		return;
	}
	if (fresh) {
		l = lease_new(j->broker, d, j->id, j->name);
		l->job = j;
		l->state = LEASE_LIVE;
		l->is_static = credential_static(&d->cred);
		l->minted_us = now;
	} else {
		l->renewed_us = now;
	}
	lease_forget(l);
	l->value = value;
	l->cert = cert;
	/* The value itself does not end; a ttl makes the proxy ask again. */
	l->expires_us = ttl_ms && ttl_ms < UINT64_MAX / 2000 ? now + ttl_ms * 1000 : 0;
	peer_tell(j->broker, j->id, fresh ? EVENT_CREDENTIAL_LEASE : EVENT_CREDENTIAL_RENEW,
		  credential_name(&d->cred), l, NULL);
	peer_give(j, l, question, index, STR(""));
}

void lease_want(struct job *j, uint32_t question, uint64_t index, struct str scope)
{
	struct definition *d = j->defs[index];
	struct lease *l = find(j, d);
	struct want *w, **at;

	if (definition_local(d)) {
		want_local(j, d, l, question, index);
		return;
	}
	if (l && good(l)) {
		peer_give(j, l, question, index, scope);
		return;
	}
	if (!l) {
		l = lease_new(j->broker, d, j->id, j->name);
		l->job = j;
	}
	if (!l->wants)
		l->wanted_at = clock_now();
	w = mem_new(sizeof(*w));
	w->question = question;
	w->index = index;
	memcpy(w->scope, scope.p, scope.n);
	w->scope_n = scope.n;
	for (at = &l->wants; *at; at = &(*at)->next)
		;
	*at = w;
	l->tries = 0;
	lease_mint(l);
}

void leases_early(struct job *j)
{
	for (uint32_t i = 0; i < j->ndefs; i++) {
		struct definition *d = j->defs[i];
		struct lease *l;

		if (definition_local(d) || !token_for(j, &d->cred) || find(j, d))
			continue;
		l = lease_new(j->broker, d, j->id, j->name);
		l->job = j;
		lease_mint(l);
	}
}

void lease_used(struct job *j, uint64_t index, uint64_t n)
{
	struct lease *l = index < j->ndefs ? find(j, j->defs[index]) : NULL;

	if (l && n < UINT32_MAX)
		l->requests += n;
}

void leases_job_changed(struct job *j)
{
	for (struct lease *l = j->broker->leases, *next; l; l = next) {
		bool has = false;

		next = l->next;
		if (l->job != j)
			continue;
		for (uint32_t i = 0; i < j->ndefs && !has; i++)
			has = j->defs[i] == l->def;
		if (!has)
			lease_revoke(l);
	}
}

void leases_job_ended(struct job *j)
{
	for (struct lease *l = j->broker->leases, *next; l; l = next) {
		next = l->next;
		if (l->job == j)
			lease_revoke(l);
	}
}

void leases_proxy_gone(struct job *j)
{
	for (struct lease *l = j->broker->leases; l; l = l->next) {
		while (l->job == j && l->wants) {
			struct want *w = l->wants;

			l->wants = w->next;
			free(w);
		}
	}
}

static bool names_file(const struct definition *d, struct str path)
{
	enum param id;
	struct str v;
	size_t at = 0;

	while (credential_each_param(&d->cred, &at, &id, &v)) {
		if (param_is_secret(id) && str_starts(v, "file:"))
			v = (struct str){ v.p + 5, v.n - 5 };
		else if (id != PARAM_PATH)
			continue;
		if (str_eq(v, path))
			return true;
	}
	return false;
}

void leases_file_changed(struct broker *b, struct str path)
{
	for (struct lease *l = b->leases; l; l = l->next) {
		if (!l->job || l->state != LEASE_LIVE || !definition_local(l->def) ||
		    !names_file(l->def, path))
			continue;
		for (uint32_t i = 0; i < l->job->ndefs; i++)
			if (l->job->defs[i] == l->def)
				peer_gone(l->job, i);
	}
}

bool leases_owed(const struct broker *b)
{
	for (const struct lease *l = b->leases; l; l = l->next)
		if (l->state == LEASE_OWED && l->ask)
			return true;
	return false;
}

void leases_done(struct broker *b)
{
	while (b->leases)
		lease_free(b->leases);
}
