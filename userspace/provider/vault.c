/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vault and OpenBao: logs in, reads one path, and takes back what came of it. Called through
 * table.c, on a fiber.
 *
 * What the path gives decides how long a login lives. A dynamic secret (the answer has a lease)
 * belongs to a login of its own, made for that one lease: ending the token ends both, which needs
 * no policy but Vault's `default`. A static one (KV) ends with nothing, so one login reads it for
 * all jobs, is kept while this process lives, and ended with it. Where the job's own token is the
 * login (jwt), it is never shared.
 *
 * Hostile bytes: every answer (vault_form.h). Tokens go into the handle, which the broker seals,
 * and nowhere else.
 */
#include "provider/table.h"

#include "base/clock.h"
#include "base/secret.h"
#include "provider/fiber.h"
#include "provider/http.h"
#include "provider/jobtoken.h"
#include "provider/vault_form.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct login {
	struct str token;
	int64_t made, ends; /* wall clock, seconds */
	bool renewable, batch;
};

struct waiter {
	struct waiter *next;
	struct fiber *fiber;
};

/* What this process keeps between questions: all are of one credential. */
static struct {
	char *token; /* owned; NULL: no login is kept */
	int64_t made, ends;
	bool renewable;
	bool busy;	    /* somebody logs in to keep it */
	bool dynamic;	    /* the path gives leases: nothing is kept */
	struct question *q; /* owned: with which it was made, for its end */
	struct waiter *waiters;
	struct timer wake;
} kept;

/* ---- one request ---- */

struct said {
	const char *method;
	struct str path; /* below /v1/; also what a sentence calls it */
	struct str token, body;
	bool root; /* in the root namespace */
};

static int say(struct question *q, const struct said *s, struct http_answer *ret)
{
	struct http_ask ask = { .method = s->method,
				.body = s->body,
				.cert = question_secret(q, PARAM_AUTH_CERT),
				.key = question_secret(q, PARAM_AUTH_KEY) };
	struct str address = question_param(q, PARAM_ADDRESS), path;
	struct str space = question_param(q, PARAM_NAMESPACE);
	unsigned n = 0;

	while (address.n && address.p[address.n - 1] == '/')
		address.n--;
	if (!vault_path(q, s->path, &path))
		return question_fail(q, -EINVAL,
				     "\"%.*s\" is no path below /v1/: without leading, doubled or "
				     "trailing slashes, dots, queries and escapes",
				     STR_ARG(s->path));
	ask.at = question_printf(q, "%.*s", STR_ARG(s->path)).p;
	ask.url = question_printf(q, "%.*s/v1/%.*s", STR_ARG(address), STR_ARG(path));
	ask.headers[n++] = "X-Vault-Request: true";
	if (space.n && !s->root)
		ask.headers[n++] = question_printf(q, "X-Vault-Namespace: %.*s", STR_ARG(space)).p;
	if (s->token.n)
		ask.headers[n++] = question_printf(q, "X-Vault-Token: %.*s", STR_ARG(s->token)).p;
	if (s->body.n)
		ask.headers[n++] = HTTP_JSON;
	return http_ask(q, &ask, ret);
}

/* The sentence for an answer that refuses. Where the server is out of order it is asked why, which
 * needs no token and no namespace. */
static int refused(struct question *q, const struct said *s, const struct http_answer *a)
{
	const struct said ask = { .method = "GET", .path = STR("sys/health"), .root = true };
	const char *words, *health = NULL;
	struct http_answer h;
	int r = vault_fault(a->status, a->json, &words);

	if (a->status >= 300 && a->status < 400)
		words = "a redirect: these are not followed";
	if (r == -EAGAIN && !*words && a->status != 429 && a->status != 412 &&
	    say(q, &ask, &h) == 0)
		health = vault_health(h.status);
	if (health || !strcmp(words, "sealed") || !strcmp(words, "not initialised"))
		return question_fail(q, -EAGAIN, "%s", health ? health : words);
	return question_fail(q, r, "%ld at %.*s%s%s", a->status, STR_ARG(s->path),
			     *words ? ": " : "", words);
}

