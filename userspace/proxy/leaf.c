// SPDX-License-Identifier: Apache-2.0
/*
 * Leaves: see leaf.h. Names come canonical from our own checks; the intermediate comes from the
 * broker. The signing key rests in OpenSSL's secure heap (locked, left out of dumps; main.c sets it
 * up).
 */
#include "proxy/leaf.h"

#include "base/clock.h"
#include "proxy/address.h"
#include "proxy/leaf_der.h"
#include "proxy/storm.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define BACKDATE_S (24 * 3600) /* clocks of containers and images are not always right */
#define LIFE_S (6 * 24 * 3600) /* together at most 7 days */
#define RENEW_S (24 * 3600)    /* a cached leaf is made anew when less than this is left */

struct leaf {
	X509 *cert;
	struct leaf *older, *newer; /* in order of use */
	struct leaf *next;	    /* in the bucket */
	uint64_t until;		    /* wall, seconds */
	size_t n;
	char key[]; /* the name, or the 16 bytes of an address */
};

#define BUCKETS 256
#define SESSIONS 128 /* some 1.2 KiB each; a flood of handshakes takes the oldest away */

struct leaves {
	SSL_CTX *ctx;
	X509 *in_ctx; /* the leaf that ctx gives to each SSL, and holds a reference of */
	EVP_PKEY *signer, *key;
	EVP_PKEY *shown;     /* the public half of key, as read_leaf wants it */
	OSSL_LIB_CTX *plain; /* has no algorithms: */
	OSSL_PROVIDER *none;
	bool sha384;
	X509 *issuer;
	STACK_OF(X509) * chain;
	struct buf issuer_name, spki, key_id;
	uint64_t issuer_until;
	struct leaf *buckets[BUCKETS];
	struct leaf *newest, *oldest;
	size_t count, max;
};

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
		       const unsigned char *in, unsigned in_n, void *arg)
{
	static const unsigned char h1[] = "\x08http/1.1\x08http/1.0\x02h2";
	static const unsigned char h2[] = "\x02h2\x08http/1.1\x08http/1.0";

	if (SSL_select_next_proto((unsigned char **)out, out_n, SSL_get_app_data(ssl) ? h2 : h1,
				  sizeof(h1) - 1, in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

void leaf_prefer_h2(SSL *ssl)
{
	SSL_set_app_data(ssl, ssl); /* anything: choose_alpn looks whether it is there */
}

bool leaf_chose_h2(const SSL *ssl)
{
	const unsigned char *p;
	unsigned n;

	SSL_get0_alpn_selected(ssl, &p, &n);
	return n == 2 && !memcmp(p, "h2", 2);
}

static SSL_CTX *server_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	/* Sessions are kept in this context, so for this job alone, and tickets are their numbers:
	 * one that is the session itself, sealed, costs a fourteenth of a connection. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
	SSL_CTX_sess_set_cache_size(ctx, SESSIONS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	storm_watch(ctx);
	/* All that the leaves' one key, of P-256, can sign by: OpenSSL looks through the whole list
	 * twice a handshake. */
	if (SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512") != 1 ||
	    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1 || SSL_CTX_set_num_tickets(ctx, 1) != 1 ||
	    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"egret", 5) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* Copies what i2d gives. */
static int keep_der(struct buf *b, int n, unsigned char *der)
{
	int r = n > 0 ? buf_add(b, der, (size_t)n) : -EIO;

	OPENSSL_free(der);
	return r;
}

static int read_issuer(struct leaves *l, struct str cert, const struct secret *key)
{
	const unsigned char *p = (const unsigned char *)cert.p;
	const ASN1_OCTET_STRING *id;
	unsigned char *der = NULL;
	struct tm tm;
	int n;

	l->issuer = d2i_X509(NULL, &p, (long)cert.n);
	if (!l->issuer || p != (const unsigned char *)cert.p + cert.n)
		return -EBADMSG;
	p = key->p;
	l->signer = d2i_AutoPrivateKey(NULL, &p, (long)key->n);
	if (!l->signer || EVP_PKEY_get_base_id(l->signer) != EVP_PKEY_EC ||
	    X509_check_private_key(l->issuer, l->signer) != 1 || X509_check_ca(l->issuer) != 1)
		return -EBADMSG;
	l->sha384 = EVP_PKEY_get_bits(l->signer) > 256;
	id = X509_get0_subject_key_id(l->issuer);
	if (!id || ASN1_TIME_to_tm(X509_get0_notAfter(l->issuer), &tm) != 1)
		return -EBADMSG;
	l->issuer_until = (uint64_t)timegm(&tm);
	if (buf_add(&l->key_id, ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id)))
		return -EBADMSG;
	n = i2d_X509_NAME(X509_get_subject_name(l->issuer), &der);
	return keep_der(&l->issuer_name, n, der);
}

static int make_key(struct leaves *l)
{
	unsigned char *der = NULL, *point = NULL;
	const unsigned char *p;
	size_t point_n;
	int n, r;

	l->key = EVP_EC_gen("P-256");
	if (!l->key)
		return -EIO;
	n = i2d_PUBKEY(l->key, &der);
	r = keep_der(&l->spki, n, der);
	if (r)
		return r;
	/* Read twice: the second time over the first, which leaves it in the form that OpenSSL had
	 * before it had providers. */
	p = (const unsigned char *)l->spki.p;
	point_n = EVP_PKEY_get1_encoded_public_key(l->key, &point);
	if (!point_n || !d2i_PUBKEY(&l->shown, &p, (long)l->spki.n))
		r = -EIO;
	p = point;
	if (!r && !d2i_PublicKey(EVP_PKEY_EC, &l->shown, &p, (long)point_n))
		r = -EIO;
	OPENSSL_free(point);
	return r;
}

/*
 * What leaf_der_write has written. d2i_X509 reads the key in it, too, by asking all of OpenSSL's
 * decoders: two thirds of what a leaf cost. It is our own key, so the leaf is read where there are
 * no decoders, and gets the key as it is. Of a key in the old form X509_set_pubkey writes the bytes
 * down; another one it would have encoded and decoded. What OpenSSL notes of a certificate's
 * extensions is noted here, too: it misses a fingerprint, since there are no digests either, says
 * so once, and needs none for a certificate that is only shown.
 */
static X509 *read_leaf(const struct leaves *l, const uint8_t *der, size_t n)
{
	X509 *x = X509_new_ex(l->plain, NULL);
	const unsigned char *p = der;

	if (x && d2i_X509(&x, &p, (long)n) && X509_set_pubkey(x, l->shown) == 1) {
		(void)X509_check_purpose(x, -1, 0);
		ERR_clear_error();
		return x;
	}
	X509_free(x); /* d2i_X509 has set it to NULL where it failed */
	return NULL;
}

int leaves_new(struct str cert, const struct secret *key, size_t cache_max, struct leaves **ret)
{
	struct leaves *l = mem_new(sizeof(*l));
	int r;

	l->max = cache_max;
	buf_init(&l->issuer_name, 1024);
	buf_init(&l->spki, 256);
	buf_init(&l->key_id, 64);
	r = read_issuer(l, cert, key);
	if (!r)
		r = make_key(l);
	if (!r) {
		l->ctx = server_context();
		l->plain = OSSL_LIB_CTX_new();
		l->none = l->plain ? OSSL_PROVIDER_load(l->plain, "null") : NULL;
		l->chain = sk_X509_new_null();
		if (!l->ctx || !l->none || !l->chain || !sk_X509_push(l->chain, l->issuer))
			r = -EIO;
		else
			X509_up_ref(l->issuer);
	}
	ERR_clear_error();
	if (r) {
		leaves_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

int leaves_chain(struct leaves *l, struct str cert)
{
	const unsigned char *p = (const unsigned char *)cert.p;
	X509 *last = sk_X509_value(l->chain, sk_X509_num(l->chain) - 1);
	X509 *x = d2i_X509(NULL, &p, (long)cert.n);

	if (x && p == (const unsigned char *)cert.p + cert.n && X509_check_ca(x) == 1 &&
	    X509_check_issued(x, last) == X509_V_OK && sk_X509_push(l->chain, x)) {
		l->in_ctx = NULL; /* has the chain as it was */
		return 0;
	}
	X509_free(x);
	ERR_clear_error();
	return -EBADMSG;
}

static void unlink_leaf(struct leaves *l, struct leaf *f)
{
	if (f->older)
		f->older->newer = f->newer;
	else
		l->oldest = f->newer;
	if (f->newer)
		f->newer->older = f->older;
	else
		l->newest = f->older;
	f->older = f->newer = NULL;
}

static void link_newest(struct leaves *l, struct leaf *f)
{
	f->older = l->newest;
	if (l->newest)
		l->newest->newer = f;
	else
		l->oldest = f;
	l->newest = f;
}

static struct leaf **bucket_of(struct leaves *l, struct str key)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (uint8_t)key.p[i]) * 16777619u;
	return &l->buckets[(h ^ h >> 16) % BUCKETS];
}

static void drop(struct leaves *l, struct leaf *f)
{
	struct leaf **at = bucket_of(l, (struct str){ f->key, f->n });

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	unlink_leaf(l, f);
	X509_free(f->cert);
	free(f);
	l->count--;
}

struct leaves *leaves_free(struct leaves *l)
{
	if (!l)
		return NULL;
	while (l->oldest)
		drop(l, l->oldest);
	SSL_CTX_free(l->ctx);
	EVP_PKEY_free(l->signer);
	EVP_PKEY_free(l->key);
	EVP_PKEY_free(l->shown);
	sk_X509_pop_free(l->chain, X509_free);
	X509_free(l->issuer);
	if (l->none)
		OSSL_PROVIDER_unload(l->none);
	OSSL_LIB_CTX_free(l->plain);
	buf_done(&l->issuer_name);
	buf_done(&l->spki);
	buf_done(&l->key_id);
	free(l);
	return NULL;
}

size_t leaves_count(const struct leaves *l)
{
	return l->count;
}

size_t leaves_sessions(const struct leaves *l)
{
	return (size_t)SSL_CTX_sess_number(l->ctx);
}

static int mint(struct leaves *l, struct str name, const uint8_t *addr, uint64_t now, X509 **ret,
		uint64_t *ret_until)
{
	struct leaf_form f = { .issuer = buf_str(&l->issuer_name),
			       .spki = buf_str(&l->spki),
			       .key_id = buf_str(&l->key_id),
			       .name = name,
			       .not_before = now - BACKDATE_S,
			       .not_after = now + LIFE_S };
	uint8_t der[LEAF_DER_MAX];
	size_t n;
	int r;

	if (f.not_after > l->issuer_until)
		f.not_after = l->issuer_until;
	if (!name.n) {
		f.addr = address_is_v4(addr) ? addr + 12 : addr;
		f.addr_n = address_is_v4(addr) ? 4 : 16;
	}
	if (RAND_bytes(f.serial, sizeof(f.serial)) != 1)
		return -EIO;
	r = leaf_der_write(&f, l->signer, l->sha384, der, &n);
	if (r)
		return r;
	*ret = read_leaf(l, der, n);
	*ret_until = f.not_after;
	return *ret ? 0 : -EIO;
}

int leaves_cert(struct leaves *l, struct str name, const uint8_t *addr, X509 **ret)
{
	struct str key = name.n ? name : (struct str){ (const char *)addr, 16 };
	uint64_t now = clock_wall_us() / 1000000, until;
	struct leaf **at = bucket_of(l, key), *f;
	X509 *cert;
	int r;

	for (f = *at; f; f = f->next)
		if (f->n == key.n && !memcmp(f->key, key.p, key.n))
			break;
	if (f && f->until > now && (f->until > now + RENEW_S || f->until == l->issuer_until)) {
		unlink_leaf(l, f);
		link_newest(l, f);
		*ret = f->cert;
		return 0;
	}
	r = mint(l, name, addr, now, &cert, &until);
	if (r)
		return r;
	if (f)
		drop(l, f);
	else if (l->count >= l->max)
		drop(l, l->oldest);
	f = mem_new(sizeof(*f) + key.n);
	f->cert = cert;
	f->until = until;
	f->n = key.n;
	memcpy(f->key, key.p, key.n);
	at = bucket_of(l, key);
	f->next = *at;
	*at = f;
	link_newest(l, f);
	l->count++;
	*ret = cert;
	return 0;
}

int leaves_ssl(struct leaves *l, struct str name, const uint8_t *addr, SSL **ret)
{
	X509 *cert;
	SSL *ssl;
	int r;

	r = leaves_cert(l, name, addr, &cert);
	if (r)
		return r;
	/* To hold a leaf against its key takes 29,000 instructions, and connections come in flocks
	 * of one name. */
	if (cert != l->in_ctx) {
		l->in_ctx = NULL;
		if (SSL_CTX_use_cert_and_key(l->ctx, cert, l->key, l->chain, 1) != 1) {
			ERR_clear_error();
			return -EIO;
		}
		l->in_ctx = cert;
	}
	ssl = SSL_new(l->ctx);
	if (!ssl) {
		ERR_clear_error();
		return -EIO;
	}
	SSL_set_accept_state(ssl);
	*ret = ssl;
	return 0;
}
