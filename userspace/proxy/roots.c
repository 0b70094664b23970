// SPDX-License-Identifier: Apache-2.0
/*
 * Roots: see roots.h. Decoding all of a system's 140 roots into OpenSSL's objects would cost each
 * proxy over a megabyte and ten milliseconds; base64 to DER costs neither, and a chain needs one or
 * two of them.
 */
#include "proxy/roots.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 16
#define FILE_MAX (8u << 20)
#define ROOTS_MAX 4096

struct root {
	uint32_t at, n;			/* DER, in bytes */
	uint32_t subject_at, subject_n; /* of the whole Name element */
	bool given;			/* already in the store */
};

struct roots {
	int fds[FILES_MAX];
	unsigned nfds;
	bool read;
	struct buf bytes;
	struct root *list;
	size_t count, size;
	X509_LOOKUP_METHOD *method;
};

/* Moves over one DER element; false when it does not fit. */
static bool element(const uint8_t *p, size_t n, size_t *ret_head, size_t *ret_whole)
{
	size_t len, head = 2;

	if (n < 2)
		return false;
	len = p[1];
	if (len & 0x80) {
		unsigned bytes = len & 0x7f;

		if (!bytes || bytes > 3 || n < 2 + bytes)
			return false;
		len = 0;
		for (unsigned i = 0; i < bytes; i++)
			len = len << 8 | p[2 + i];
		head += bytes;
	}
	if (n - head < len)
		return false;
	*ret_head = head;
	*ret_whole = head + len;
	return true;
}

/* Certificate -> TBSCertificate -> [0] version, serial, algorithm, issuer, validity, subject. */
static bool find_subject(const uint8_t *p, size_t n, size_t *ret_at, size_t *ret_n)
{
	size_t at = 0, head, whole;

	for (int i = 0; i < 2; i++) {
		if (!element(p + at, n - at, &head, &whole) || p[at] != 0x30)
			return false;
		n = at + whole;
		at += head;
	}
	if (!element(p + at, n - at, &head, &whole))
		return false;
	if (p[at] == 0xa0)
		at += whole;
	for (int i = 0; i < 4; i++) {
		if (!element(p + at, n - at, &head, &whole))
			return false;
		at += whole;
	}
	if (!element(p + at, n - at, &head, &whole) || p[at] != 0x30)
		return false;
	*ret_at = at;
	*ret_n = whole;
	return true;
}

static void add_root(struct roots *r, const uint8_t *der, size_t n)
{
	size_t subject_at, subject_n;
	struct root *list;

	if (r->count == ROOTS_MAX || !find_subject(der, n, &subject_at, &subject_n))
		return;
	if (r->count == r->size) {
		r->size = r->size ? r->size * 2 : 64;
		list = mem_new(r->size * sizeof(*list));
		if (r->count)
			memcpy(list, r->list, r->count * sizeof(*list));
		free(r->list);
		r->list = list;
	}
	r->list[r->count] = (struct root){ .at = (uint32_t)r->bytes.n,
					   .n = (uint32_t)n,
					   .subject_at = (uint32_t)(r->bytes.n + subject_at),
					   .subject_n = (uint32_t)subject_n };
	if (!buf_add(&r->bytes, der, n))
		r->count++;
}

static void read_pem(struct roots *r, const char *p, size_t n)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----",
			  stop[] = "-----END CERTIFICATE-----";
	EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	const char *end = p + n, *from, *to;
	uint8_t *der;
	int got, last;

	if (!ctx)
		die("out of memory for the roots");
	while ((from = memmem(p, (size_t)(end - p), begin, sizeof(begin) - 1))) {
		from += sizeof(begin) - 1;
		to = memmem(from, (size_t)(end - from), stop, sizeof(stop) - 1);
		if (!to)
			break;
		der = mem_new((size_t)(to - from));
		EVP_DecodeInit(ctx);
		if (EVP_DecodeUpdate(ctx, der, &got, (const unsigned char *)from,
				     (int)(to - from)) >= 0 &&
		    EVP_DecodeFinal(ctx, der + got, &last) == 1)
			add_root(r, der, (size_t)(got + last));
		free(der);
		p = to;
	}
	EVP_ENCODE_CTX_free(ctx);
}

static void read_all(struct roots *r)
{
	struct stat st;
	void *p;

	if (r->read)
		return;
	r->read = true;
	for (unsigned i = 0; i < r->nfds; i++) {
		if (!fstat(r->fds[i], &st) && st.st_size > 0 && st.st_size <= FILE_MAX) {
			p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, r->fds[i], 0);
			if (p != MAP_FAILED) {
				read_pem(r, p, (size_t)st.st_size);
				munmap(p, (size_t)st.st_size);
			}
		}
		close(r->fds[i]);
	}
	r->nfds = 0;
}

/* OpenSSL asks for a subject: gives its store every root of that name. The store keeps the
 * references; the answer borrows one, as X509_STORE_CTX_get_by_subject expects (it takes its own).
 */
static int by_subject(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name,
		      X509_OBJECT *ret)
{
	struct roots *r = X509_LOOKUP_get_method_data(lookup);
	X509_STORE *store = X509_LOOKUP_get_store(lookup);
	X509 *found = NULL;

	if (type != X509_LU_X509)
		return 0;
	read_all(r);
	for (size_t i = 0; i < r->count; i++) {
		const uint8_t *base = (const uint8_t *)r->bytes.p;
		const unsigned char *p = base + r->list[i].subject_at;
		X509_NAME *subject;
		X509 *cert;
		bool same;

		if (r->list[i].given)
			continue;
		subject = d2i_X509_NAME(NULL, &p, r->list[i].subject_n);
		same = subject && !X509_NAME_cmp(subject, name);
		X509_NAME_free(subject);
		if (!same)
			continue;
		p = base + r->list[i].at;
		cert = d2i_X509(NULL, &p, r->list[i].n);
		if (cert && X509_STORE_add_cert(store, cert) == 1) {
			r->list[i].given = true;
			found = cert;
		}
		X509_free(cert);
	}
	if (!found || X509_OBJECT_set1_X509(ret, found) != 1)
		return 0;
	X509_free(found);
	return 1;
}

struct roots *roots_new(const int *fds, unsigned n)
{
	struct roots *r = mem_new(sizeof(*r));

	buf_init(&r->bytes, 16u << 20);
	for (unsigned i = 0; i < n; i++) {
		if (r->nfds < FILES_MAX)
			r->fds[r->nfds++] = fds[i];
		else
			close(fds[i]);
	}
	return r;
}

struct roots *roots_free(struct roots *r)
{
	if (!r)
		return NULL;
	for (unsigned i = 0; i < r->nfds; i++)
		close(r->fds[i]);
	buf_done(&r->bytes);
	free(r->list);
	X509_LOOKUP_meth_free(r->method);
	free(r);
	return NULL;
}

size_t roots_count(struct roots *r)
{
	read_all(r);
	return r->count;
}

int roots_store(struct roots *r, X509_STORE **ret)
{
	X509_STORE *store = X509_STORE_new();
	X509_LOOKUP *lookup;

	if (!r->method)
		r->method = X509_LOOKUP_meth_new("egret roots");
	if (!store || !r->method || X509_LOOKUP_meth_set_get_by_subject(r->method, by_subject) != 1)
		goto failed;
	lookup = X509_STORE_add_lookup(store, r->method);
	if (!lookup || X509_LOOKUP_set_method_data(lookup, r) != 1)
		goto failed;
	*ret = store;
	return 0;
failed:
	X509_STORE_free(store);
	return -EIO;
}
