/* SPDX-License-Identifier: Apache-2.0 */
/* See vault_form.h. */
#include "provider/vault_form.h"

#include "provider/http.h"
#include <errno.h>
#include <inttypes.h>

#define ERRORS_MAX 16

static bool printable(struct str s, size_t max, char from)
{
	if (!s.n || s.n > max)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < from || s.p[i] > 0x7e)
			return false;
	return true;
}

/* ---- what is said ---- */

static bool part_good(struct str part)
{
	return part.n && !str_is(part, ".") && !str_is(part, "..");
}

bool vault_path(struct question *q, struct str path, struct str *ret)
{
	struct str done = { "", 0 };
	size_t begin = 0;

	for (size_t i = 0; i <= path.n; i++) {
		unsigned char c = i < path.n ? (unsigned char)path.p[i] : '/';
		struct str part = { path.p + begin, i - begin };

		if (c < ' ' || c == 0x7f || c == '?' || c == '#' || c == '%')
			return false;
		if (c != '/')
			continue;
		if (!part_good(part))
			return false;
		part = url_escaped(q, part);
		done = question_printf(q, "%.*s%s%.*s", STR_ARG(done), begin ? "/" : "",
				       STR_ARG(part));
		begin = i + 1;
	}
	*ret = done;
	return true;
}

struct str vault_login_path(struct question *q)
{
	struct str mount = question_param(q, PARAM_AUTH_MOUNT);

	if (!mount.n)
		mount = question_param(q, PARAM_AUTH_METHOD);
	return question_printf(q, "auth/%.*s/login", STR_ARG(mount));
}

int vault_login_body(struct question *q, struct str *ret)
{
	struct str method = question_param(q, PARAM_AUTH_METHOD);
	struct str role = question_param(q, PARAM_AUTH_ROLE), secret;

	if (str_is(method, "cert")) {
		*ret = json_body(q, (const struct pair[]){ { "name", role }, { 0 } });
	} else if (str_is(method, "approle")) {
		secret = question_secret(q, PARAM_AUTH_SECRET_ID);
		if (!secret.n)
			return question_fail(q, -EINVAL, "the secret_id is empty");
		*ret = json_body(q, (const struct pair[]){
					    { "role_id", question_param(q, PARAM_AUTH_ROLE_ID) },
					    { "secret_id", secret },
					    { 0 } });
	} else {
		bool own = str_is(method, "jwt");

		secret = own ? q->token : question_secret(q, PARAM_AUTH_TOKEN);
		if (!secret.n && own)
			return question_fail(q, -EINVAL,
					     "the job has no identity token to log in with (jwt)");
		if (!secret.n)
			return question_fail(q, -EINVAL, "the account's token is empty");
		*ret = json_body(
			q, (const struct pair[]){ { "role", role }, { "jwt", secret }, { 0 } });
	}
	return 0;
}

struct str vault_lease_body(struct question *q, struct str lease, uint64_t increment_s)
{
	struct str id = lease.n ? json_quoted(q, lease) : lease;

	if (id.n && increment_s)
		return question_printf(q, "{\"lease_id\":%.*s,\"increment\":%" PRIu64 "}",
				       STR_ARG(id), increment_s);
	if (id.n)
		return question_printf(q, "{\"lease_id\":%.*s}", STR_ARG(id));
	if (increment_s)
		return question_printf(q, "{\"increment\":%" PRIu64 "}", increment_s);
	return STR("{}");
}

/* ---- what is answered ---- */

static bool is_kind(const struct node *n, enum node_kind kind)
{
	return n && n->kind == kind;
}

static bool seconds_of(const struct node *object, int64_t *ret)
{
	int64_t s;

	if (!node_whole(object, "lease_duration", &s) || s < 0)
		return false;
	*ret = s < VAULT_SECONDS_MAX ? s : VAULT_SECONDS_MAX;
	return true;
}

static bool truth(const struct node *object, const char *key)
{
	const struct node *v = node_get(object, key);

	return is_kind(v, NODE_BOOL) && v->number;
}

