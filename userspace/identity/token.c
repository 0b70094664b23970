/* SPDX-License-Identifier: Apache-2.0 */
/* See token.h. Known are RS256, PS256, ES256 and EdDSA: what the issuers of CI systems sign with;
 * an issuer may be held to some of them. "none", and HS256 with which a public key would become a
 * password, are refused by name before any key is looked for. */
#include "identity/token.h"

#include <errno.h>
#include <stdio.h>

#define PART_MAX 12288
#define KID_MAX 256
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

static int refuse(char *why, size_t n, const char *what)
{
	snprintf(why, n, "%s", what);
	return -EINVAL;
}

bool claim_text(const struct node *object, const char *key, struct str *ret)
{
	const struct node *v = node_get(object, key);

	if (!v || v->kind != NODE_STRING || v->text.n > TOKEN_TEXT_MAX)
		return false;
	for (size_t i = 0; i < v->text.n; i++)
		if ((unsigned char)v->text.p[i] < ' ' || v->text.p[i] == 0x7f)
			return false;
	*ret = v->text;
	return true;
}

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* base64url without padding, whole and canonical. */
static bool decode(struct arena *a, struct str s, struct str *ret)
{
	unsigned bits = 0, held = 0;
	size_t n = 0;
	char *to;

	if (s.n > PART_MAX || s.n % 4 == 1)
		return false;
	to = arena_new(a, s.n + 1);
	for (size_t i = 0; i < s.n; i++) {
		int v = sextet(s.p[i]);

		if (v < 0)
			return false;
		bits = bits << 6 | (unsigned)v;
		held += 6;
		if (held >= 8) {
			held -= 8;
			to[n++] = (char)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	if (bits)
		return false;
	*ret = (struct str){ to, n };
	return true;
}

static const struct node *object_of(struct arena *a, struct str text)
{
	struct diag_file f = { STR("token"), text };
	const struct node *root;
	struct diag d;

	diag_init(&d);
	root = json_load_loose(a, &f, &d);
	diag_done(&d);
	return root && root->kind == NODE_OBJECT ? root : NULL;
}

unsigned token_alg(struct str name)
{
	static const char *const names[] = { "RS256", "PS256", "ES256", "EdDSA" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (str_is(name, names[i]))
			return 1u << i;
	return 0;
}

static int refuse_alg(struct str alg, char *why, size_t n)
{
	char shown[64];

	text_escape(shown, sizeof(shown), alg);
	if (token_alg(alg))
		snprintf(why, n,
			 "the token is signed with %s, which \"algorithms\" does not name for this "
			 "issuer",
			 shown);
	else
		snprintf(why, n,
			 "the token is signed with %s; RS256, PS256, ES256 and EdDSA are accepted",
			 shown);
	return -EINVAL;
}

int token_open(struct arena *a, struct str text, unsigned algs, struct token *ret, char *why,
	       size_t n)
{
	const struct node *header, *v;
	const char *dot1, *dot2;
	struct token t = { 0 };
	struct str part, bytes;

	while (text.n && strchr(" \t\r\n", text.p[text.n - 1]) && text.p[text.n - 1])
		text.n--;
	if (text.n > TOKEN_SIZE_MAX)
		return refuse(why, n, "the token is larger than 16 KiB");
	dot1 = text.n ? memchr(text.p, '.', text.n) : NULL;
	dot2 = dot1 ? memchr(dot1 + 1, '.', (size_t)(text.p + text.n - dot1 - 1)) : NULL;
	if (!dot2 || memchr(dot2 + 1, '.', (size_t)(text.p + text.n - dot2 - 1)))
		return refuse(why, n, "this is no signed token: it does not have three parts");
	if (dot2 + 1 == text.p + text.n)
		return refuse(why, n, "the token has no signature");
	part = (struct str){ dot2 + 1, (size_t)(text.p + text.n - dot2 - 1) };
	if (!decode(a, part, &t.signature))
		return refuse(why, n, "the token's signature is not base64url");
	part = (struct str){ text.p, (size_t)(dot1 - text.p) };
	header = decode(a, part, &bytes) ? object_of(a, bytes) : NULL;
	if (!header)
		return refuse(why, n, "the token's header is not JSON in base64url");
	part = (struct str){ dot1 + 1, (size_t)(dot2 - dot1 - 1) };
	t.claims = decode(a, part, &bytes) ? object_of(a, bytes) : NULL;
	if (!t.claims)
		return refuse(why, n, "the token's claims are not JSON in base64url");
	if (!claim_text(header, "alg", &t.alg))
		return refuse(why, n, "the token does not say its algorithm (alg)");
	if (!(token_alg(t.alg) & algs))
		return refuse_alg(t.alg, why, n);
	if (node_get(header, "crit"))
		return refuse(why, n, "the token's header demands extensions (crit)");
	v = node_get(header, "typ");
	if (v && (v->kind != NODE_STRING ||
		  (!str_eq_nocase(v->text, STR("JWT")) && !str_eq_nocase(v->text, STR("at+jwt")))))
		return refuse(why, n, "the token is of another type than JWT (typ)");
	if (!claim_text(header, "kid", &t.kid) || !t.kid.n || t.kid.n > KID_MAX)
		return refuse(why, n, "the token does not name its key (kid)");
	t.text = arena_str(a, text);
	*ret = t;
	return 0;
}

static bool audience_fits(const struct node *aud, struct str want)
{
	const struct node *one;

	if (!aud || !want.n)
		return false;
	if (aud->kind == NODE_STRING)
		return str_eq(aud->text, want);
	for (one = aud->kind == NODE_ARRAY ? aud->first : NULL; one; one = one->next)
		if (one->kind == NODE_STRING && str_eq(one->text, want))
			return true;
	return false;
}

int token_check(const struct token *t, struct str issuer, struct str audience, int64_t now,
		char *why, size_t n)
{
	const struct node *exp = node_get(t->claims, "exp"), *nbf = node_get(t->claims, "nbf"),
			  *iat = node_get(t->claims, "iat");
	struct str iss, jti;

	if (!claim_text(t->claims, "iss", &iss) || !str_eq(iss, issuer)) {
		snprintf(why, n, "the token is not from %.*s (iss)", STR_ARG(issuer));
		return -EXDEV;
	}
	if (!audience_fits(node_get(t->claims, "aud"), audience))
		return refuse(why, n,
			      "the token is not for this registration (aud): ask the CI system "
			      "for one with the audience that egret gave");
	if (!exp || exp->kind != NODE_NUMBER)
		return refuse(why, n, "the token does not say when it expires (exp)");
	if (exp->number <= now - TOKEN_LEEWAY_S)
		return refuse(why, n, "the token has expired (exp); is this host's clock right?");
	if (nbf && (nbf->kind != NODE_NUMBER || nbf->number > now + TOKEN_LEEWAY_S))
		return refuse(why, n,
			      "the token is not valid yet (nbf); is this host's clock right?");
	if (!iat || iat->kind != NODE_NUMBER || iat->number > now + TOKEN_LEEWAY_S)
		return refuse(why, n,
			      "the token was not issued before now (iat); is this host's clock "
			      "right?");
	if (!claim_text(t->claims, "jti", &jti) || !jti.n)
		return refuse(why, n, "the token has no name of its own (jti)");
	return 0;
}

int64_t token_expires(const struct token *t)
{
	return node_get(t->claims, "exp")->number;
}

int discovery_keys(struct arena *a, struct str document, struct str issuer, struct str *ret,
		   char *why, size_t n)
{
	const struct node *root = object_of(a, document);
	struct str says, uri;

	if (!root)
		return refuse(why, n, "openid-configuration: is not a JSON object");
	if (!claim_text(root, "issuer", &says) || !str_eq(says, issuer))
		return refuse(why, n, "openid-configuration: names another issuer");
	if (!claim_text(root, "jwks_uri", &uri))
		return refuse(why, n, "openid-configuration: has no jwks_uri");
	if (!str_starts(uri, "https://"))
		return refuse(why, n, "openid-configuration: its jwks_uri is not https");
	for (size_t i = 0; i < uri.n; i++)
		if (uri.p[i] <= ' ' || (unsigned char)uri.p[i] >= 0x7f || uri.p[i] == '@')
			return refuse(why, n, "openid-configuration: its jwks_uri is no address");
	*ret = uri;
	return 0;
}

/* A number of a key: base64url of min to max bytes. */
static bool key_number(struct arena *a, const struct node *key, const char *name, size_t min,
		       size_t max, struct str *ret)
{
	const struct node *v = node_get(key, name);
	struct str bytes;

	if (!v || v->kind != NODE_STRING || !decode(a, v->text, &bytes) || bytes.n < min ||
	    bytes.n > max)
		return false;
	*ret = v->text;
	return true;
}

static bool may_verify(const struct node *key)
{
	const struct node *ops = node_get(key, "key_ops"), *one;
	const struct node *use = node_get(key, "use");

	if (use && (use->kind != NODE_STRING || !str_is(use->text, "sig")))
		return false;
	if (!ops)
		return true;
	for (one = ops->kind == NODE_ARRAY ? ops->first : NULL; one; one = one->next)
		if (one->kind == NODE_STRING && str_is(one->text, "verify"))
			return true;
	return false;
}

/* RFC 8037: an octet key pair on Ed25519. */
static int key_edwards(struct arena *a, const struct node *key, struct str *ret, char *why,
		       size_t n)
{
	struct str crv, kty;
	const struct node *x = node_get(key, "x");

	if (!claim_text(key, "kty", &kty) || !str_is(kty, "OKP"))
		return refuse(why, n,
			      "the issuer's key is of another kind than the token's "
			      "algorithm needs (kty)");
	if (!claim_text(key, "crv", &crv) || !str_is(crv, "Ed25519"))
		return refuse(why, n, "the issuer's key is on another curve than Ed25519 (crv)");
	if (!x || x->kind != NODE_STRING || !decode(a, x->text, ret) || ret->n != 32)
		return refuse(why, n, "the issuer's key is malformed");
	return 0;
}

static int key_public(struct arena *a, const struct node *key, const struct token *t,
		      struct token_key *ret, char *why, size_t n)
{
	bool curve = str_is(t->alg, "ES256");
	struct str kty, crv, alg, one, two;
	size_t size;
	char *to;

	if (!may_verify(key))
		return refuse(why, n, "the issuer's key is not for signatures (use, key_ops)");
	if (node_get(key, "alg") && (!claim_text(key, "alg", &alg) || !str_eq(alg, t->alg)))
		return refuse(why, n, "the issuer's key is for another algorithm (alg)");
	if (token_alg(t->alg) == TOKEN_EDDSA)
		return key_edwards(a, key, &ret->ed25519, why, n);
	if (!claim_text(key, "kty", &kty) || !str_is(kty, curve ? "EC" : "RSA"))
		return refuse(why, n,
			      "the issuer's key is of another kind than the token's "
			      "algorithm needs (kty)");
	if (curve && (!claim_text(key, "crv", &crv) || !str_is(crv, "P-256")))
		return refuse(why, n, "the issuer's key is on another curve than P-256 (crv)");
	if (curve ? !key_number(a, key, "x", 32, 32, &one) || !key_number(a, key, "y", 32, 32, &two)
		  : !key_number(a, key, "n", RSA_BITS_MIN / 8, RSA_BITS_MAX / 8 + 1, &one) ||
			    !key_number(a, key, "e", 1, 8, &two))
		return refuse(why, n,
			      "the issuer's key is malformed, or is not RSA of 2048 to 8192 bits");
	size = one.n + two.n + 64;
	to = arena_new(a, size);
	if (curve)
		snprintf(to, size,
			 "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%.*s\",\"y\":\"%.*s\"}",
			 STR_ARG(one), STR_ARG(two));
	else
		snprintf(to, size, "{\"kty\":\"RSA\",\"n\":\"%.*s\",\"e\":\"%.*s\"}", STR_ARG(one),
			 STR_ARG(two));
	ret->jwk = str_of(to);
	return 0;
}

int keys_find(struct arena *a, struct str set, const struct token *t, struct token_key *ret,
	      char *why, size_t n)
{
	struct token_key key = { 0 };
	int r;

	const struct node *root = object_of(a, set), *keys, *one, *found = NULL, *kid;

	keys = root ? node_get(root, "keys") : NULL;
	if (!keys || keys->kind != NODE_ARRAY)
		return refuse(why, n, "the issuer's keys: not a JSON Web Key Set");
	for (one = keys->first; one; one = one->next) {
		kid = one->kind == NODE_OBJECT ? node_get(one, "kid") : NULL;
		if (!kid || kid->kind != NODE_STRING || !str_eq(kid->text, t->kid))
			continue;
		if (found)
			return refuse(why, n, "the issuer has two keys of the token's name (kid)");
		found = one;
	}
	if (!found) {
		refuse(why, n, "the issuer has no key of the token's name (kid)");
		return -ENOKEY;
	}
	r = key_public(a, found, t, &key, why, n);
	if (r == 0)
		*ret = key;
	return r;
}
