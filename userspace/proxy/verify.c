// SPDX-License-Identifier: Apache-2.0
/*
 * Verification of upstreams: see verify.h. The order is: bounds, OpenSSL, then our own table of
 * checks over the chain that OpenSSL built. Each fault is one sentence that a person can act on;
 * text of the peer passes text_escape.
 */
#include "proxy/verify.h"

#include "policy/policy.h"
#include "proxy/address.h"
#include "proxy/suffix.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHAIN_MAX 10	/* certificates, leaf and root included */
#define NAMES_MAX 10000 /* in one certificate's SAN */

static int fault(X509_STORE_CTX *ctx, char *why, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int fault(X509_STORE_CTX *ctx, char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, VERIFY_WHY, fmt, ap);
	va_end(ap);
	if (X509_STORE_CTX_get_error(ctx) == X509_V_OK)
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
	return -EBADMSG;
}

static void subject_text(X509 *cert, char *to, size_t size)
{
	char raw[128];
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, raw,
					  sizeof(raw));

	if (n <= 0)
		n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_organizationName,
					      raw, sizeof(raw));
	text_escape(to, size, n > 0 ? (struct str){ raw, strlen(raw) } : STR("(no name)"));
}

/* "3 days ago", "in 2 hours" */
static void distance(const ASN1_TIME *t, char *to, size_t size)
{
	int days = 0, seconds = 0;
	const char *past;
	long n;

	if (ASN1_TIME_diff(&days, &seconds, NULL, t) != 1) {
		(void)snprintf(to, size, "at an unreadable time");
		return;
	}
	past = days < 0 || seconds < 0 ? " ago" : "";
	n = labs((long)days) ? labs((long)days) : labs((long)seconds) / 3600;
	(void)snprintf(to, size, "%s%ld %s%s", *past ? "" : "in ", n, days ? "days" : "hours",
		       past);
}

static void first_names(X509 *leaf, char *to, size_t size)
{
	GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	int shown = 0;
	size_t at = 0;

	to[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(sans) && shown < 3; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(sans, i);
		struct str name;

		if (g->type != GEN_DNS || size - at < 24)
			continue;
		name = (struct str){ (const char *)ASN1_STRING_get0_data(g->d.dNSName),
				     (size_t)ASN1_STRING_length(g->d.dNSName) };
		if (shown++)
			at += text_escape(to + at, size - at, STR(", "));
		at += text_escape(to + at, size - at < 48 ? size - at : 48, name);
	}
	sk_GENERAL_NAME_pop_free(sans, GENERAL_NAME_free);
}

/* OpenSSL's verdict in words. */
static int openssl_fault(X509_STORE_CTX *ctx, const struct verify_want *want, char *why)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(ctx), *leaf = X509_STORE_CTX_get0_cert(ctx);
	char who[96] = "the certificate", when[48], names[120];
	int err = X509_STORE_CTX_get_error(ctx);

	if (cert && cert != leaf) {
		char cn[64];

		subject_text(cert, cn, sizeof(cn));
		(void)snprintf(who, sizeof(who), "the CA certificate \"%s\"", cn);
	}
	switch (err) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		distance(X509_get0_notAfter(cert), when, sizeof(when));
		return fault(ctx, why, "%s expired %s", who, when);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		distance(X509_get0_notBefore(cert), when, sizeof(when));
		return fault(ctx, why, "%s is not valid yet: it starts %s", who, when);
	case X509_V_ERR_HOSTNAME_MISMATCH:
		first_names(leaf, names, sizeof(names));
		return fault(ctx, why, "the certificate is for %s, not for %.*s",
			     *names ? names : "no host name", STR_ARG(want->host));
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return fault(ctx, why, "the certificate does not name this address");
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return fault(ctx, why, "the certificate is self-signed");
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return fault(ctx, why, "the chain ends in a root that is not trusted");
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return fault(ctx, why,
			     "no trusted root leads to the certificate (an intermediate may be "
			     "missing)");
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		return fault(ctx, why, "%s has a key that is too weak", who);
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return fault(ctx, why, "%s is signed with a hash that is too weak", who);
	case X509_V_ERR_INVALID_PURPOSE:
		return fault(ctx, why, "%s is not meant for TLS servers", who);
	case X509_V_ERR_PERMITTED_VIOLATION:
	case X509_V_ERR_EXCLUDED_VIOLATION:
		return fault(ctx, why, "its CA may not sign for this name (name constraints)");
	default:
		return fault(ctx, why, "%s: %s", who, X509_verify_cert_error_string(err));
	}
}

