// SPDX-License-Identifier: Apache-2.0
/* Upstream verification: one good chain, and every way in which a chain can be bad; each must be
 * refused, and in words. */
#include "proxy/verify.h"

#include "proxy/address.h"
#include "unit/proxy/certs.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct made_cert root, other_root, middle;

static int judge(X509 *leaf, STACK_OF(X509) * sent, const char *host, const char *addr, char *why)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	uint8_t a[16] = { 0 };
	struct verify_want want = { .host = host ? str_of(host) : STR(""),
				    .addr = a,
				    .chain_bytes = 8192 };
	int r;

	if (addr)
		assert_int_equal(address_parse(str_of(addr), a), 0);
	X509_STORE_add_cert(store, root.cert);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, sent), 1);
	X509_STORE_CTX_set_default(ctx, "ssl_server");
	why[0] = '\0';
	r = verify_chain(ctx, &want, why);
	if (r)
		assert_int_not_equal(X509_STORE_CTX_get_error(ctx), X509_V_OK);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return r;
}

struct row {
	const char *what;
	struct cert_form form;
	const char *host;
	const char *says; /* NULL: good */
};

static const struct row rows[] = {
	{ "good", LEAF_FORM("x", "DNS:api.shop.test"), "api.shop.test", NULL },
	{ "good, one of many", LEAF_FORM("x", "DNS:a.test,DNS:API.shop.test"), "api.shop.test",
	  NULL },
	{ "good wildcard", LEAF_FORM("x", "DNS:*.shop.test"), "api.shop.test", NULL },
	{ "wildcard, two labels", LEAF_FORM("x", "DNS:*.shop.test"), "a.api.shop.test",
	  "not for a.api.shop.test" },
	{ "wildcard, apex", LEAF_FORM("x", "DNS:*.shop.test"), "shop.test", "not for shop.test" },
	{ "partial wildcard", LEAF_FORM("x", "DNS:a*.shop.test"), "api.shop.test", "not for" },
	{ "wildcard over a suffix", LEAF_FORM("x", "DNS:*.co.uk"), "shop.co.uk", "public suffix" },
	{ "wildcard over a private suffix", LEAF_FORM("x", "DNS:*.github.io"), "shop.github.io",
	  "public suffix" },
	{ "wildcard over a top label", LEAF_FORM("x", "DNS:*.com"), "shop.com",
	  "not for shop.com" },
	{ "bad wildcard beside a good name", LEAF_FORM("x", "DNS:*.co.uk,DNS:shop.co.uk"),
	  "shop.co.uk", NULL },
	{ "other name", LEAF_FORM("api.shop.test", "DNS:evil.test"), "api.shop.test",
	  "for evil.test, not for api.shop.test" },
	{ "name in the CN only",
	  { .cn = "api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth" },
	  "api.shop.test",
	  "no host name" },
	{ "expired",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .from_days = -9,
	    .to_days = -3 },
	  "api.shop.test",
	  "the certificate expired 3 days ago" },
	{ "not yet",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .from_days = 3,
	    .to_days = 9 },
	  "api.shop.test",
	  "not valid yet" },
	{ "no EKU",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature" },
	  "api.shop.test",
	  "no serverAuth" },
	{ "client EKU",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "clientAuth" },
	  "api.shop.test",
	  "not meant for TLS servers" },
	{ "any EKU",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth,anyExtendedKeyUsage" },
	  "api.shop.test",
	  "any use" },
	{ "a CA as leaf",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:TRUE",
	    .usage = "critical,digitalSignature,keyCertSign",
	    .eku = "serverAuth" },
	  "api.shop.test",
	  "a CA's" },
	{ "name constraints in a leaf",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .constraints = "permitted;DNS:shop.test" },
	  "api.shop.test",
	  "" },
	{ "RSA 1024",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .rsa_bits = 1024 },
	  "api.shop.test",
	  "too weak" },
	{ "RSA 2052",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .rsa_bits = 2052 },
	  "api.shop.test",
	  "multiple of 8" },
	{ "RSA 2048",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .rsa_bits = 2048 },
	  "api.shop.test",
	  NULL },
	{ "P-192",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .curve = "prime192v1" },
	  "api.shop.test",
	  "too weak" },
	{ "version 1", { .cn = "api.shop.test", .version = 1 }, "api.shop.test", "" },
	{ "no authority key identifier",
	  { .cn = "x",
	    .san = "DNS:api.shop.test",
	    .basic = "critical,CA:FALSE",
	    .usage = "critical,digitalSignature",
	    .eku = "serverAuth",
	    .no_ids = true },
	  "api.shop.test",
	  "" },
};

