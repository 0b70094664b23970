/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes roots, jobs' CAs and the intermediates under them by OpenSSL's X.509. Called by job.c and
 * root.c. The name in the certificates comes from egretd and is checked all the same; nothing else
 * is read.
 */
#include "broker/ca.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY (24L * 60 * 60)

static bool name_ok(struct str s)
{
	if (s.n == 0 || s.n > CA_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-')
			return false;
	}
	return true;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

/* 127 random bits, positive, never zero. */
static bool set_serial(X509 *cert)
{
	uint8_t bytes[16];
	BIGNUM *n;
	bool ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x7f) | 0x40;
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok;
}

static bool set_subject(X509 *cert, const char *name)
{
	X509_NAME *n = X509_get_subject_name(cert);

	return X509_NAME_add_entry_by_txt(n, "O", MBSTRING_ASC, (const uint8_t *)"egret", -1, -1,
					  0) == 1 &&
	       X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1,
					  0) == 1;
}

/* A CA certificate for key. issuer is NULL for a root, which signs itself. It ends after `days`,
 * and never after its issuer. */
static X509 *make(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
		  const char *basic, long days)
{
	X509 *cert = X509_new(), *by = issuer ? issuer : cert;

	if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	    set_subject(cert, name) && X509_set_issuer_name(cert, X509_get_subject_name(by)) == 1 &&
	    X509_set_pubkey(cert, key) == 1 &&
	    /* A day back: jobs' clocks differ. */
	    X509_gmtime_adj(X509_getm_notBefore(cert), -DAY) &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), days * DAY) &&
	    (!issuer ||
	     ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(issuer)) <= 0 ||
	     X509_set1_notAfter(cert, X509_get0_notAfter(issuer)) == 1) &&
	    add_extension(cert, by, NID_basic_constraints, basic) &&
	    add_extension(cert, by, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	    add_extension(cert, by, NID_subject_key_identifier, "hash") &&
	    add_extension(cert, by, NID_authority_key_identifier, "keyid:always") &&
	    X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static int cert_der(X509 *cert, struct buf *to)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der), r;

	if (n <= 0)
		return -EIO;
	r = buf_add(to, der, (size_t)n);
	OPENSSL_free(der);
	return r;
}

static int key_der(EVP_PKEY *key, struct secret *ret)
{
	unsigned char *der = NULL;
	int n = i2d_PrivateKey(key, &der), r;

	if (n <= 0)
		return -EIO;
	r = secret_dup(der, (size_t)n, ret);
	OPENSSL_clear_free(der, (size_t)n);
	return r;
}

void ca_done(struct ca *c)
{
	buf_done(&c->cert);
	secret_done(&c->key);
}

void ca_issued_done(struct ca_issued *i)
{
	buf_done(&i->cert);
	secret_done(&i->key);
}

static X509 *load_cert(struct str der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)der.n);

	if (cert && p != (const unsigned char *)der.p + der.n) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static EVP_PKEY *load_key(const struct secret *s)
{
	const unsigned char *p = s->p;

	return d2i_PrivateKey(EVP_PKEY_EC, NULL, &p, (long)s->n);
}

static int make_ca(const char *name, const struct ca *by, const char *basic, long days,
		   struct ca *ret)
{
	X509 *issuer = by ? load_cert(buf_str(&by->cert)) : NULL, *cert = NULL;
	EVP_PKEY *issuer_key = by ? load_key(&by->key) : NULL, *key = EVP_EC_gen("P-256");
	struct ca c = { 0 };
	int r = -EIO;

	buf_init(&c.cert, CA_CERT_MAX);
	if (key && (!by || (issuer && issuer_key)))
		cert = make(name, key, issuer, issuer_key, basic, days);
	if (cert)
		r = cert_der(cert, &c.cert);
	if (r == 0)
		r = key_der(key, &c.key);
	X509_free(cert);
	X509_free(issuer);
	EVP_PKEY_free(issuer_key);
	EVP_PKEY_free(key);
	if (r < 0)
		ca_done(&c);
	else
		*ret = c;
	return r;
}

int ca_new(struct str name, const struct ca *by, struct ca *ret)
{
	char text[CA_NAME_MAX + 16];

	if (!name_ok(name))
		return -EINVAL;
	snprintf(text, sizeof(text), "egret job CA %.*s", STR_ARG(name));
	return make_ca(text, by, by ? "critical,CA:TRUE,pathlen:1" : "critical,CA:TRUE",
		       CA_JOB_DAYS, ret);
}

int ca_root_new(struct ca *ret)
{
	uint8_t b[4];
	char text[32];

	if (RAND_bytes(b, sizeof(b)) != 1)
		return -EIO;
	snprintf(text, sizeof(text), "egret root CA %02x%02x%02x%02x", b[0], b[1], b[2], b[3]);
	/* Below it: the job's CA and its proxy's intermediate. */
	return make_ca(text, NULL, "critical,CA:TRUE,pathlen:2", CA_ROOT_DAYS, ret);
}

bool ca_signed_by(const struct ca *c, const struct ca *by)
{
	X509 *cert = load_cert(buf_str(&c->cert)), *issuer = load_cert(buf_str(&by->cert));
	bool ok = cert && issuer && X509_check_issued(issuer, cert) == X509_V_OK &&
		  X509_verify(cert, X509_get0_pubkey(issuer)) == 1;

	X509_free(cert);
	X509_free(issuer);
	return ok;
}

/* By its names: whoever hands a CA in here has made it or opened its seal. */
bool ca_own_root(const struct ca *c)
{
	X509 *cert = load_cert(buf_str(&c->cert));
	bool own = cert && !X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert));

	X509_free(cert);
	return own;
}

bool ca_expired(const struct ca *c)
{
	X509 *cert = load_cert(buf_str(&c->cert));
	bool yes = !cert || X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0;

	X509_free(cert);
	return yes;
}

int ca_issue(const struct ca *c, struct ca_issued *ret)
{
	X509 *root = load_cert(buf_str(&c->cert)), *cert = NULL;
	EVP_PKEY *root_key = load_key(&c->key), *key = EVP_EC_gen("P-256");
	struct ca_issued out = { 0 };
	char root_name[96], name[128];
	int r = -EIO;

	buf_init(&out.cert, CA_CERT_MAX);
	if (root && root_key && key &&
	    X509_NAME_get_text_by_NID(X509_get_subject_name(root), NID_commonName, root_name,
				      sizeof(root_name)) > 0) {
		/* Two names, so that no verifier takes the intermediate for a self-signed root. */
		snprintf(name, sizeof(name), "%s proxy", root_name);
		cert = make(name, key, root, root_key, "critical,CA:TRUE,pathlen:0", CA_JOB_DAYS);
	}
	if (cert)
		r = cert_der(cert, &out.cert);
	if (r == 0)
		r = key_der(key, &out.key);
	X509_free(cert);
	X509_free(root);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(key);
	if (r < 0)
		ca_issued_done(&out);
	else
		*ret = out;
	return r;
}

int ca_pem(const struct ca *c, struct buf *to)
{
	X509 *root = load_cert(buf_str(&c->cert));
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n;
	int r = -EIO;

	if (root && bio && PEM_write_bio_X509(bio, root) == 1) {
		n = BIO_get_mem_data(bio, &p);
		if (n > 0)
			r = buf_add(to, p, (size_t)n);
	}
	BIO_free(bio);
	X509_free(root);
	return r;
}
