/* SPDX-License-Identifier: Apache-2.0 */
/* See roots.h. libcurl would parse all 140 of them for each connection. */
#include "fetch/roots.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

void *roots_new(struct str pem)
{
	BIO *in = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509_STORE *store = X509_STORE_new();
	unsigned added = 0;
	X509 *one;

	while (in && store && (one = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		added += X509_STORE_add_cert(store, one) == 1;
		X509_free(one);
	}
	ERR_clear_error(); /* the bundle's end is one */
	BIO_free(in);
	return added ? store : roots_free(store);
}

void *roots_free(void *store)
{
	X509_STORE_free(store);
	return NULL;
}

void roots_use(void *store, void *ssl_ctx)
{
	SSL_CTX_set1_cert_store(ssl_ctx, store);
}
