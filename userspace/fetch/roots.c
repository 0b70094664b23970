/* SPDX-License-Identifier: Apache-2.0 */
/* See roots.h. libcurl would parse all 140 of them for each connection. */
#include "fetch/roots.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

int roots_early(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	bool said = false;

	if (ssl && in && out) {
		SSL_set_bio(ssl, in, out);
		in = NULL;
		(void)SSL_connect(ssl); /* to nobody */
		said = BIO_pending(out) > 0;
		out = NULL;
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	BIO_free(in);
	BIO_free(out);
	ERR_clear_error();
	return said ? 0 : -EIO;
}

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
