/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See oauth2.h: the addresses of an authorisation server, written in the credential or read from
 * the issuer's metadata (OpenID Connect Discovery, or RFC 8414), which is kept for a while. Hostile
 * bytes: the document.
 */
#include "provider/oauth2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEPT_S 3600
#define URL_MAX 1024

static struct {
	char *issuer, *token, *revoke;
	int64_t until;
} kept;

static bool is_url(struct str s)
{
	if (!str_starts(s, "https://") || s.n == 8 || s.p[8] == '/')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f || strchr("@#\\\"<>", s.p[i]))
			return false;
	return true;
}

/* An address of the document; n = 0 where there is none. */
static bool end_of(const struct node *document, bool mtls, const char *key, struct str *ret)
{
	struct str url = { "", 0 };

	if (!mtls || !node_text(node_object(document, "mtls_endpoint_aliases"), key, URL_MAX, &url))
		(void)node_text(document, key, URL_MAX, &url);
	if (url.n && !is_url(url))
		return false;
	*ret = url;
	return true;
}

int oauth2_metadata(struct question *q, const struct node *document, bool mtls,
		    struct oauth2_ends *ret)
{
	struct str issuer = question_param(q, PARAM_ISSUER), says;
	struct oauth2_ends ends = { .audience = issuer };

	if (!document || !node_text(document, "issuer", URL_MAX, &says))
		return question_fail(q, -EBADMSG,
				     "the issuer's metadata is not a JSON object "
				     "with an issuer");
	if (!str_eq(says, issuer))
		return question_fail(q, -EBADMSG, "the metadata of %.*s names another issuer, %.*s",
				     STR_ARG(issuer), STR_ARG(says));
	if (!end_of(document, mtls, "token_endpoint", &ends.token) || !ends.token.n)
		return question_fail(q, -EBADMSG,
				     "the issuer's metadata has no token_endpoint that "
				     "is an https address");
	if (!end_of(document, mtls, "revocation_endpoint", &ends.revoke))
		return question_fail(q, -EBADMSG,
				     "the issuer's revocation_endpoint is no https "
				     "address");
	*ret = ends;
	return 0;
}

static void keep(const struct question *q, const struct oauth2_ends *ends)
{
	free(kept.issuer);
	free(kept.token);
	free(kept.revoke);
	kept.issuer = mem_dup(ends->audience);
	kept.token = mem_dup(ends->token);
	kept.revoke = mem_dup(ends->revoke);
	kept.until = q->now + KEPT_S;
}

void oauth2_looked(long status)
{
	if (status == 0 || status == 404 || status == 405 || status == 410)
		kept.until = 0;
}

static int ask_metadata(struct question *q, struct str url, struct http_answer *got)
{
	struct http_ask ask = { .method = "GET", .url = url, .at = url.p + 8 };
	int r;

	ask.headers[0] = "Accept: application/json";
	if (str_is(question_param(q, PARAM_CLIENT_AUTH), "mtls")) {
		ask.cert = question_secret(q, PARAM_CLIENT_CERT);
		ask.key = question_secret(q, PARAM_CLIENT_KEY);
	}
	r = http_ask(q, &ask, got);
	if (r == 0 && got->status != 200)
		r = http_refused(q, &ask, got, (struct str){ 0 });
	return r;
}

static int discover(struct question *q, struct oauth2_ends *ret)
{
	struct str issuer = question_param(q, PARAM_ISSUER);
	const char *slash = memchr(issuer.p + 8, '/', issuer.n - 8);
	struct str host = { issuer.p, slash ? (size_t)(slash - issuer.p) : issuer.n };
	struct str path = { issuer.p + host.n, issuer.n - host.n };
	struct http_answer got = { 0 };
	int r;

	if (path.n && path.p[path.n - 1] == '/')
		path.n--;
	r = ask_metadata(q,
			 question_printf(q, "%.*s%.*s/.well-known/openid-configuration",
					 STR_ARG(host), STR_ARG(path)),
			 &got);
	/* Who speaks OAuth alone has it elsewhere (RFC 8414 3.1). */
	if (r < 0 && got.status == 404)
		r = ask_metadata(q,
				 question_printf(q,
						 "%.*s/.well-known/oauth-authorization-server%.*s",
						 STR_ARG(host), STR_ARG(path)),
				 &got);
	if (r == 0)
		r = oauth2_metadata(q, got.json,
				    str_is(question_param(q, PARAM_CLIENT_AUTH), "mtls"), ret);
	if (r == 0)
		keep(q, ret);
	return r;
}

int oauth2_find(struct question *q, struct oauth2_ends *ret)
{
	struct str issuer = question_param(q, PARAM_ISSUER);
	struct str revoke = question_param(q, PARAM_REVOKE_URL);
	struct oauth2_ends ends = { .token = question_param(q, PARAM_TOKEN_URL) };
	int r = 0;

	ends.audience = ends.token;
	if (!ends.token.n && kept.issuer && str_is(issuer, kept.issuer) && q->now < kept.until) {
		ends.audience = issuer;
		ends.token = arena_str(&q->arena, str_of(kept.token));
		ends.revoke = arena_str(&q->arena, str_of(kept.revoke));
	} else if (!ends.token.n) {
		r = discover(q, &ends);
	}
	if (revoke.n)
		ends.revoke = revoke;
	if (r == 0)
		*ret = ends;
	return r;
}