/* 0 with the answer taken apart; -errno with the sentence. status may be NULL. */
static int asked(struct question *q, const struct said *s, struct vault_answer *ret, long *status)
{
	struct http_answer a;
	int r = say(q, s, &a);

	if (status)
		*status = r == 0 ? a.status : 0;
	if (r < 0)
		return r;
	if (a.status != 200)
		return refused(q, s, &a);
	return vault_read(q, a.json, ret);
}

/* ---- logins ---- */

static int log_in(struct question *q, struct login *ret)
{
	struct said s = { .method = "POST", .path = vault_login_path(q) };
	struct vault_answer a;
	int r = q->token.n ? job_token_need(q) : 0;

	if (r == 0)
		r = vault_login_body(q, &s.body);
	if (r == 0)
		r = asked(q, &s, &a, NULL);
	if (r < 0)
		return r;
	if (a.wrapped || a.mfa || !a.token.n)
		return question_fail(q, -EACCES, "no token at %.*s: %s", STR_ARG(s.path),
				     a.wrapped ? "the answer is wrapped"
				     : a.mfa   ? "it wants a second factor"
					       : "the answer has none");
	*ret = (struct login){ .token = a.token,
			       .made = q->now,
			       .ends = a.token_s ? q->now + a.token_s : INT64_MAX / 4,
			       .renewable = a.token_renewable,
			       .batch = a.token_batch };
	return 0;
}

/* Ends a token whose sentence nobody reads: what failed before stays in q->why. */
static void end_quietly(struct question *q, struct str token)
{
	const struct said s = { .method = "POST",
				.path = STR("auth/token/revoke-self"),
				.token = token };
	struct http_answer a;
	char why[QUESTION_WHY_MAX];

	memcpy(why, q->why, sizeof(why));
	(void)!say(q, &s, &a);
	memcpy(q->why, why, sizeof(why));
}

static int read_path(struct question *q, struct str token, struct vault_answer *ret, long *status)
{
	const struct said s = { .method = "GET",
				.path = question_param(q, PARAM_PATH),
				.token = token };

	return asked(q, &s, ret, status);
}

/* ---- the login that is kept ---- */

static void drop_kept(void)
{
	if (kept.token)
		wipe(kept.token, strlen(kept.token));
	free(kept.token);
	kept.token = NULL;
	kept.q = question_free(kept.q);
}

static void on_wake(struct timer *t)
{
	struct waiter *w = kept.waiters, *next;

	/* Each may come back to wait once more. */
	for (kept.waiters = NULL; w; w = next) {
		next = w->next;
		fiber_wake(w->fiber);
	}
}

/* From the loop: a fiber cannot wake another. */
static void not_busy(struct question *q)
{
	kept.busy = false;
	timer_set(q->loop, &kept.wake, 0, on_wake, NULL);
}

static void wait_turn(void)
{
	struct waiter w = { .next = kept.waiters, .fiber = fiber_self() };

	kept.waiters = &w;
	fiber_wait();
}

static void keep(struct question *q, const struct login *l)
{
	drop_kept();
	kept.token = mem_dup(l->token);
	kept.q = question_dup(q);
	kept.made = l->made;
	kept.ends = l->ends;
	kept.renewable = l->renewable;
}

static int renew_token(struct question *q, struct str token, struct vault_answer *ret)
{
	const struct said s = { .method = "POST",
				.path = STR("auth/token/renew-self"),
				.token = token,
				.body = STR("{}") };

	return asked(q, &s, ret, NULL);
}

/* The kept login for this question: true with a copy of its token. Past two thirds of its life it
 * is renewed, where it can be; near its end it is none. */
