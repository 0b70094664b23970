/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing by OpenSSL's EVP. Called by the store (a secret's file) and by job.c (a job's root on its
 * way to egretd). Boxes come back from disk and from egretd: nothing of them is used before the tag
 * is right.
 */
#include "broker/seal.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

static void *wiping_malloc(size_t n, const char *file, int line)
{
	return malloc(n);
}

static void wiping_free(void *p, const char *file, int line)
{
	if (p)
		wipe(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *old, size_t n, const char *file, int line)
{
	size_t had;
	void *p;

	if (!old)
		return malloc(n);
	if (n == 0) {
		wiping_free(old, file, line);
		return NULL;
	}
	p = malloc(n);
	if (!p)
		return NULL;
	had = malloc_usable_size(old);
	memcpy(p, old, had < n ? had : n);
	wiping_free(old, file, line);
	return p;
}

void seal_init(void)
{
	CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free);
	if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL))
		die("libcrypto does not start");
}

int seal_derive(const struct secret *master, const char *purpose, struct secret *ret)
{
	struct secret key;
	EVP_KDF *kdf;
	EVP_KDF_CTX *ctx;
	OSSL_PARAM params[4];
	int r;

	r = secret_new(SEAL_KEY, &key);
	if (r < 0)
		return r;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, master->p, master->n);
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (char *)purpose,
						      strlen(purpose));
	params[3] = OSSL_PARAM_construct_end();
	kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	if (!ctx || EVP_KDF_derive(ctx, key.p, key.n, params) != 1)
		r = -EIO;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	if (r < 0) {
		secret_done(&key);
		return r;
	}
	*ret = key;
	return 0;
}

int seal_box(const struct secret *key, struct str aad, const void *p, size_t n, uint8_t *to)
{
	EVP_CIPHER_CTX *ctx;
	int len, r = -EIO;

	if (key->n != SEAL_KEY || n > INT32_MAX / 2 || aad.n > INT32_MAX / 2)
		return -EIO;
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return -EIO;
	if (RAND_bytes(to, SEAL_NONCE) == 1 &&
	    EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->p, to) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)aad.p, (int)aad.n) == 1 &&
	    EVP_EncryptUpdate(ctx, to + SEAL_NONCE, &len, p, (int)n) == 1 && (size_t)len == n &&
	    EVP_EncryptFinal_ex(ctx, to + SEAL_NONCE + n, &len) == 1 && len == 0 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, to + SEAL_NONCE + n) == 1)
		r = 0;
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

int seal_open(const struct secret *key, struct str aad, const uint8_t *box, size_t n,
	      struct secret *ret)
{
	EVP_CIPHER_CTX *ctx;
	struct secret value;
	int len, r;

	if (n < SEAL_OVER)
		return -EBADMSG;
	if (key->n != SEAL_KEY || n > INT32_MAX / 2 || aad.n > INT32_MAX / 2)
		return -EIO;
	r = secret_new(n - SEAL_OVER, &value);
	if (r < 0)
		return r;
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx || EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->p, box) != 1 ||
	    EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)aad.p, (int)aad.n) != 1 ||
	    EVP_DecryptUpdate(ctx, value.p, &len, box + SEAL_NONCE, (int)value.n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG,
				(void *)(box + n - SEAL_TAG)) != 1)
		r = -EIO;
	else if (EVP_DecryptFinal_ex(ctx, value.p + value.n, &len) != 1)
		r = -EBADMSG;
	EVP_CIPHER_CTX_free(ctx);
	if (r < 0)
		secret_done(&value);
	else
		*ret = value;
	return r;
}

int seal_envelope(const struct secret *key, struct str aad, const void *p, size_t n, uint8_t *to)
{
	struct secret data;
	int r = secret_new(SEAL_KEY, &data);

	if (r < 0)
		return r;
	r = RAND_priv_bytes(data.p, (int)data.n) == 1 ? 0 : -EIO;
	if (r == 0)
		r = seal_box(key, aad, data.p, data.n, to);
	if (r == 0)
		r = seal_box(&data, aad, p, n, to + SEAL_WRAPPED);
	secret_done(&data);
	return r;
}

int seal_envelope_open(const struct secret *key, struct str aad, const uint8_t *box, size_t n,
		       struct secret *ret)
{
	struct secret data;
	int r;

	if (n < SEAL_ENVELOPE_OVER)
		return -EBADMSG;
	r = seal_open(key, aad, box, SEAL_WRAPPED, &data);
	if (r < 0)
		return r;
	r = seal_open(&data, aad, box + SEAL_WRAPPED, n - SEAL_WRAPPED, ret);
	secret_done(&data);
	return r;
}

int seal_rewrap(const struct secret *key, const struct secret *old, struct str aad,
		uint8_t box[SEAL_WRAPPED])
{
	struct secret data;
	int r = seal_open(key, aad, box, SEAL_WRAPPED, &data);

	if (r == 0) {
		secret_done(&data);
		return 0;
	}
	if (r == -EBADMSG && old->n)
		r = seal_open(old, aad, box, SEAL_WRAPPED, &data);
	if (r < 0)
		return r;
	r = seal_box(key, aad, data.p, data.n, box);
	secret_done(&data);
	return r < 0 ? r : 1;
}