static const char *key_fault(X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	int bits;

	if (!key)
		return "has a key that cannot be read";
	bits = EVP_PKEY_get_bits(key);
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		if (bits < 2048)
			return "has an RSA key under 2048 bits";
		if (bits > 16384)
			return "has an RSA key over 16384 bits";
		return bits % 8 ? "has an RSA key whose length is no multiple of 8" : NULL;
	case EVP_PKEY_EC:
		return bits < 256 ? "has an elliptic curve key under 256 bits" : NULL;
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return NULL;
	default:
		return "has a key of a kind that is not accepted";
	}
}

static const char *usage_fault(X509 *leaf)
{
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
	bool server = false, any = false;

	for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
		int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

		server = server || nid == NID_server_auth;
		any = any || nid == NID_anyExtendedKeyUsage;
	}
	sk_ASN1_OBJECT_pop_free(eku, ASN1_OBJECT_free);
	if (any)
		return "the certificate is for any use (anyExtendedKeyUsage), not for TLS servers";
	return server ? NULL
		      : "the certificate does not say that it is for TLS servers (no serverAuth)";
}

/* A wildcard must stand for the whole first label, over a name that somebody owns. */
static bool wildcard_good(struct str name)
{
	char canonical[HOST_MAX + 1];
	size_t n;

	if (!memchr(name.p, '*', name.n))
		return true;
	if (name.n < 3 || name.p[0] != '*' || name.p[1] != '.' ||
	    memchr(name.p + 1, '*', name.n - 1))
		return false;
	name.p += 2;
	name.n -= 2;
	return !host_canonical(name, canonical, &n) &&
	       !suffix_is_public((struct str){ canonical, n });
}

/* Does this SAN, taken alone, cover the host? Case-folded by hand: SANs are ASCII. */
static bool covers(struct str san, struct str host)
{
	const char *dot;

	if (san.n > 2 && san.p[0] == '*' && san.p[1] == '.') {
		dot = memchr(host.p, '.', host.n);
		if (!dot)
			return false;
		host.n -= (size_t)(dot + 1 - host.p);
		host.p = dot + 1;
		san.p += 2;
		san.n -= 2;
	}
	return str_eq_nocase(san, host);
}

/* OpenSSL found a name that fits; at least one that fits must be one we accept too. */
static const char *names_fault(X509 *leaf, struct str host)
{
	GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	const char *ret = "the certificate names the host only by a wildcard over a public suffix";
	int n = sk_GENERAL_NAME_num(sans);

	if (n > NAMES_MAX)
		ret = "the certificate has too many names";
	for (int i = 0; i < n && n <= NAMES_MAX; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(sans, i);
		struct str san;

		if (g->type != GEN_DNS)
			continue;
		san = (struct str){ (const char *)ASN1_STRING_get0_data(g->d.dNSName),
				    (size_t)ASN1_STRING_length(g->d.dNSName) };
		if (covers(san, host) && wildcard_good(san)) {
			ret = NULL;
			break;
		}
	}
	sk_GENERAL_NAME_pop_free(sans, GENERAL_NAME_free);
	return ret;
}

/* RFC 5280 4.2.1.10: a wildcard SAN may expand into an excluded subtree; OpenSSL compares the
 * pattern as text only. */
