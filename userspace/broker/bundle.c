/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles of roots. Called by start.c with the system's files (root's own) and by job.c with a
 * job's root. The truststore is written here as DER, part by part, so that a job costs one
 * certificate and one MAC and not 140:
 *
 *   PFX { 3, ContentInfo data { AuthenticatedSafe [ ContentInfo(system's roots)  ContentInfo(job's
 * root) ] }, MacData }
 *
 * Certificates need no secrecy and the password is public, so bags are not encrypted and the MAC is
 * a check sum: SHA-1 and one round, which every Java since 6 reads.
 */
#include "broker/bundle.h"

#include "broker/der.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>

static const char mac_salt[] = "egretp12";

static const uint8_t oid_data[] = { 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1 };
static const uint8_t oid_cert_bag[] = { 0x06, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7,
					0x0d, 1,  12,	10,   1,    3 };
static const uint8_t oid_x509[] = { 0x06, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1 };
static const uint8_t oid_name[] = { 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20 };
/* Oracle's trustedKeyUsage 2.16.840.1.113894.746875.1.1 = { anyExtendedKeyUsage }: without it Java
 * does not trust an entry. */
static const uint8_t trusted_usage[] = { 0x30, 0x16, 0x06, 0x0c, 0x60, 0x86, 0x48, 0x01,
					 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01,
					 0x31, 0x06, 0x06, 0x04, 0x55, 0x1d, 0x25, 0x00 };
/* DigestInfo's algorithm: SHA-1. */
static const uint8_t alg_sha1[] = { 0x30, 9, 0x06, 5, 0x2b, 0x0e, 3, 2, 0x1a, 0x05, 0 };

void bundle_init(struct bundle *b)
{
	*b = (struct bundle){ 0 };
	buf_init(&b->pem, BUNDLE_BYTES_MAX);
	buf_init(&b->safe, BUNDLE_BYTES_MAX);
}

void bundle_done(struct bundle *b)
{
	buf_done(&b->pem);
	buf_done(&b->safe);
}

/* SEQUENCE { friendlyName, SET { BMPString name } }: the entry's alias, ASCII. */
static int add_name(struct buf *to, const char *name)
{
	struct buf b, text;
	int r = 0;

	buf_init(&text, 256);
	buf_init(&b, 512);
	for (const char *c = name; *c && r == 0; c++) {
		const char two[2] = { 0, *c };

		r = buf_add(&text, two, 2);
	}
	if (r == 0)
		r = der_add(&b, DER_BMP, buf_str(&text));
	if (r == 0)
		r = der_wrap(&b, DER_SET);
	buf_done(&text);
	buf_init(&text, 512);
	if (r == 0)
		r = buf_add(&text, oid_name, sizeof(oid_name));
	if (r == 0)
		r = buf_add_str(&text, buf_str(&b));
	if (r == 0)
		r = der_add(to, DER_SEQUENCE, buf_str(&text));
	buf_done(&text);
	buf_done(&b);
	return r;
}

/* One SafeBag with a certificate: SEQUENCE { certBag, [0] { CertBag }, SET { attributes } } */
static int add_bag(struct buf *to, struct str der, const char *name)
{
	struct buf b, attributes;
	int r;

	buf_init(&b, BUNDLE_BYTES_MAX);
	buf_init(&attributes, 1024);
	r = der_add(&b, DER_OCTETS, der);
	if (r == 0)
		r = der_wrap(&b, DER_EXPLICIT0);
	if (r == 0) {
		struct buf bag;

		buf_init(&bag, BUNDLE_BYTES_MAX);
		r = buf_add(&bag, oid_x509, sizeof(oid_x509));
		if (r == 0)
			r = buf_add_str(&bag, buf_str(&b));
		if (r == 0)
			r = der_wrap(&bag, DER_SEQUENCE);
		if (r == 0)
			r = der_wrap(&bag, DER_EXPLICIT0);
		buf_done(&b);
		b = bag;
	}
	if (r == 0)
		r = add_name(&attributes, name);
	if (r == 0)
		r = buf_add(&attributes, trusted_usage, sizeof(trusted_usage));
	if (r == 0)
		r = der_wrap(&attributes, DER_SET);
	if (r == 0) {
		struct buf whole;

		buf_init(&whole, BUNDLE_BYTES_MAX);
		r = buf_add(&whole, oid_cert_bag, sizeof(oid_cert_bag));
		if (r == 0)
			r = buf_add_str(&whole, buf_str(&b));
		if (r == 0)
			r = buf_add_str(&whole, buf_str(&attributes));
		if (r == 0)
			r = der_add(to, DER_SEQUENCE, buf_str(&whole));
		buf_done(&whole);
	}
	buf_done(&b);
	buf_done(&attributes);
	return r;
}

/* Bags become ContentInfo { data, [0] { OCTET STRING { SafeContents } } }. */
static int wrap_safe(struct buf *bags)
{
	struct buf whole;
	int r = der_wrap(bags, DER_SEQUENCE);

	if (r == 0)
		r = der_wrap(bags, DER_OCTETS);
	if (r == 0)
		r = der_wrap(bags, DER_EXPLICIT0);
	if (r < 0)
		return r;
	buf_init(&whole, bags->limit);
	r = buf_add(&whole, oid_data, sizeof(oid_data));
	if (r == 0)
		r = buf_add_str(&whole, buf_str(bags));
	if (r == 0)
		r = der_wrap(&whole, DER_SEQUENCE);
	if (r < 0) {
		buf_done(&whole);
		return r;
	}
	buf_done(bags);
	*bags = whole;
	return 0;
}

