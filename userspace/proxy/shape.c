// SPDX-License-Identifier: Apache-2.0
/*
 * The shape of a ClientHello: see shape.h. Each list is built from names of ours, by the client's
 * numbers: what is not in our tables, or not among the suites that the context allows, is left out,
 * and a list of nothing is not set.
 */
#include "proxy/shape.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define ALIKE 16 /* of the latest are looked at: a job has few kinds of clients */

struct held {
	struct hello_shape shape; /* first: who holds it has its address */
	struct held *prev, *next;
	unsigned uses;
};

static struct held *latest;

static struct held *alike(const struct hello_shape *shape)
{
	struct held *h = latest;

	for (unsigned i = 0; h && i < ALIKE; i++, h = h->next)
		if (!memcmp(&h->shape, shape, sizeof(*shape)))
			return h;
	return NULL;
}

const struct hello_shape *shape_hold(const struct hello_shape *shape)
{
	struct held *h = alike(shape);

	if (!h) {
		h = mem_new(sizeof(*h));
		memcpy(&h->shape, shape, sizeof(*shape));
		h->next = latest;
		if (latest)
			latest->prev = h;
		latest = h;
	}
	h->uses++;
	return &h->shape;
}

void shape_let_go(const struct hello_shape *held)
{
	struct held *h = (struct held *)held;

	if (!h || --h->uses)
		return;
	if (h->next)
		h->next->prev = h->prev;
	if (h->prev)
		h->prev->next = h->next;
	else
		latest = h->next;
	free(h);
}

struct name {
	uint16_t id;
	const char *text;
};

static const struct name groups[] = {
	{ 0x0017, "P-256" },	 { 0x0018, "P-384" },	  { 0x0019, "P-521" },
	{ 0x001d, "X25519" },	 { 0x001e, "X448" },	  { 0x0100, "ffdhe2048" },
	{ 0x0101, "ffdhe3072" }, { 0x0102, "ffdhe4096" }, { 0x0103, "ffdhe6144" },
	{ 0x0104, "ffdhe8192" },
};

/* Nothing with SHA-1: a peer may not sign with it. */
static const struct name signatures[] = {
	{ 0x0403, "ecdsa_secp256r1_sha256" },
	{ 0x0503, "ecdsa_secp384r1_sha384" },
	{ 0x0603, "ecdsa_secp521r1_sha512" },
	{ 0x0804, "rsa_pss_rsae_sha256" },
	{ 0x0805, "rsa_pss_rsae_sha384" },
	{ 0x0806, "rsa_pss_rsae_sha512" },
	{ 0x0807, "ed25519" },
	{ 0x0808, "ed448" },
	{ 0x0809, "rsa_pss_pss_sha256" },
	{ 0x080a, "rsa_pss_pss_sha384" },
	{ 0x080b, "rsa_pss_pss_sha512" },
	{ 0x0401, "rsa_pkcs1_sha256" },
	{ 0x0501, "rsa_pkcs1_sha384" },
	{ 0x0601, "rsa_pkcs1_sha512" },
};

/* Longer than the longest of the client's lists in names. */
struct list {
	char text[2048];
	size_t n;
};

static void append(struct list *l, const char *name)
{
	size_t n = strlen(name);

	if (l->n + n + 2 > sizeof(l->text))
		return;
	if (l->n)
		l->text[l->n++] = ':';
	memcpy(l->text + l->n, name, n + 1);
	l->n += n;
}

static void by_table(struct list *list, const uint16_t *ids, unsigned n, const struct name *table,
		     size_t size)
{
	list->n = 0;
	for (unsigned i = 0; i < n; i++)
		for (size_t k = 0; k < size; k++)
			if (table[k].id == ids[i])
				append(list, table[k].text);
}

/* Of the context's own suites those that the client offers; of TLS 1.3 or of those before. */
static void suites(struct list *list, SSL *ssl, const struct hello_shape *s, bool tls13)
{
	STACK_OF(SSL_CIPHER) *ours = SSL_CTX_get_ciphers(SSL_get_SSL_CTX(ssl));

	list->n = 0;
	for (unsigned i = 0; i < s->nciphers; i++) {
		unsigned char id[2] = { (unsigned char)(s->ciphers[i] >> 8),
					(unsigned char)s->ciphers[i] };
		const SSL_CIPHER *c = SSL_CIPHER_find(ssl, id);

		if (c && sk_SSL_CIPHER_find(ours, (SSL_CIPHER *)c) >= 0 && (id[0] == 0x13) == tls13)
			append(list, SSL_CIPHER_get_name(c));
	}
}

void shape_apply(SSL *ssl, const struct hello_shape *s)
{
	struct list list;

	suites(&list, ssl, s, true);
	if (list.n)
		(void)!SSL_set_ciphersuites(ssl, list.text);
	/* Under 1.2 nothing is spoken, whatever the client can. */
	if (s->version <= TLS1_2_VERSION)
		(void)!SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
	suites(&list, ssl, s, false);
	if (list.n)
		(void)!SSL_set_cipher_list(ssl, list.text);
	by_table(&list, s->groups, s->ngroups, groups, ARRAY_SIZE(groups));
	if (list.n)
		(void)!SSL_set1_groups_list(ssl, list.text);
	by_table(&list, s->signatures, s->nsignatures, signatures, ARRAY_SIZE(signatures));
	if (list.n)
		(void)!SSL_set1_sigalgs_list(ssl, list.text);
}

bool shape_offers_h2(const struct hello_shape *s, enum shape_h2 how)
{
	return how == SHAPE_H2_ALWAYS || (how == SHAPE_H2_FOLLOW && s && hello_offers(s, ALPN_H2));
}

int shape_alpn(SSL *ssl, const struct hello_shape *s, enum shape_h2 how)
{
	static const struct hello_shape plain = { .alpn = { ALPN_HTTP11 }, .nalpn = 1 };
	uint8_t list[ALPN_KNOWN + 2], wire[64];
	unsigned n = 0, at = 0;

	if (!s)
		s = &plain;
	if (how == SHAPE_H2_ALWAYS && !hello_offers(s, ALPN_H2))
		list[n++] = ALPN_H2;
	for (unsigned i = 0; i < s->nalpn; i++)
		if (s->alpn[i] != ALPN_H2 || how != SHAPE_H2_NEVER)
			list[n++] = s->alpn[i];
	if (hello_offers(s, ALPN_H2) && !hello_offers(s, ALPN_HTTP11))
		list[n++] = ALPN_HTTP11;
	for (unsigned i = 0; i < n; i++) {
		struct str name = hello_alpn_name(list[i]);

		wire[at++] = (uint8_t)name.n;
		memcpy(wire + at, name.p, name.n);
		at += (unsigned)name.n;
	}
	/* OpenSSL takes an empty list away. */
	return SSL_set_alpn_protos(ssl, n ? wire : NULL, at) ? -EIO : 0;
}
