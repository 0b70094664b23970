/* SPDX-License-Identifier: Apache-2.0 */
/* See sign.h. cjose knows keys by their numbers alone: OpenSSL takes those out of a PEM. */
#include "provider/sign.h"

#include <cjose/cjose.h>
#include <errno.h>
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

int sign_early(void)
{
	cjose_header_t *h = cjose_header_new(NULL);

	if (!h)
		return -EIO;
	cjose_header_release(h);
	return 0;
}

/* A key without a passphrase: nobody is here to be asked. */
static int no_passphrase(char *to, int size, int writing, void *owner)
{
	return -1;
}

/* Numbers of a key as bytes, most significant first. */
struct numbers {
	uint8_t bytes[8][RSA_BITS_MAX / 8];
	size_t n[8];
};

static bool take(struct numbers *to, unsigned i, const EVP_PKEY *key, const char *name,
		 size_t least)
{
	BIGNUM *b = NULL;
	size_t n;
	bool good;

	if (EVP_PKEY_get_bn_param(key, name, &b) != 1)
		return false;
	n = (size_t)BN_num_bytes(b);
	to->n[i] = n < least ? least : n;
	good = to->n[i] <= sizeof(to->bytes[i]) &&
	       BN_bn2binpad(b, to->bytes[i], (int)to->n[i]) >= 0;
	BN_clear_free(b);
	return good;
}

static cjose_jwk_t *jwk_rsa(const EVP_PKEY *key, struct numbers *v)
{
	static const char *const names[] = {
		OSSL_PKEY_PARAM_RSA_N,	       OSSL_PKEY_PARAM_RSA_E,
		OSSL_PKEY_PARAM_RSA_D,	       OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1
	};
	cjose_jwk_rsa_keyspec s;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!take(v, i, key, names[i], 0))
			return NULL;
	s = (cjose_jwk_rsa_keyspec){
		.n = v->bytes[0],
		.nlen = v->n[0],
		.e = v->bytes[1],
		.elen = v->n[1],
		.d = v->bytes[2],
		.dlen = v->n[2],
		.p = v->bytes[3],
		.plen = v->n[3],
		.q = v->bytes[4],
		.qlen = v->n[4],
		.dp = v->bytes[5],
		.dplen = v->n[5],
		.dq = v->bytes[6],
		.dqlen = v->n[6],
		.qi = v->bytes[7],
		.qilen = v->n[7],
	};
	return cjose_jwk_create_RSA_spec(&s, NULL);
}

static cjose_jwk_t *jwk_ec(const EVP_PKEY *key, struct numbers *v)
{
	cjose_jwk_ec_keyspec s = { .crv = CJOSE_JWK_EC_P_256 };

	if (!take(v, 0, key, OSSL_PKEY_PARAM_PRIV_KEY, 32) ||
	    !take(v, 1, key, OSSL_PKEY_PARAM_EC_PUB_X, 32) ||
	    !take(v, 2, key, OSSL_PKEY_PARAM_EC_PUB_Y, 32))
		return NULL;
	s.d = v->bytes[0];
	s.dlen = v->n[0];
	s.x = v->bytes[1];
	s.xlen = v->n[1];
	s.y = v->bytes[2];
	s.ylen = v->n[2];
	return cjose_jwk_create_EC_spec(&s, NULL);
}

static cjose_jwk_t *jwk_of(const EVP_PKEY *key, bool pss, const char **ret_alg)
{
	struct numbers v = { 0 };
	cjose_jwk_t *jwk = NULL;
	char group[32] = "";

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
		int bits = EVP_PKEY_get_bits(key);

		*ret_alg = pss ? CJOSE_HDR_ALG_PS256 : CJOSE_HDR_ALG_RS256;
		if (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
			jwk = jwk_rsa(key, &v);
	} else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		   EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group,
						  sizeof(group), NULL) == 1 &&
		   (!strcmp(group, "prime256v1") || !strcmp(group, "P-256"))) {
		*ret_alg = CJOSE_HDR_ALG_ES256;
		jwk = jwk_ec(key, &v);
	}
	OPENSSL_cleanse(&v, sizeof(v));
	return jwk;
}

static bool head_of(cjose_header_t *h, const struct signing *s, const char *alg)
{
	return h && cjose_header_set(h, CJOSE_HDR_ALG, alg, NULL) &&
	       cjose_header_set(h, "typ", "JWT", NULL) &&
	       (!s->kid || cjose_header_set(h, CJOSE_HDR_KID, s->kid, NULL)) &&
	       (!s->x5t || cjose_header_set(h, "x5t#S256", s->x5t, NULL));
}

int sign_token(const struct signing *s, struct buf *ret, char *why, size_t n)
{
	BIO *in = s->key.n <= INT_MAX ? BIO_new_mem_buf(s->key.p, (int)s->key.n) : NULL;
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
	cjose_header_t *head = cjose_header_new(NULL);
	cjose_jwk_t *jwk = NULL;
	cjose_jws_t *jws = NULL;
	const char *alg, *text;
	int r = -EINVAL;

	ERR_clear_error();
	BIO_free(in);
	if (key)
		jwk = jwk_of(key, s->pss, &alg);
	if (!key)
		snprintf(why, n, "the key is not a private key in PEM without a passphrase");
	else if (!jwk)
		snprintf(why, n, "the key is neither RSA of 2048 to 8192 bits nor P-256");
	else if (head_of(head, s, alg))
		jws = cjose_jws_sign(jwk, head, (const uint8_t *)s->claims.p, s->claims.n, NULL);
	if (jws && cjose_jws_export(jws, &text, NULL))
		r = buf_add_str(ret, str_of(text));
	if (jwk && r < 0)
		snprintf(why, n, "the key could not sign");
	cjose_jws_release(jws);
	cjose_jwk_release(jwk);
	cjose_header_release(head);
	EVP_PKEY_free(key);
	return r;
}

int sign_thumbprint(struct str pem, unsigned char ret[SIGN_THUMBPRINT])
{
	BIO *in = pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509 *cert = in ? PEM_read_bio_X509(in, NULL, no_passphrase, NULL) : NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	ERR_clear_error();
	if (cert && X509_digest(cert, EVP_sha256(), digest, &n) == 1 && n == SIGN_THUMBPRINT)
		memcpy(ret, digest, n);
	else
		n = 0;
	X509_free(cert);
	BIO_free(in);
	return n ? 0 : -EINVAL;
}