static bool borrow(struct question *q, struct str *ret)
{
	int64_t now = q->now, life = kept.ends - kept.made;
	struct vault_answer a;

	if (!kept.token || now + 10 >= kept.ends)
		return false;
	*ret = arena_str(&q->arena, str_of(kept.token));
	if (now - kept.made <= life / 3 * 2 || !kept.renewable || kept.busy)
		return true;
	kept.busy = true;
	if (renew_token(q, *ret, &a) == 0 && a.token.n && kept.token && str_is(*ret, kept.token)) {
		kept.made = now;
		kept.ends = now + a.token_s;
		kept.renewable = a.token_renewable;
	} else if (kept.token && str_is(*ret, kept.token)) {
		kept.renewable = false;
	}
	not_busy(q);
	return true;
}

/* ---- the three questions ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A value that ends with nothing; a ttl makes the broker ask again, so that what is written anew is
 * found. */
static int give_static(struct question *q, const struct vault_answer *a, struct answer *ret)
{
	int r = vault_field(q, a->data, &ret->value);

	ret->is_static = true;
	ret->expires_ms = q->ttl_ms ? q->now * 1000 + (int64_t)q->ttl_ms : 0;
	return r;
}

static struct vault_handle handle_of(const struct login *l, const struct vault_answer *a)
{
	return (struct vault_handle){ .token = l->token,
				      .lease = a->lease,
				      .batch = l->batch,
				      .token_renewable = l->renewable,
				      .token_ends = l->ends,
				      .granted_s = a->lease_s };
}

/* A lease whose token ends before it, and cannot be renewed, ends with the token. */
static void give_times(struct question *q, const struct vault_handle *h, int64_t lease_s,
		       bool renewable, struct answer *ret)
{
	int64_t ends = earlier(q->now + lease_s, h->token_ends);

	ret->expires_ms = ends * 1000;
	ret->renewable = renewable && (h->token_renewable || h->token_ends > ends);
	ret->handle = vault_handle_write(q, h);
}

/* With a login that is this lease's own. */
static int provide_own(struct question *q, const struct login *l, const struct vault_answer *a,
		       struct answer *ret)
{
	struct vault_handle h = handle_of(l, a);
	int r;

	if (a->lease.n) {
		r = vault_field(q, a->data, &ret->value);
		give_times(q, &h, a->lease_s, a->lease_renewable, ret);
		return r;
	}
	r = give_static(q, a, ret);
	ret->handle = vault_handle_write(q, &h);
	return r;
}

static int log_in_and_read(struct question *q, struct answer *ret)
{
	struct vault_answer a;
	struct login l;
	int r = log_in(q, &l);

	if (r < 0)
		return r;
	r = read_path(q, l.token, &a, NULL);
	if (r == 0)
		r = provide_own(q, &l, &a, ret);
	if (r < 0)
		end_quietly(q, l.token);
	return r;
}

/* Nobody knows yet what the path gives, or the kept login is gone: this question finds out, others
 * wait for it. */
static int log_in_and_keep(struct question *q, struct answer *ret)
{
	struct vault_answer a;
	struct login l;
	int r = log_in(q, &l);

	if (r < 0)
		return r;
	r = read_path(q, l.token, &a, NULL);
	if (r == 0 && a.lease.n) {
		kept.dynamic = true;
		r = provide_own(q, &l, &a, ret);
	} else if (r == 0) {
		r = give_static(q, &a, ret);
		if (r == 0)
			keep(q, &l);
	}
	if (r < 0)
		end_quietly(q, l.token);
	return r;
}

/* 1: the kept login is of no use any more. */
static int read_with_kept(struct question *q, struct str token, struct answer *ret)
{
	struct vault_answer a;
	long status;
	int r = read_path(q, token, &a, &status);

	if (r == 0 && !a.lease.n)
		return give_static(q, &a, ret);
	if (r < 0 && status != 403)
		return r;
	/* Taken away from outside; or a lease, which wants a login of its own: this one's end ends
	 * what it just made. */
	if (r == 0)
		kept.dynamic = true;
	if (kept.token && str_is(token, kept.token))
		drop_kept();
	end_quietly(q, token);
	return 1;
}