int bundle_add(struct bundle *b, struct str pem, char *why, size_t size)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	char *kind = NULL, *head = NULL;
	unsigned char *der = NULL;
	long n = 0;
	int r;

	if (!bio)
		die("out of memory: reading roots");
	r = buf_add_str(&b->pem, pem);
	if (r == 0 && pem.n && pem.p[pem.n - 1] != '\n')
		r = buf_add(&b->pem, "\n", 1);
	while (r == 0 && PEM_read_bio(bio, &kind, &head, &der, &n) == 1) {
		char name[32];

		if (strcmp(kind, "CERTIFICATE") == 0) {
			snprintf(name, sizeof(name), "root-%u", ++b->roots);
			r = add_bag(&b->safe, (struct str){ (char *)der, (size_t)n }, name);
		}
		OPENSSL_free(kind);
		OPENSSL_free(head);
		OPENSSL_free(der);
	}
	BIO_free(bio);
	if (r < 0)
		snprintf(why, size, "the files of roots are larger than %u MiB",
			 BUNDLE_BYTES_MAX >> 20);
	return r;
}

int bundle_ready(struct bundle *b)
{
	if (PKCS12_key_gen_utf8("changeit", -1, (unsigned char *)mac_salt, sizeof(mac_salt) - 1,
				PKCS12_MAC_ID, 1, sizeof(b->mac_key), b->mac_key, EVP_sha1()) != 1)
		return -EIO;
	return wrap_safe(&b->safe);
}

/* SEQUENCE { SEQUENCE { sha1, OCTET STRING mac }, OCTET STRING salt }; one round is the default and
 * left out. */
static int add_mac(struct buf *to, const uint8_t *mac, size_t n)
{
	struct buf b;
	int r;

	buf_init(&b, 256);
	r = buf_add(&b, alg_sha1, sizeof(alg_sha1));
	if (r == 0)
		r = der_add(&b, DER_OCTETS, (struct str){ (const char *)mac, n });
	if (r == 0)
		r = der_wrap(&b, DER_SEQUENCE);
	if (r == 0)
		r = der_add(&b, DER_OCTETS, (struct str){ mac_salt, sizeof(mac_salt) - 1 });
	if (r == 0)
		r = der_add(to, DER_SEQUENCE, buf_str(&b));
	buf_done(&b);
	return r;
}

/* HMAC over AuthenticatedSafe as it will lie in the file: its head, the system's part, the job's
 * part. */
static int mac_of(const struct bundle *b, struct str head, struct str job, uint8_t mac[20])
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	OSSL_PARAM params[2] = { OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA1", 0),
				 OSSL_PARAM_construct_end() };
	struct str safe = buf_str(&b->safe);
	size_t n = 0;
	int r = -EIO;

	if (ctx && EVP_MAC_init(ctx, b->mac_key, sizeof(b->mac_key), params) == 1 &&
	    EVP_MAC_update(ctx, (const uint8_t *)head.p, head.n) == 1 &&
	    EVP_MAC_update(ctx, (const uint8_t *)safe.p, safe.n) == 1 &&
	    EVP_MAC_update(ctx, (const uint8_t *)job.p, job.n) == 1 &&
	    EVP_MAC_final(ctx, mac, &n, 20) == 1 && n == 20)
		r = 0;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(hmac);
	return r;
}

/* Heads from the inside out, each counting what follows: SEQUENCE, OCTET STRING, [0], ContentInfo,
 * PFX. */
static int add_heads(struct buf *to, struct str auth_head, size_t auth_n, size_t mac_n)
{
	static const uint8_t version[] = { DER_INTEGER, 1, 3 };
	uint8_t octets[DER_HEAD_MAX], explicit0[DER_HEAD_MAX], info[DER_HEAD_MAX],
		pfx[DER_HEAD_MAX];
	size_t n = auth_head.n + auth_n, octets_n, explicit_n, info_n, pfx_n;
	int r;

	octets_n = der_head(octets, DER_OCTETS, n);
	n += octets_n;
	explicit_n = der_head(explicit0, DER_EXPLICIT0, n);
	n += explicit_n + sizeof(oid_data);
	info_n = der_head(info, DER_SEQUENCE, n);
	n += info_n + sizeof(version) + mac_n;
	pfx_n = der_head(pfx, DER_SEQUENCE, n);
	r = buf_add(to, pfx, pfx_n);
	if (r == 0)
		r = buf_add(to, version, sizeof(version));
	if (r == 0)
		r = buf_add(to, info, info_n);
	if (r == 0)
		r = buf_add(to, oid_data, sizeof(oid_data));
	if (r == 0)
		r = buf_add(to, explicit0, explicit_n);
	if (r == 0)
		r = buf_add(to, octets, octets_n);
	return r < 0 ? r : buf_add_str(to, auth_head);
}

int bundle_p12(const struct bundle *b, struct str root_der, struct buf *ret_head,
	       struct buf *ret_tail)
{
	uint8_t mac[20], auth_head[DER_HEAD_MAX];
	struct buf job, mac_data;
	struct str auth = { (char *)auth_head, 0 };
	int r;

	buf_init(&job, 1u << 20);
	buf_init(&mac_data, 256);
	r = add_bag(&job, root_der, "egret-job");
	if (r == 0)
		r = wrap_safe(&job);
	if (r < 0)
		goto out;
	auth.n = der_head(auth_head, DER_SEQUENCE, b->safe.n + job.n);
	r = mac_of(b, auth, buf_str(&job), mac);
	if (r == 0)
		r = add_mac(&mac_data, mac, sizeof(mac));
	if (r == 0)
		r = add_heads(ret_head, auth, b->safe.n + job.n, mac_data.n);
	if (r == 0)
		r = buf_add_str(ret_tail, buf_str(&job));
	if (r == 0)
		r = buf_add_str(ret_tail, buf_str(&mac_data));
out:
	buf_done(&job);
	buf_done(&mac_data);
	return r;
}
