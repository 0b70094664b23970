/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made for tests, good or bad in one chosen way. */
#ifndef TESTS_PROXY_CERTS_H
#define TESTS_PROXY_CERTS_H

#include "base/bytes.h"
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct made_cert {
	X509 *cert;
	EVP_PKEY *key;
};

struct cert_form {
	const char *cn;
	const char *san;   /* OpenSSL's syntax; NULL: none */
	const char *basic; /* "critical,CA:TRUE" or NULL */
	const char *usage;
	const char *eku;
	const char *constraints;
	int from_days, to_days; /* both 0: yesterday to in 10 days */
	int rsa_bits;		/* 0: P-256 */
	const char *curve;
	int version;	  /* 0: v3 */
	const EVP_MD *md; /* NULL: SHA-256 */
	bool no_ids;
};

static inline void cert_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, (char *)value);
	if (!e || !X509_add_ext(cert, e, -1))
		abort();
	X509_EXTENSION_free(e);
}

/* issuer NULL: self-signed. */
static inline struct made_cert cert_make(const struct cert_form *f, const struct made_cert *issuer)
{
	struct made_cert m = { .cert = X509_new() };
	static long serial = 1000;
	X509_NAME *name;

	m.key = f->rsa_bits ? EVP_RSA_gen((unsigned)f->rsa_bits)
			    : EVP_EC_gen(f->curve ? f->curve : "P-256");
	if (!m.cert || !m.key)
		abort();
	if (!issuer)
		issuer = &m;
	X509_set_version(m.cert, f->version ? f->version - 1 : 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(m.cert), 86400L * (f->from_days ? f->from_days : -1));
	X509_gmtime_adj(X509_getm_notAfter(m.cert), 86400L * (f->to_days ? f->to_days : 10));
	name = X509_get_subject_name(m.cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)f->cn, -1, -1,
				   0);
	X509_set_issuer_name(m.cert, X509_get_subject_name(issuer->cert));
	X509_set_pubkey(m.cert, m.key);
	if (!f->version || f->version == 3) {
		cert_ext(m.cert, issuer->cert, NID_basic_constraints, f->basic);
		cert_ext(m.cert, issuer->cert, NID_key_usage, f->usage);
		cert_ext(m.cert, issuer->cert, NID_ext_key_usage, f->eku);
		cert_ext(m.cert, issuer->cert, NID_subject_alt_name, f->san);
		cert_ext(m.cert, issuer->cert, NID_name_constraints, f->constraints);
		if (!f->no_ids) {
			cert_ext(m.cert, issuer->cert, NID_subject_key_identifier, "hash");
			cert_ext(m.cert, issuer->cert, NID_authority_key_identifier,
				 "keyid:always");
		}
	}
	if (!X509_sign(m.cert, issuer->key, f->md ? f->md : EVP_sha256()))
		abort();
	return m;
}

static inline void cert_free(struct made_cert *m)
{
	X509_free(m->cert);
	EVP_PKEY_free(m->key);
	m->cert = NULL;
	m->key = NULL;
}

#define CA_FORM(name)                                                                            \
	{                                                                                        \
		.cn = name, .basic = "critical,CA:TRUE", .usage = "critical,keyCertSign,cRLSign" \
	}
#define LEAF_FORM(name, names)                                            \
	{                                                                 \
		.cn = name, .san = names, .basic = "critical,CA:FALSE",   \
		.usage = "critical,digitalSignature", .eku = "serverAuth" \
	}

#endif
