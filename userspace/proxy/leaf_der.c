// SPDX-License-Identifier: Apache-2.0
/*
 * A leaf certificate as DER: see leaf_der.h. Written from the end to the start, so that each length
 * is known when its head is written. All that varies comes from our own checks: a canonical name of
 * at most 253 bytes, an address, numbers. Profile: RFC 5280, v3; subject CN when it fits (else
 * empty, and the SAN is critical); extensions as Python's VERIFY_X509_STRICT and webpki want them.
 */
#include "proxy/leaf_der.h"

#include <errno.h>
#include <openssl/evp.h>
#include <time.h>

#define CN_MAX 64 /* ub-common-name */

struct der {
	uint8_t *start, *at; /* bytes are written just before `at` */
	bool full;
};

static void der_bytes(struct der *d, const void *p, size_t n)
{
	if ((size_t)(d->at - d->start) < n) {
		d->full = true;
		return;
	}
	d->at -= n;
	memcpy(d->at, p, n);
}

static void der_byte(struct der *d, uint8_t b)
{
	der_bytes(d, &b, 1);
}

/* Closes what was written since `end` as one element. */
static void der_wrap(struct der *d, const uint8_t *end, uint8_t tag)
{
	size_t n = (size_t)(end - d->at);

	if (n < 0x80) {
		der_byte(d, (uint8_t)n);
	} else if (n < 0x100) {
		der_byte(d, (uint8_t)n);
		der_byte(d, 0x81);
	} else {
		der_byte(d, (uint8_t)n);
		der_byte(d, (uint8_t)(n >> 8));
		der_byte(d, 0x82);
	}
	der_byte(d, tag);
}

static void der_extension(struct der *d, const uint8_t *value_end, uint8_t id, bool critical)
{
	uint8_t *end = (uint8_t *)value_end;
	const uint8_t oid[] = { 0x06, 0x03, 0x55, 0x1d, id };

	der_wrap(d, end, 0x04);
	if (critical)
		der_bytes(d, "\x01\x01\xff", 3);
	der_bytes(d, oid, sizeof(oid));
	der_wrap(d, end, 0x30);
}

static void der_extensions(struct der *d, const struct leaf_form *f, bool critical_san)
{
	uint8_t *end = d->at, *e;

	/* basicConstraints: an empty sequence, which is "not a CA". */
	e = d->at;
	der_bytes(d, "\x30\x00", 2);
	der_extension(d, e, 0x13, true);
	/* keyUsage: digitalSignature. */
	e = d->at;
	der_bytes(d, "\x03\x02\x07\x80", 4);
	der_extension(d, e, 0x0f, true);
	/* extKeyUsage: serverAuth. */
	e = d->at;
	der_bytes(d, "\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", 12);
	der_extension(d, e, 0x25, false);
	/* subjectAltName. */
	e = d->at;
	if (f->name.n)
		der_bytes(d, f->name.p, f->name.n);
	else
		der_bytes(d, f->addr, f->addr_n);
	der_wrap(d, e, f->name.n ? 0x82 : 0x87);
	der_wrap(d, e, 0x30);
	der_extension(d, e, 0x11, critical_san);
	/* authorityKeyIdentifier. */
	e = d->at;
	der_bytes(d, f->key_id.p, f->key_id.n);
	der_wrap(d, e, 0x80);
	der_wrap(d, e, 0x30);
	der_extension(d, e, 0x23, false);
	der_wrap(d, end, 0x30);
	der_wrap(d, end, 0xa3);
}

static void der_time(struct der *d, uint64_t seconds)
{
	time_t t = (time_t)seconds;
	uint8_t *end = d->at;
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	/* RFC 5280: UTCTime until 2049, GeneralizedTime from then on. */
	(void)strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	if (tm.tm_year < 150) {
		der_bytes(d, text + 2, 13);
		der_wrap(d, end, 0x17);
	} else {
		der_bytes(d, text, 15);
		der_wrap(d, end, 0x18);
	}
}

static void der_algorithm(struct der *d, bool sha384)
{
	/* ecdsa-with-SHA256, ecdsa-with-SHA384 */
	der_bytes(d,
		  sha384 ? "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
			 : "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
		  12);
}

static void der_subject(struct der *d, struct str cn)
{
	uint8_t *end = d->at;

	if (cn.n) {
		der_bytes(d, cn.p, cn.n);
		der_wrap(d, end, 0x0c);
		der_bytes(d, "\x06\x03\x55\x04\x03", 5);
		der_wrap(d, end, 0x30);
		der_wrap(d, end, 0x31);
	}
	der_wrap(d, end, 0x30);
}

int leaf_der_write(const struct leaf_form *f, EVP_PKEY *signer, bool sha384, uint8_t *to,
		   size_t *ret_n)
{
	struct str cn = f->name.n <= CN_MAX ? f->name : (struct str){ NULL, 0 };
	uint8_t serial[16], signature[160], *end, *tbs_end, space[LEAF_DER_MAX];
	size_t signature_n = sizeof(signature), tbs_n;
	struct der d = { .start = space, .at = space + sizeof(space) };
	EVP_MD_CTX *md;
	int r = -EIO;

	memcpy(serial, f->serial, sizeof(serial));
	serial[0] = (serial[0] & 0x3f) | 0x40; /* positive, and as long as it looks */

	tbs_end = d.at;
	der_extensions(&d, f, !cn.n);
	der_bytes(&d, f->spki.p, f->spki.n);
	der_subject(&d, cn);
	end = d.at;
	der_time(&d, f->not_after);
	der_time(&d, f->not_before);
	der_wrap(&d, end, 0x30);
	der_bytes(&d, f->issuer.p, f->issuer.n);
	der_algorithm(&d, sha384);
	end = d.at;
	der_bytes(&d, serial, sizeof(serial));
	der_wrap(&d, end, 0x02);
	der_bytes(&d, "\xa0\x03\x02\x01\x02", 5); /* v3 */
	der_wrap(&d, tbs_end, 0x30);
	if (d.full)
		return -EMSGSIZE;
	tbs_n = (size_t)(tbs_end - d.at);

	md = EVP_MD_CTX_new();
	if (!md)
		return -ENOMEM;
	if (EVP_DigestSignInit(md, NULL, sha384 ? EVP_sha384() : EVP_sha256(), NULL, signer) == 1 &&
	    EVP_DigestSign(md, signature, &signature_n, d.at, tbs_n) == 1)
		r = 0;
	EVP_MD_CTX_free(md);
	if (r)
		return r;

	/* The whole: tbs, algorithm, signature; put together at the end of `to`, then moved to its
	 * start. */
	end = to + LEAF_DER_MAX;
	{
		struct der all = { .start = to, .at = end };
		uint8_t *bits = all.at;

		der_bytes(&all, signature, signature_n);
		der_byte(&all, 0);
		der_wrap(&all, bits, 0x03);
		der_algorithm(&all, sha384);
		der_bytes(&all, d.at, tbs_n);
		der_wrap(&all, end, 0x30);
		if (all.full)
			return -EMSGSIZE;
		*ret_n = (size_t)(end - all.at);
		memmove(to, all.at, *ret_n);
	}
	return 0;
}
