/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 and HMAC-SHA256. A failure of the library is kept until the end, where it is asked for:
 * no hash comes out of it.
 */
#include "sigv4/hash.h"

#include "sigv4/sigv4.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

struct hash {
	EVP_MD_CTX *md;
	bool failed;
};

int hash_new(struct hash **ret)
{
	struct hash *h = mem_new(sizeof(*h));

	h->md = EVP_MD_CTX_new();
	if (!h->md || EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1) {
		hash_free(h);
		return -EIO;
	}
	*ret = h;
	return 0;
}

struct hash *hash_free(struct hash *h)
{
	if (!h)
		return NULL;
	EVP_MD_CTX_free(h->md);
	free(h);
	return NULL;
}

void hash_add(struct hash *h, const void *p, size_t n)
{
	if (EVP_DigestUpdate(h->md, p, n) != 1)
		h->failed = true;
}

void hash_hex(const uint8_t bytes[HASH_BYTES], char ret[2 * HASH_BYTES + 1])
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < HASH_BYTES; i++) {
		ret[2 * i] = digit[bytes[i] >> 4];
		ret[2 * i + 1] = digit[bytes[i] & 15];
	}
	ret[2 * HASH_BYTES] = 0;
}

int hash_end(struct hash *h, char ret_hex[2 * HASH_BYTES + 1])
{
	uint8_t bytes[HASH_BYTES];
	bool ok = !h->failed && EVP_DigestFinal_ex(h->md, bytes, NULL) == 1;

	hash_free(h);
	if (!ok)
		return -EIO;
	hash_hex(bytes, ret_hex);
	return 0;
}

int hmac(struct str key, struct str text, uint8_t ret[HASH_BYTES])
{
	uint8_t out[HASH_BYTES];
	unsigned n = sizeof(out);

	if (!HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)text.p, text.n, out,
		  &n) ||
	    n != sizeof(out))
		return -EIO;
	memcpy(ret, out, sizeof(out));
	OPENSSL_cleanse(out, sizeof(out));
	return 0;
}

int sigv4_hash(struct str bytes, char ret[SIGV4_HEX + 1])
{
	struct hash *h;
	int r = hash_new(&h);

	if (r < 0)
		return r;
	hash_add(h, bytes.p, bytes.n);
	return hash_end(h, ret);
}