static int vault_provide(struct question *q, struct answer *ret)
{
	struct str token;
	int r;

	if (str_is(question_param(q, PARAM_AUTH_METHOD), "jwt"))
		return log_in_and_read(q, ret);
	for (;;) {
		if (kept.dynamic)
			return log_in_and_read(q, ret);
		if (borrow(q, &token)) {
			r = read_with_kept(q, token, ret);
			if (r != 1)
				return r;
		} else if (kept.busy) {
			wait_turn();
		} else {
			kept.busy = true;
			r = log_in_and_keep(q, ret);
			not_busy(q);
			return r;
		}
	}
}

static int renew_lease(struct question *q, const struct vault_handle *h, struct vault_answer *ret)
{
	const struct said s = { .method = "POST",
				.path = STR("sys/leases/renew"),
				.token = h->token,
				.body = vault_lease_body(q, h->lease, q->ttl_ms / 1000) };

	return asked(q, &s, ret, NULL);
}

/* The token first, as a lease lives no longer. What is at the end of its longest life gets less and
 * less; it is called renewable no more, and the next value has a lease of its own. */
static int vault_renew(struct question *q, struct answer *ret)
{
	struct vault_handle h;
	struct vault_answer a;
	int r;

	if (vault_handle_read(q->handle, &h) < 0 || !h.lease.n)
		return question_fail(q, -EINVAL, "there is no lease to renew");
	if (h.token_renewable) {
		r = renew_token(q, h.token, &a);
		if (r < 0)
			return r;
		h.token_ends = q->now + a.token_s;
		h.token_renewable = a.token_renewable;
	}
	r = renew_lease(q, &h, &a);
	if (r < 0)
		return r;
	ret->value = q->value;
	give_times(q, &h, a.lease_s, a.lease_renewable, ret);
	if ((ret->expires_ms / 1000 - q->now) * 2 < h.granted_s)
		ret->renewable = false;
	return 0;
}

/* Of a token that is refused nobody knows whether it is gone or may not do this: one that may not
 * even look at itself is gone. */
static bool gone(struct question *q, struct str token)
{
	const struct said s = { .method = "GET",
				.path = STR("auth/token/lookup-self"),
				.token = token };
	struct http_answer a;

	return say(q, &s, &a) == 0 && a.status == 403;
}

static int vault_revoke(struct question *q)
{
	struct said s = { .method = "POST" };
	struct http_answer a;
	struct vault_handle h;
	int r;

	if (vault_handle_read(q->handle, &h) < 0)
		return question_fail(q, -EINVAL, "there is nothing to revoke");
	/* Batch tokens end by themselves; their leases are taken back one by one. */
	if (h.batch && !h.lease.n)
		return 0;
	s.path = h.batch ? STR("sys/leases/revoke") : STR("auth/token/revoke-self");
	s.token = h.token;
	s.body = h.batch ? vault_lease_body(q, h.lease, 0) : (struct str){ "", 0 };
	r = say(q, &s, &a);
	if (r < 0 || a.status == 200 || a.status == 204)
		return r;
	if (a.status == 403 && gone(q, h.token))
		return 0;
	return refused(q, &s, &a);
}

/* The process ends: so does the login that it kept. */
static void vault_end(void)
{
	struct question *q = TAKE_PTR(kept.q);

	if (q)
		end_quietly(q, str_of(kept.token));
	question_free(q);
	drop_kept();
}

const struct provider_ops provider_vault = { .name = "vault",
					     .provide = vault_provide,
					     .renew = vault_renew,
					     .revoke = vault_revoke,
					     .end = vault_end };
