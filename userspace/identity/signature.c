/* SPDX-License-Identifier: Apache-2.0 */
/* See signature.h. The only file that includes cjose, which does not know Ed25519: that is
 * libcrypto's here, one call. */
#include "identity/signature.h"

#include <cjose/cjose.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

int signature_early(void)
{
	cjose_header_t *h;

	/* Else libcrypto opens its configuration at its first use, which is in the jail. */
	if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		return -EIO;
	h = cjose_header_new(NULL);
	if (!h)
		return -EIO;
	cjose_header_release(h);
	return 0;
}

static bool by_cjose(const struct token *t, struct str jwk, bool *ret_usable)
{
	cjose_jwk_t *key = cjose_jwk_import(jwk.p, jwk.n, NULL);
	cjose_jws_t *jws = cjose_jws_import(t->text.p, t->text.n, NULL);
	bool good = key && jws && cjose_jws_verify(jws, key, NULL);

	*ret_usable = key != NULL;
	cjose_jws_release(jws);
	cjose_jwk_release(key);
	return good;
}

/* RFC 8037 3.1: over the first two parts and the dot between, as they came. */
static bool by_edwards(const struct token *t, struct str point, bool *ret_usable)
{
	const char *dot = memrchr(t->text.p, '.', t->text.n);
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
						    (const unsigned char *)point.p, point.n);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool good =
		key && md && dot && EVP_DigestVerifyInit(md, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestVerify(md, (const unsigned char *)t->signature.p, t->signature.n,
				 (const unsigned char *)t->text.p, (size_t)(dot - t->text.p)) == 1;

	*ret_usable = key != NULL;
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	return good;
}

int signature_check(const struct token *t, const struct token_key *key, char *why, size_t n)
{
	bool usable, good;

	good = key->ed25519.n ? by_edwards(t, key->ed25519, &usable)
			      : by_cjose(t, key->jwk, &usable);
	if (!usable)
		snprintf(why, n, "the issuer's key cannot be used");
	else if (!good)
		snprintf(why, n, "the token's signature is not the issuer's");
	return good ? 0 : -EINVAL;
}
