/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binding of credentials: which one goes with a request that policy allows. The rule names it;
 * without a rule's word only a placeholder that stands where a binding looks for it asks for one.
 * Its hosts are the wall in both cases, and the table below says where none ever goes. A redirect
 * is a request like any other: to a host that a credential does not name it gets nothing. Called
 * by exchange.c; the head is a job's.
 */
#include "proxy/bind.h"

#include "proxy/derived.h"

static bool nameless(const struct session *s)
{
	return !s->x.rq.origin.name_n;
}

static bool cleartext(const struct session *s)
{
	return !s->tls;
}

/* OPTIONS is asked by browsers for others, TRACE writes everything back, CONNECT is a tunnel. */
static bool method(const struct session *s)
{
	struct str m = s->req.head.method;

	return str_is(m, "OPTIONS") || str_is(m, "TRACE") || str_is(m, "CONNECT");
}

/* What follows an upgrade is no request. A rule that names the credential names WEBSOCKET too, or
 * it had not allowed this (policy.h). */
static bool upgrade(const struct session *s)
{
	return s->x.rq.websocket && !s->x.rq.verdict.credential.n;
}

/*
 * Where a credential never goes, whatever a rule says. That the certificate was verified is seen
 * when there is a connection, before its record (exchange.c: on_upstream); that the host is one of
 * the credential's, by bind_choose itself. text: behind "credential NAME".
 */
static const struct never {
	bool (*is)(const struct session *s);
	enum reason reason;
	const char *text;
} nevers[] = {
	{ nameless, REASON_CREDENTIAL, "never goes to an address" },
	{ cleartext, REASON_CREDENTIAL_CLEARTEXT, "never goes over a connection without TLS" },
	{ method, REASON_CREDENTIAL_METHOD, "never goes with" },
	{ upgrade, REASON_CREDENTIAL_METHOD, "never goes with an upgrade that no rule names" },
};

static const struct never *never(const struct session *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(nevers); i++)
		if (nevers[i].is(s))
			return &nevers[i];
	return NULL;
}

static bool refuse(struct session *s, const struct never *n)
{
	answer_fault(s, 403, n->reason, "credential %.*s %s%s%.*s",
		     STR_ARG(s->x.rq.verdict.credential), n->text, n->is == method ? " " : "",
		     n->is == method ? (int)s->req.head.method.n : 0, s->req.head.method.p);
	return false;
}

/* The one that the rule names. */
static bool choose_named(struct session *s, struct str name)
{
	struct exchange *x = &s->x;
	const struct credentials *creds = s->px->creds;
	int at = creds_find(creds, name);
	struct credential c = at >= 0 ? creds_at(creds, at) : (struct credential){ 0 };
	const struct never *n = never(s);

	if (n)
		return refuse(s, n);
	if (at < 0 || !credential_host(&c, x->rq.q.host)) {
		answer_fault(s, 502, REASON_CREDENTIAL,
			     "could not get credential %.*s (%s); the request was not sent",
			     STR_ARG(name),
			     at < 0 ? "this job has none of that name" : "it is not for this host");
		return false;
	}
	/* Only placeholder bindings, and no placeholder sent: there is nothing to put anywhere. */
	if (inject_wanted(&c, x->rq.q.host, &x->carrier) ||
	    (x->resign.signed_by_job && resign_binds(&c, x->rq.q.host)))
		x->credential = at;
	return true;
}

/* Its placeholder stands in a body that could be read in two ways. */
static bool doubtful(struct session *s, const struct credential *c)
{
	const char *why = inject_body_doubt(c, s->x.rq.q.host, &s->x.carrier);
	const char *other = resign_doubt(s, c);

	if (other) {
		answer_fault(s, 403, REASON_CREDENTIAL, "credential %.*s cannot go with it: %s",
			     STR_ARG(credential_name(c)), other);
		return true;
	}
	if (why)
		answer_fault(
			s, 400, REASON_CREDENTIAL,
			"its body holds the placeholder of credential %.*s and %s; nothing was "
			"sent",
			STR_ARG(credential_name(c)), why);
	return why != NULL;
}

bool bind_choose(struct session *s)
{
	struct exchange *x = &s->x;
	struct str host = x->rq.q.host, named = x->rq.verdict.credential;
	const struct credentials *creds = s->px->creds;
	struct credential c;

	x->credential = -1;
	x->derived = -1;
	x->carrier.head = &s->req.head;
	x->carrier.arena = &s->arena;
	x->carrier.target = x->rq.target.whole;
	if (creds_count(creds) && !never(s))
		x->derived = derived_look(creds, host, &x->carrier);
	resign_look(s);
	for (int i = 0; x->rq.origin.name_n && i < creds_count(creds); i++) {
		c = creds_at(creds, i);
		if (!credential_host(&c, host))
			continue;
		/* What the client sent in these places goes, whether or not we put something there.
		 */
		if (doubtful(s, &c))
			return false;
		inject_strip(&c, host, &x->carrier);
		if (!named.n && x->credential < 0 && !never(s) &&
		    (inject_has_placeholder(&c, host, &x->carrier) ||
		     (x->resign.signed_by_job && resign_binds(&c, host))))
			x->credential = i;
	}
	if (named.n && !choose_named(s, named))
		return false;
	if (x->credential < 0)
		return true;
	c = creds_at(creds, x->credential);
	return resign_ready(s, &c);
}