static bool read_auth(const struct node *auth, struct vault_answer *to)
{
	struct str token, type;

	if (node_object(auth, "mfa_requirement")) {
		to->mfa = true;
		return true;
	}
	if (!node_text(auth, "client_token", VAULT_TOKEN_MAX, &token) ||
	    !printable(token, VAULT_TOKEN_MAX, '!') || !seconds_of(auth, &to->token_s))
		return false;
	to->token = token;
	to->token_renewable = truth(auth, "renewable");
	to->token_batch = node_text(auth, "token_type", 32, &type) && str_is(type, "batch");
	return true;
}

static bool read_secret(const struct node *root, struct vault_answer *to)
{
	const struct node *lease = node_get(root, "lease_id"), *data, *in;

	if (is_kind(lease, NODE_STRING) && lease->text.n) {
		if (!printable(lease->text, VAULT_LEASE_MAX, ' ') ||
		    !seconds_of(root, &to->lease_s))
			return false;
		to->lease = lease->text;
		to->lease_renewable = truth(root, "renewable");
	}
	data = node_object(root, "data");
	in = data ? node_get(data, "data") : NULL;
	if (in && node_object(data, "metadata")) /* KV version 2; null: deleted */
		data = in->kind == NODE_OBJECT ? in : NULL;
	to->data = data;
	return true;
}

int vault_read(struct question *q, const struct node *root, struct vault_answer *ret)
{
	struct vault_answer to = { 0 };
	const struct node *auth;
	bool good = is_kind(root, NODE_OBJECT);

	if (good) {
		to.wrapped = node_object(root, "wrap_info") != NULL;
		auth = node_object(root, "auth");
		good = (!auth || read_auth(auth, &to)) && read_secret(root, &to);
	}
	if (!good)
		return question_fail(q, -EBADMSG, "the answer does not have the form of Vault's");
	*ret = to;
	return 0;
}

static const struct node *named(const struct node *data, struct str field)
{
	for (const struct node *v = data->first; v; v = v->next)
		if (str_eq(v->key, field))
			return v;
	return NULL;
}

static const struct node *usual(const struct node *data)
{
	static const char *const names[] = { "value", "token", "password" };

	if (data->count == 1)
		return data->first;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (node_get(data, names[i]))
			return node_get(data, names[i]);
	return NULL;
}

static int text_of(struct question *q, const struct node *v, struct str *ret)
{
	if (v->kind != NODE_STRING || !v->text.n || v->text.n > VAULT_VALUE_MAX)
		return question_fail(q, -EBADMSG,
				     "the secret's field is empty, no text, or larger than 32 KiB");
	*ret = v->text;
	return 0;
}

int vault_field(struct question *q, const struct node *data, struct str *ret)
{
	struct str field = question_param(q, PARAM_FIELD);
	struct str first = { "", 0 }, second = { "", 0 };
	const char *colon = memchr(field.p, ':', field.n);
	const struct node *v, *w;
	int r;

	if (!data)
		return question_fail(q, -ENOENT,
				     "there is no secret at %.*s (of KV version 2 the path has "
				     "data/ behind the mount)",
				     STR_ARG(question_param(q, PARAM_PATH)));
	v = field.n ? named(data, field) : usual(data);
	if (v)
		return text_of(q, v, ret);
	if (!field.n)
		return question_fail(q, -ENOENT,
				     "the secret has %u fields, none of them called value, token "
				     "or password: say which by \"field\"",
				     data->count);
	if (!colon)
		return question_fail(q, -ENOENT, "the secret has no field %.*s", STR_ARG(field));
	v = named(data, (struct str){ field.p, (size_t)(colon - field.p) });
	w = named(data, (struct str){ colon + 1, (size_t)(field.p + field.n - colon - 1) });
	if (!v || !w)
		return question_fail(q, -ENOENT, "the secret has not both fields of %.*s",
				     STR_ARG(field));
	r = text_of(q, v, &first);
	if (r == 0)
		r = text_of(q, w, &second);
	if (r == 0)
		*ret = question_printf(q, "%.*s:%.*s", STR_ARG(first), STR_ARG(second));
	return r;
}

/* ---- what goes wrong ---- */