static void leaves(void **state)
{
	STACK_OF(X509) *sent = sk_X509_new_null();
	char why[VERIFY_WHY];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct made_cert leaf = cert_make(&rows[i].form, &middle);
		int r;

		sk_X509_push(sent, leaf.cert);
		sk_X509_push(sent, middle.cert);
		r = judge(leaf.cert, sent, rows[i].host, NULL, why);
		if (!rows[i].says != !r)
			fail_msg("%s: %d %s", rows[i].what, r, why);
		if (rows[i].says && (!why[0] || !strstr(why, rows[i].says)))
			fail_msg("%s: says \"%s\"", rows[i].what, why);
		for (const char *p = why; *p; p++)
			assert_true(*p >= ' ' && *p < 0x7f);
		sk_X509_zero(sent);
		cert_free(&leaf);
	}
	sk_X509_free(sent);
}

static void chains(void **state)
{
	static const struct cert_form good = LEAF_FORM("x", "DNS:api.shop.test"),
				      ip = LEAF_FORM("x", "IP:198.51.100.7");
	struct cert_form not_ca = LEAF_FORM("no CA", "DNS:a.test"), ca = CA_FORM("middle two");
	STACK_OF(X509) *sent = sk_X509_new_null();
	struct made_cert leaf, sub, deep;
	char why[VERIFY_WHY];

	/* Intermediate missing; self-signed; another root; a root that is sent along is not trusted
	 * for that. */
	leaf = cert_make(&good, &middle);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	assert_non_null(strstr(why, "intermediate may be missing"));
	cert_free(&leaf);
	leaf = cert_make(&good, NULL);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	assert_non_null(strstr(why, "self-signed"));
	cert_free(&leaf);
	leaf = cert_make(&good, &other_root);
	sk_X509_push(sent, other_root.cert);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	assert_non_null(strstr(why, "not trusted"));
	sk_X509_zero(sent);
	cert_free(&leaf);

	/* The root itself as a server. */
	assert_int_equal(judge(root.cert, sent, "api.shop.test", NULL, why), -EBADMSG);

	/* Signed by something that is no CA. */
	sub = cert_make(&not_ca, &middle);
	leaf = cert_make(&good, &sub);
	sk_X509_push(sent, sub.cert);
	sk_X509_push(sent, middle.cert);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	cert_free(&leaf);
	cert_free(&sub);
	sk_X509_zero(sent);

	/* A weak or constrained CA in between; a wildcard that would reach into what it excludes.
	 */
	ca.rsa_bits = 1024;
	sub = cert_make(&ca, &middle);
	leaf = cert_make(&good, &sub);
	sk_X509_push(sent, sub.cert);
	sk_X509_push(sent, middle.cert);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	assert_non_null(strstr(why, "CA certificate \"middle two\""));
	cert_free(&leaf);
	cert_free(&sub);
	sk_X509_zero(sent);
	ca.rsa_bits = 0;
	ca.constraints = "critical,excluded;DNS:api.shop.test";
	sub = cert_make(&ca, &middle);
	{
		static const struct cert_form star = LEAF_FORM("x", "DNS:*.shop.test");

		leaf = cert_make(&star, &sub);
	}
	sk_X509_push(sent, sub.cert);
	sk_X509_push(sent, middle.cert);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	assert_int_equal(judge(leaf.cert, sent, "www.shop.test", NULL, why), 0);
	cert_free(&leaf);
	sk_X509_zero(sent);

	/* Too many, too long. */
	leaf = cert_make(&good, &middle);
	for (int i = 0; i < 11; i++)
		sk_X509_push(sent, middle.cert);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	sk_X509_zero(sent);
	cert_free(&leaf);
	{
		char san[16000];
		size_t at = 0;
		struct cert_form big = LEAF_FORM("x", san);

		for (int i = 0; i < 700; i++)
			at += (size_t)snprintf(san + at, sizeof(san) - at, "%sDNS:h%d.shop.test",
					       i ? "," : "", i);
		deep = cert_make(&big, &middle);
		sk_X509_push(sent, deep.cert);
		sk_X509_push(sent, middle.cert);
		assert_int_equal(judge(deep.cert, sent, "h7.shop.test", NULL, why), -EBADMSG);
		assert_non_null(strstr(why, "bytes"));
		sk_X509_zero(sent);
		cert_free(&deep);
	}
	cert_free(&sub);

	/* By address. */
	leaf = cert_make(&ip, &middle);
	sk_X509_push(sent, middle.cert);
	assert_int_equal(judge(leaf.cert, sent, NULL, "198.51.100.7", why), 0);
	assert_int_equal(judge(leaf.cert, sent, NULL, "198.51.100.8", why), -EBADMSG);
	assert_int_equal(judge(leaf.cert, sent, "api.shop.test", NULL, why), -EBADMSG);
	cert_free(&leaf);
	sk_X509_free(sent);
}

static int setup(void **state)
{
	static const struct cert_form a = CA_FORM("root"), b = CA_FORM("other root"),
				      c = CA_FORM("middle");

	root = cert_make(&a, NULL);
	other_root = cert_make(&b, NULL);
	middle = cert_make(&c, &root);
	return 0;
}

static int teardown(void **state)
{
	cert_free(&root);
	cert_free(&other_root);
	cert_free(&middle);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(leaves), cmocka_unit_test(chains) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