static bool excluded(X509 *ca, struct str host)
{
	NAME_CONSTRAINTS *nc = X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL);
	bool hit = false;

	for (int i = 0; nc && i < sk_GENERAL_SUBTREE_num(nc->excludedSubtrees); i++) {
		const GENERAL_NAME *g = sk_GENERAL_SUBTREE_value(nc->excludedSubtrees, i)->base;
		struct str base, tail;

		if (g->type != GEN_DNS)
			continue;
		base = (struct str){ (const char *)ASN1_STRING_get0_data(g->d.dNSName),
				     (size_t)ASN1_STRING_length(g->d.dNSName) };
		if (base.n && base.p[0] == '.') {
			base.p++;
			base.n--;
		}
		if (base.n > host.n)
			continue;
		tail = (struct str){ host.p + host.n - base.n, base.n };
		if (!base.n || (str_eq_nocase(tail, base) &&
				(host.n == base.n || host.p[host.n - base.n - 1] == '.')))
			hit = true;
	}
	NAME_CONSTRAINTS_free(nc);
	return hit;
}

static int own_checks(X509_STORE_CTX *ctx, const struct verify_want *want, char *why)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	X509 *leaf = X509_STORE_CTX_get0_cert(ctx), *cert;
	int n = sk_X509_num(chain);
	const char *bad;
	char cn[64];

	if (n > CHAIN_MAX)
		return fault(ctx, why, "the chain has %d certificates", n);
	if (n < 2)
		return fault(ctx, why, "the certificate is a root itself");
	if (X509_check_ca(leaf))
		return fault(ctx, why, "the certificate is a CA's, not a server's");
	if (X509_get_ext_by_NID(leaf, NID_name_constraints, -1) >= 0)
		return fault(ctx, why,
			     "the certificate holds name constraints, which only a CA may");
	bad = usage_fault(leaf);
	if (!bad && want->host.n)
		bad = names_fault(leaf, want->host);
	if (bad)
		return fault(ctx, why, "%s", bad);
	for (int i = 0; i < n; i++) {
		cert = sk_X509_value(chain, i);
		bad = key_fault(cert);
		if (!bad && X509_get_version(cert) != 2 && i < n - 1)
			bad = "is not of version 3";
		if (!bad && i && want->host.n && excluded(cert, want->host))
			bad = "excludes this host";
		if (!bad)
			continue;
		if (!i)
			return fault(ctx, why, "the certificate %s", bad);
		subject_text(cert, cn, sizeof(cn));
		return fault(ctx, why, "the CA certificate \"%s\" %s", cn, bad);
	}
	return 0;
}

static int bounds(X509_STORE_CTX *ctx, const struct verify_want *want, char *why)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(ctx);
	X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
	size_t bytes = 0;

	if (sk_X509_num(chain) > CHAIN_MAX)
		return fault(ctx, why, "the server sent %d certificates", sk_X509_num(chain));
	for (int i = 0; i < sk_X509_num(chain); i++)
		bytes += (size_t)i2d_X509(sk_X509_value(chain, i), NULL);
	if (leaf && !sk_X509_num(chain))
		bytes += (size_t)i2d_X509(leaf, NULL);
	if (bytes > want->chain_bytes)
		return fault(ctx, why, "the server's certificates have %zu bytes", bytes);
	return 0;
}

static int prepare(X509_STORE_CTX *ctx, const struct verify_want *want)
{
	X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
	bool v4;

	if (X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT | X509_V_FLAG_POLICY_CHECK |
						   X509_V_FLAG_TRUSTED_FIRST) != 1 ||
	    X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER) != 1)
		return -EINVAL;
	X509_VERIFY_PARAM_set_auth_level(p, 2);
	X509_VERIFY_PARAM_set_depth(p, CHAIN_MAX - 2);
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						   X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (want->host.n)
		return X509_VERIFY_PARAM_set1_host(p, want->host.p, want->host.n) == 1 ? 0
										       : -EINVAL;
	v4 = address_is_v4(want->addr);
	return X509_VERIFY_PARAM_set1_ip(p, want->addr + (v4 ? 12 : 0), v4 ? 4 : 16) == 1 ? 0
											  : -EINVAL;
}

int verify_chain(X509_STORE_CTX *ctx, const struct verify_want *want, char *why)
{
	int r;

	r = bounds(ctx, want, why);
	if (r)
		return r;
	if (prepare(ctx, want))
		return fault(ctx, why, "the verification could not be set up");
	if (X509_verify_cert(ctx) != 1) {
		ERR_clear_error();
		return openssl_fault(ctx, want, why);
	}
	return own_checks(ctx, want, why);
}
