/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's root on its way to egretd and back, so that a restarted broker goes on with the root that
 * a running job trusts. egretd keeps bytes that it cannot open; what comes back is used only when
 * its tag, its job and its form are right.
 *
 *   inside the box:  le16 length of the certificate  certificate DER  key DER
 */
#include "broker/ca.h"

#include "broker/seal.h"
#include <errno.h>
#include <openssl/x509.h>

#define AAD_SIZE 20u

static struct str bind_to(uint8_t aad[AAD_SIZE], uint64_t job)
{
	memcpy(aad, "egret job ca", 12);
	for (unsigned i = 0; i < 8; i++)
		aad[12 + i] = (uint8_t)(job >> (8 * i));
	return (struct str){ (const char *)aad, AAD_SIZE };
}

int ca_seal(const struct ca *c, const struct secret *key, uint64_t job, struct buf *to)
{
	size_t n = 2 + c->cert.n + c->key.n;
	uint8_t aad[AAD_SIZE];
	struct secret plain;
	int r = secret_new(n, &plain);

	if (r < 0)
		return r;
	plain.p[0] = (uint8_t)c->cert.n;
	plain.p[1] = (uint8_t)(c->cert.n >> 8);
	memcpy(plain.p + 2, c->cert.p, c->cert.n);
	memcpy(plain.p + 2 + c->cert.n, c->key.p, c->key.n);
	r = buf_reserve(to, n + SEAL_OVER);
	if (r == 0)
		r = seal_box(key, bind_to(aad, job), plain.p, n, (uint8_t *)to->p + to->n);
	if (r == 0)
		to->n += n + SEAL_OVER;
	secret_done(&plain);
	return r;
}

/* The key is the certificate's: a signature by it would be accepted. */
static bool fits(const struct ca *c)
{
	const unsigned char *p = (const unsigned char *)c->cert.p, *k = c->key.p;
	X509 *cert = d2i_X509(NULL, &p, (long)c->cert.n);
	EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_EC, NULL, &k, (long)c->key.n);
	bool ok = cert && key && X509_check_private_key(cert, key) == 1;

	X509_free(cert);
	EVP_PKEY_free(key);
	return ok;
}

int ca_unseal(struct str sealed, const struct secret *key, uint64_t job, struct ca *ret)
{
	uint8_t aad[AAD_SIZE];
	struct secret plain;
	struct ca c = { 0 };
	size_t n;
	int r;

	if (sealed.n > CA_SEALED_MAX)
		return -EBADMSG;
	r = seal_open(key, bind_to(aad, job), (const uint8_t *)sealed.p, sealed.n, &plain);
	if (r < 0)
		return r;
	n = plain.n < 2 ? 0 : (size_t)plain.p[0] | (size_t)plain.p[1] << 8;
	buf_init(&c.cert, CA_CERT_MAX);
	r = n == 0 || n >= plain.n - 2 ? -EBADMSG : 0;
	if (r == 0 && buf_add(&c.cert, plain.p + 2, n) < 0)
		r = -EBADMSG;
	if (r == 0)
		r = secret_dup(plain.p + 2 + n, plain.n - 2 - n, &c.key);
	secret_done(&plain);
	if (r == 0 && !fits(&c))
		r = -EBADMSG;
	if (r < 0)
		ca_done(&c);
	else
		*ret = c;
	return r;
}
