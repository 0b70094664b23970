/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client certificates. Called by creds.c with what the broker leased, by uptls.c for each handshake
 * with a host of the credential. The bytes are a provider's, which the broker trusts.
 */
#include "proxy/clientcert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define CHAIN_MAX 8

struct client_cert {
	unsigned held;
	uint64_t number;
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

/* An encrypted key asks for its password: there is none, and no terminal to ask at. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

static void release(struct client_cert *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	free(c);
}

static int read_chain(struct client_cert *c, BIO *in)
{
	X509 *one;

	c->leaf = PEM_read_bio_X509(in, NULL, no_password, NULL);
	c->chain = sk_X509_new_null();
	if (!c->leaf || !c->chain)
		return -EBADMSG;
	while ((one = PEM_read_bio_X509(in, NULL, no_password, NULL))) {
		if (sk_X509_num(c->chain) < CHAIN_MAX && sk_X509_push(c->chain, one) > 0)
			continue;
		X509_free(one);
		return -EBADMSG;
	}
	return 0;
}

int client_cert_read(struct str chain, struct str key, struct client_cert **ret)
{
	static uint64_t last;
	struct client_cert *c = mem_new(sizeof(*c));
	BIO *certs = BIO_new_mem_buf(chain.p, (int)chain.n);
	BIO *keys = BIO_new_mem_buf(key.p, (int)key.n);
	int r = certs && keys ? read_chain(c, certs) : -EBADMSG;

	if (r == 0)
		c->key = PEM_read_bio_PrivateKey(keys, NULL, no_password, NULL);
	if (!c->key || X509_check_private_key(c->leaf, c->key) != 1)
		r = -EBADMSG;
	BIO_free(certs);
	BIO_free(keys);
	ERR_clear_error();
	if (r < 0) {
		release(c);
		return r;
	}
	c->held = 1;
	c->number = ++last;
	*ret = c;
	return 0;
}

struct client_cert *client_cert_hold(struct client_cert *c)
{
	if (c)
		c->held++;
	return c;
}

struct client_cert *client_cert_free(struct client_cert *c)
{
	if (c && !--c->held)
		release(c);
	return NULL;
}

uint64_t client_cert_number(const struct client_cert *c)
{
	return c ? c->number : 0;
}

int client_cert_show(const struct client_cert *c, SSL *ssl)
{
	return SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) == 1 ? 0 : -EIO;
}