/* The first that the server's text holds. */
static const struct {
	const char *text, *words;
} faults[] = {
	{ "is sealed", "sealed" },
	{ "not initialized", "not initialised" },
	{ "standby", "this one is a standby that passes nothing on" },
	{ "rate limit quota", "too many requests" },
	{ "invalid role or secret", "role_id or secret_id is wrong, used up or expired" },
	{ "invalid secret id", "role_id or secret_id is wrong, used up or expired" },
	{ "invalid role ID", "role_id or secret_id is wrong, used up or expired" },
	{ "could not be found", "there is no such role" },
	{ "invalid role name", "there is no such role" },
	{ "audience", "the token is for another audience than the role's" },
	{ "issuer", "the token is of another issuer than the mount's" },
	{ "is expired", "the token has expired" },
	{ "not yet valid", "the token is not valid yet" },
	{ "bound claim", "the role is bound to other claims than these" },
	{ "not authorized", "the role is not for this account" },
	{ "signature", "the token is signed by none of the mount's keys" },
	{ "client certificate", "the role does not take this certificate" },
	{ "no handler for route", "nothing is mounted there in this namespace" },
	{ "not renewable", "it is not renewable" },
	{ "lease not found", "there is no such lease any more" },
	{ "invalid lease", "there is no such lease any more" },
	{ "invalid token", "the token is not valid any more" },
	{ "bad token", "the token is not valid any more" },
	{ "permission denied", "permission denied" },
	{ "X-Vault-Request", "it did not see the header X-Vault-Request" },
};

static bool any_holds(const struct node *list, const char *text)
{
	unsigned seen = 0;

	for (const struct node *e = list->first; e && seen < ERRORS_MAX; e = e->next, seen++)
		if (e->kind == NODE_STRING && memmem(e->text.p, e->text.n, text, strlen(text)))
			return true;
	return false;
}

int vault_fault(long status, const struct node *root, const char **ret_words)
{
	const struct node *list = is_kind(root, NODE_OBJECT) ? node_get(root, "errors") : NULL;

	*ret_words = status == 404 ? "it is not there" : "";
	for (size_t i = 0; i < ARRAY_SIZE(faults) && is_kind(list, NODE_ARRAY); i++) {
		if (any_holds(list, faults[i].text)) {
			*ret_words = faults[i].words;
			break;
		}
	}
	if (status >= 500 || status == 408 || status == 412 || status == 429 || status == 472 ||
	    status == 473)
		return -EAGAIN;
	return status == 404 ? -ENOENT : -EACCES;
}

const char *vault_health(long status)
{
	switch (status) {
	case 429:
		return "this one is a standby that passes nothing on";
	case 472:
		return "this one is a secondary for disaster recovery";
	case 473:
		return "this one is a performance standby that passes nothing on";
	case 501:
		return "not initialised";
	case 503:
		return "sealed";
	default:
		return NULL;
	}
}

/* ---- the handle ---- */

struct str vault_handle_write(struct question *q, const struct vault_handle *h)
{
	return question_printf(q, "1 %c%c %" PRId64 " %" PRId64 " %.*s %.*s", h->batch ? 'b' : 's',
			       h->token_renewable ? 'r' : '-', h->token_ends, h->granted_s,
			       STR_ARG(h->token), STR_ARG(h->lease));
}

static bool word(struct str *from, struct str *ret)
{
	const char *blank = memchr(from->p, ' ', from->n);

	if (!blank)
		return false;
	*ret = (struct str){ from->p, (size_t)(blank - from->p) };
	from->n -= ret->n + 1;
	from->p = blank + 1;
	return true;
}

static bool number(struct str *from, int64_t *ret)
{
	struct str s;
	uint64_t v;

	if (!word(from, &s) || str_u64(s, &v) < 0 || v > INT64_MAX / 4)
		return false;
	*ret = (int64_t)v;
	return true;
}

int vault_handle_read(struct str from, struct vault_handle *ret)
{
	struct vault_handle to = { 0 };
	struct str version, kind;

	if (!from.n || from.n > VAULT_HANDLE_MAX || !word(&from, &version) ||
	    !str_is(version, "1") || !word(&from, &kind) || kind.n != 2 ||
	    !number(&from, &to.token_ends) || !number(&from, &to.granted_s) ||
	    !word(&from, &to.token) || !printable(to.token, VAULT_TOKEN_MAX, '!') ||
	    (from.n && !printable(from, VAULT_LEASE_MAX, ' ')))
		return -EBADMSG;
	to.batch = kind.p[0] == 'b';
	to.token_renewable = kind.p[1] == 'r';
	to.lease = from;
	*ret = to;
	return 0;
}
