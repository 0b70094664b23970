/* SPDX-License-Identifier: Apache-2.0 */
/* See rehearse.h. No byte here is anybody else's. */
#include "fetch/rehearse.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define HOST "rehearsal.invalid"
#define GOOD_S 3600
#define TURNS 8 /* flights of a handshake, and as many again */

struct two {
	EVP_PKEY *key;
	X509 *cert;
	SSL_CTX *server_ctx, *client_ctx;
	SSL *server, *client;
};

static bool certify(X509 *cert, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *alt = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:" HOST);
	bool good = alt && X509_set_version(cert, X509_VERSION_3) &&
		    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
		    X509_gmtime_adj(X509_getm_notBefore(cert), -GOOD_S) &&
		    X509_gmtime_adj(X509_getm_notAfter(cert), GOOD_S) &&
		    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					       (const unsigned char *)HOST, -1, -1, 0) &&
		    X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) &&
		    X509_add_ext(cert, alt, -1) && X509_sign(cert, key, EVP_sha256()) > 0;

	X509_EXTENSION_free(alt);
	return good;
}

static bool two_new(struct two *t)
{
	BIO *client, *server;

	t->key = EVP_EC_gen("P-256");
	t->cert = X509_new();
	t->server_ctx = SSL_CTX_new(TLS_server_method());
	t->client_ctx = SSL_CTX_new(TLS_client_method());
	if (!t->key || !t->cert || !t->server_ctx || !t->client_ctx || !certify(t->cert, t->key) ||
	    SSL_CTX_use_certificate(t->server_ctx, t->cert) != 1 ||
	    SSL_CTX_use_PrivateKey(t->server_ctx, t->key) != 1 ||
	    !X509_STORE_add_cert(SSL_CTX_get_cert_store(t->client_ctx), t->cert))
		return false;
	SSL_CTX_set_verify(t->client_ctx, SSL_VERIFY_PEER, NULL);
	t->server = SSL_new(t->server_ctx);
	t->client = SSL_new(t->client_ctx);
	if (!t->server || !t->client || !SSL_set_tlsext_host_name(t->client, HOST) ||
	    !SSL_set1_host(t->client, HOST) || !BIO_new_bio_pair(&client, 0, &server, 0))
		return false;
	SSL_set_bio(t->client, client, client);
	SSL_set_bio(t->server, server, server);
	SSL_set_connect_state(t->client);
	SSL_set_accept_state(t->server);
	return true;
}

static void two_done(struct two *t)
{
	SSL_free(t->client);
	SSL_free(t->server);
	SSL_CTX_free(t->client_ctx);
	SSL_CTX_free(t->server_ctx);
	X509_free(t->cert);
	EVP_PKEY_free(t->key);
}

/* A question one way and its answer the other. */
static bool talk(struct two *t)
{
	char text[64];
	bool asked = false, answered = false;
	size_t n;

	for (unsigned i = 0; i < TURNS && !answered; i++) {
		if (!asked)
			asked = SSL_write_ex(t->client, "?", 1, &n) == 1;
		if (SSL_read_ex(t->server, text, sizeof(text), &n) == 1)
			(void)!SSL_write_ex(t->server, "!", 1, &n);
		answered = asked && SSL_read_ex(t->client, text, sizeof(text), &n) == 1;
	}
	return answered;
}

int rehearse(void)
{
	struct two t = { 0 };
	bool good = two_new(&t) && talk(&t);

	two_done(&t);
	ERR_clear_error();
	return good ? 0 : -EIO;
}
