/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4, with the key that the broker derived for one day, region and service.
 * The job's own signature says which region and service it speaks with, and nothing else of it
 * counts: its keys are placeholders. What is signed is the head as it goes out. The body's hash is
 * the one that the client said where it says one, since the origin holds the body against it; a
 * body without one is read whole and hashed; a signed stream is signed anew, chunk by chunk. Called
 * by bind.c, body.c and forward.c; the head is a job's.
 *
 * Questions whose answers would be keys are refused: they sign, so nothing can stand for them (P2;
 * passwords of registries are swapped, derive_table.c).
 */
#include "proxy/exchange.h"

#include "base/clock.h"
#include <errno.h>
#include <stdio.h>

/* ---- what the client signed ---- */

bool resign_binds(const struct credential *c, struct str host)
{
	struct credential_inject in;

	if (credential_provider(c) != PROVIDER_AWS) /* nobody else gives keys that sign */
		return false;
	for (size_t at = 0; credential_each_inject(c, host, &at, &in);)
		if (in.kind == INJECT_SIGV4)
			return true;
	return false;
}

void resign_look(struct session *s)
{
	const struct field *f = head_find(&s->req.head, "authorization");
	struct resign *r = &s->x.resign;
	struct sigv4_said said;

	if (!f || head_count(&s->req.head, "authorization") > 1 || sigv4_read(f->value, &said) < 0)
		return;
	r->signed_by_job = true;
	snprintf(r->region, sizeof(r->region), "%.*s", STR_ARG(said.parts.region));
	snprintf(r->service, sizeof(r->service), "%.*s", STR_ARG(said.parts.service));
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* However it is written: encoded, in capitals. */
static bool is_name(struct str s, const char *name)
{
	size_t n = strlen(name), k = 0;

	for (size_t i = 0; i < s.n; i++, k++) {
		int c = (unsigned char)s.p[i];

		if (c == '%' && i + 2 < s.n && hex_of(s.p[i + 1]) >= 0 && hex_of(s.p[i + 2]) >= 0) {
			c = hex_of(s.p[i + 1]) << 4 | hex_of(s.p[i + 2]);
			i += 2;
		}
		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (k == n || c != name[k])
			return false;
	}
	return k == n;
}

/* By Signature Version 4 or 2. */
static bool presigned(struct str query)
{
	for (size_t i = 0, e; i < query.n; i = e + 1) {
		const char *eq;
		struct str s;

		for (e = i; e < query.n && query.p[e] != '&';)
			e++;
		s = (struct str){ query.p + i, e - i };
		eq = s.n ? memchr(s.p, '=', s.n) : NULL;
		if (eq)
			s.n = (size_t)(eq - s.p);
		if (is_name(s, "x-amz-signature") || is_name(s, "awsaccesskeyid"))
			return true;
	}
	return false;
}

const char *resign_doubt(const struct session *s, const struct credential *c)
{
	const struct field *f;

	if (!resign_binds(c, s->x.rq.q.host))
		return NULL;
	f = head_find(&s->req.head, "authorization");
	if (presigned(s->x.rq.q.query))
		return "it is signed in its address (a presigned URL), which cannot be signed "
		       "anew: "
		       "ask with a signature in Authorization";
	if (!f || s->x.resign.signed_by_job || credential_client_auth_pass(c))
		return NULL;
	if (head_count(&s->req.head, "authorization") > 1)
		return "it has several Authorization fields";
	if (str_starts(f->value, "AWS4-ECDSA"))
		return "it is signed for several regions (SigV4A): use a regional endpoint";
	if (str_starts(f->value, "AWS ") || str_starts(f->value, "AWS4"))
		return "its Authorization is not a well-formed AWS4-HMAC-SHA256";
	return NULL; /* another kind: taken out like everywhere */
}

/* ---- questions that are answered with keys ---- */

static const struct mint {
	const char *service;
	const char *header; /* of X-Amz-Target, behind its last dot; NULL: see action */
	const char *action; /* of the query protocol: a name, or what it begins with */
	const char *query;  /* the name of a query key */
} mints[] = {
	{ "sts", NULL, "Assume", NULL },
	{ "sts", NULL, "GetSessionToken", NULL },
	{ "sts", NULL, "GetFederationToken", NULL },
	{ "sts", NULL, "GetWebIdentityToken", NULL },
	{ "sts", NULL, "GetDelegatedAccessToken", NULL },
	{ "iam", NULL, "CreateAccessKey", NULL },
	{ "iam", NULL, "CreateServiceSpecificCredential", NULL },
	{ "iam", NULL, "ResetServiceSpecificCredential", NULL },
	{ "s3express", NULL, NULL, "session" },
	{ "s3", NULL, NULL, "session" },
	{ "cognito-identity", "GetCredentialsForIdentity", NULL, NULL },
	{ "redshift", NULL, "GetClusterCredentials", NULL },
};

/* "Action=NAME" among the fields of a form or a query. */
static bool has_action(struct str form, const char *prefix)
{
	for (size_t i = 0, e; i < form.n; i = e + 1) {
		size_t n = 0;
		struct str s;

		for (e = i; e < form.n && form.p[e] != '&';)
			e++;
		while (i + n < e && form.p[i + n] != '=')
			n++;
		if (!is_name((struct str){ form.p + i, n }, "action") || i + n == e)
			continue;
		s = (struct str){ form.p + i + n + 1, e - i - n - 1 };
		/* A client that encodes letters wants to be misread. */
		if (str_starts(s, prefix) || memchr(s.p, '%', s.n) || memchr(s.p, '+', s.n))
			return true;
	}
	return false;
}

static bool has_key(struct str query, const char *name)
{
	for (size_t i = 0, e; i < query.n; i = e + 1) {
		size_t n;

		for (e = i; e < query.n && query.p[e] != '&';)
			e++;
		for (n = 0; i + n < e && query.p[i + n] != '=';)
			n++;
		if (is_name((struct str){ query.p + i, n }, name))
			return true;
	}
	return false;
}

static bool asks_for_keys(const struct session *s, const struct mint *m)
{
	const struct exchange *x = &s->x;
	const struct field *f = head_find(&s->req.head, "x-amz-target");

	if (!str_is(str_of(x->resign.service), m->service))
		return false;
	if (m->header && f) {
		const char *dot = memrchr(f->value.p, '.', f->value.n);
		struct str last =
			dot ? (struct str){ dot + 1, (size_t)(f->value.p + f->value.n - dot - 1) }
			    : f->value;

		return str_is(last, m->header);
	}
	if (m->action)
		return has_action(x->carrier.body, m->action) ||
		       has_action(x->rq.q.query, m->action);
	if (m->query)
		return has_key(x->rq.q.query, m->query);
	return false;
}

/* The action stands in the body, whatever hash the client says of it. */
static bool reads_action(const char *service)
{
	for (size_t i = 0; i < ARRAY_SIZE(mints); i++)
		if (mints[i].action && str_is(str_of(service), mints[i].service))
			return true;
	return false;
}

/* ---- the scope ---- */

static bool region_of_credential(const struct credential *c, const char *region)
{
	enum param id;
	struct str v;

	for (size_t at = 0; credential_each_param(c, &at, &id, &v);)
		if (id == PARAM_REGION && str_is(v, region))
			return true;
	return false;
}

bool resign_ready(struct session *s, const struct credential *c)
{
	struct exchange *x = &s->x;
	struct resign *r = &x->resign;
	const struct field *f;
	struct str payload;

	r->scope[0] = 0;
	if (!r->signed_by_job || !resign_binds(c, x->rq.q.host))
		return true;
	f = head_find(&s->req.head, "x-amz-content-sha256");
	payload = f ? f->value : STR("");
	if (!region_of_credential(c, r->region)) {
		answer_fault(s, 403, REASON_CREDENTIAL,
			     "credential %.*s signs for no region %s: it was signed for that "
			     "region by the job",
			     STR_ARG(credential_name(c)), r->region);
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(mints); i++) {
		if (!asks_for_keys(s, &mints[i]))
			continue;
		answer_fault(s, 403, REASON_CREDENTIAL,
			     "%s would answer with keys, which a job does not hold: "
			     "name a credential for what it is wanted for",
			     r->service);
		return false;
	}
	if (head_count(&s->req.head, "x-amz-content-sha256") > 1 ||
	    (str_starts(payload, "STREAMING-") && !str_is(payload, SIGV4_STREAMING) &&
	     !str_is(payload, SIGV4_STREAMING_TRAILER) &&
	     !str_is(payload, SIGV4_STREAMING_UNSIGNED))) {
		answer_fault(s, 400, REASON_CREDENTIAL,
			     "its body is signed in a way (X-Amz-Content-SHA256) that cannot be "
			     "signed anew");
		return false;
	}
	if (str_starts(payload, SIGV4_STREAMING) && s->req.head.body != BODY_LENGTH) {
		answer_fault(s, 411, REASON_CREDENTIAL, "a signed stream needs a Content-Length");
		return false;
	}
	sigv4_time(clock_wall_us(), r->time);
	snprintf(r->scope, sizeof(r->scope), "%.8s/%s/%s", r->time, r->region, r->service);
	return true;
}

bool resign_reads_body(const struct session *s)
{
	const struct exchange *x = &s->x;
	const struct credentials *creds = s->px->creds;
	const struct field *f = head_find(&s->req.head, "authorization");
	struct sigv4_said said;
	char service[64];

	if (s->req.head.body == BODY_NONE || !f || sigv4_read(f->value, &said) < 0)
		return false;
	snprintf(service, sizeof(service), "%.*s", STR_ARG(said.parts.service));
	if (head_find(&s->req.head, "x-amz-content-sha256") && !reads_action(service))
		return false;
	for (int i = 0; i < creds_count(creds); i++) {
		struct credential c = creds_at(creds, i);

		if (credential_host(&c, x->rq.q.host) && resign_binds(&c, x->rq.q.host))
			return true;
	}
	return false;
}

/* ---- signing ---- */

static bool signed_field(struct str name)
{
	return str_starts(name, "x-amz-") || str_is(name, "content-type") ||
	       str_is(name, "content-md5");
}

static bool is_s3(const char *service)
{
	struct str s = str_of(service);

	return str_is(s, "s3") || str_is(s, "s3express") || str_is(s, "s3-outposts") ||
	       str_is(s, "s3-object-lambda");
}

static bool stream_pass(struct flow *f, struct str bytes, struct buf *to)
{
	struct session *s = f->owner;
	struct resign *r = &s->x.resign;
	int e;

	if (to)
		e = sigv4_chunked_feed(&r->stream, r->key.p, bytes, to);
	else
		e = sigv4_chunked_ended(&r->stream) ? 0 : -EBADMSG;
	if (e < 0)
		f->parser->why = r->stream.why ? r->stream.why : "a signed stream without its end";
	return e == 0;
}

static int stream_start(struct session *s, const struct lease *l, bool trailer,
			const char *signature)
{
	struct resign *r = &s->x.resign;
	int e;

	resign_done(r);
	e = secret_dup(l->value.p, l->value.n, &r->key);
	if (e < 0)
		return e;
	sigv4_chunked_init(&r->stream, trailer, r->time, str_of(r->scope), signature);
	s->up.recode = stream_pass;
	s->up.owner = s;
	return 0;
}

/* The body's hash, or the word that stands for it; said in a field of its own where S3 wants it. */
static int payload_of(struct session *s, struct head *h, struct str *ret)
{
	const struct field *f = head_find(h, "x-amz-content-sha256");
	struct exchange *x = &s->x;
	char *digest;
	int e;

	if (f) {
		*ret = f->value;
		return 0;
	}
	digest = arena_new(&s->arena, SIGV4_HEX + 1);
	e = sigv4_hash(x->carrier.body.p ? x->carrier.body : STR(""), digest);
	*ret = (struct str){ digest, SIGV4_HEX };
	if (e == 0 && is_s3(x->resign.service))
		head_add(h, &s->arena, STR("x-amz-content-sha256"), *ret);
	return e;
}

int resign_put(struct session *s, const struct lease *l, struct str target)
{
	struct exchange *x = &s->x;
	struct resign *r = &x->resign;
	struct head *h = &s->req.head;
	struct field fields[SIGV4_FIELDS_MAX];
	const char *mark = memchr(target.p, '?', target.n);
	size_t path_n = mark ? (size_t)(mark - target.p) : target.n;
	struct sigv4_request q = { .method = h->method,
				   .path = { target.p, path_n },
				   .fields = fields,
				   .s3 = is_s3(r->service) };
	struct str scope = str_of(r->scope);
	char signature[SIGV4_HEX + 1];
	struct buf value;
	int e;

	if (mark)
		q.query = (struct str){ mark + 1, target.n - path_n - 1 };
	head_drop(h, "authorization");
	head_drop(h, "x-amz-date");
	head_drop(h, "x-amz-security-token");
	head_add(h, &s->arena, STR("x-amz-date"), str_of(r->time));
	head_add(h, &s->arena, STR("x-amz-security-token"),
		 (struct str){ (char *)l->session.p, l->session.n });
	e = payload_of(s, h, &q.payload);
	fields[q.n++] =
		(struct field){ .name = STR("host"), .value = { x->rq.host, x->rq.host_n } };
	for (size_t i = 0; e == 0 && i < h->n; i++) {
		if (!signed_field(h->fields[i].name))
			continue;
		if (q.n == SIGV4_FIELDS_MAX)
			e = -E2BIG;
		else
			fields[q.n++] = h->fields[i];
	}
	if (e == 0)
		e = sigv4_sign(&q, l->value.p, r->time, scope, signature);
	if (e < 0)
		return e;
	buf_init(&value, 8192);
	e = sigv4_authorization(&q, (struct str){ (char *)l->access_key.p, l->access_key.n }, scope,
				signature, &value);
	if (e == 0)
		head_add(h, &s->arena, STR("authorization"), arena_str(&s->arena, buf_str(&value)));
	buf_done(&value);
	if (e == 0 &&
	    (str_is(q.payload, SIGV4_STREAMING) || str_is(q.payload, SIGV4_STREAMING_TRAILER)))
		e = stream_start(s, l, str_is(q.payload, SIGV4_STREAMING_TRAILER), signature);
	return e;
}

void resign_done(struct resign *r)
{
	secret_done(&r->key);
	sigv4_chunked_done(&r->stream);
}
