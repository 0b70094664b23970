// SPDX-License-Identifier: Apache-2.0
/* Leaves: the profile that strict clients want, the cache, a handshake in both TLS versions, and
 * whose sessions are resumed. */
#include "proxy/leaf.h"

#include "proxy/address.h"
#include "unit/proxy/certs.h"
#include <errno.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct made_cert root, middle;

static struct leaves *make(size_t max)
{
	unsigned char *cert = NULL, *key = NULL;
	struct secret s;
	struct leaves *l;
	int n = i2d_X509(middle.cert, &cert), k = i2d_PrivateKey(middle.key, &key);

	s = (struct secret){ key, (size_t)k };
	assert_int_equal(leaves_new((struct str){ (char *)cert, (size_t)n }, &s, max, &l), 0);
	OPENSSL_free(cert);
	OPENSSL_free(key);
	return l;
}

/* As a client reads it. */
static X509 *received(X509 *leaf)
{
	unsigned char *der = NULL;
	const unsigned char *p;
	int n = i2d_X509(leaf, &der);
	X509 *x;

	assert_true(n > 0);
	p = der;
	x = d2i_X509(NULL, &p, n);
	assert_non_null(x);
	OPENSSL_free(der);
	return x;
}

static void strict(X509 *made, const char *host, const uint8_t *ip, size_t ip_n)
{
	X509 *leaf = received(made);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *sent = sk_X509_new_null();
	X509_VERIFY_PARAM *p;

	sk_X509_push(sent, middle.cert);
	X509_STORE_add_cert(store, root.cert);
	X509_STORE_CTX_init(ctx, store, leaf, sent);
	p = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT | X509_V_FLAG_POLICY_CHECK);
	X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_auth_level(p, 2);
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (host)
		X509_VERIFY_PARAM_set1_host(p, host, 0);
	else
		X509_VERIFY_PARAM_set1_ip(p, ip, ip_n);
	if (X509_verify_cert(ctx) != 1)
		fail_msg("%s: %s", host ? host : "address",
			 X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_free(sent);
	X509_free(leaf);
}

static void profile(void **state)
{
	static const char deep[] = "a-label-that-is-rather-long-01.a-label-that-is-rather-long-02."
				   "a-label-that-is-rather-long-03."
				   "a-label-that-is-rather-long-04.a-label-that-is-rather-long-05."
				   "a-label-that-is-rather-long-06."
				   "a-label-that-is-rather-long-07.shop.test";
	struct leaves *l = make(8);
	const ASN1_INTEGER *serial;
	int critical, days, seconds;
	BASIC_CONSTRAINTS *bc;
	X509 *leaf, *second;
	ASN1_BIT_STRING *ku;
	uint8_t addr[16];
	GENERAL_NAMES *sans;
	BIGNUM *bn;

	assert_int_equal(leaves_cert(l, STR("api.shop.test"), NULL, &leaf), 0);
	strict(leaf, "api.shop.test", NULL, 0);
	assert_int_equal(X509_get_version(leaf), 2);
	serial = X509_get0_serialNumber(leaf);
	bn = ASN1_INTEGER_to_BN(serial, NULL);
	assert_true(BN_num_bits(bn) > 64 && !BN_is_negative(bn));
	BN_free(bn);
	bc = X509_get_ext_d2i(leaf, NID_basic_constraints, &critical, NULL);
	assert_true(bc && !bc->ca && critical == 1);
	BASIC_CONSTRAINTS_free(bc);
	ku = X509_get_ext_d2i(leaf, NID_key_usage, &critical, NULL);
	assert_true(ku && critical == 1);
	ASN1_BIT_STRING_free(ku);
	assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
	assert_non_null(X509_get0_authority_key_id(leaf));
	sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(sans), 1);
	assert_int_equal(critical, 0);
	GENERAL_NAMES_free(sans);
	assert_int_equal(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(leaf),
					X509_get0_notAfter(leaf)),
			 1);
	assert_true(days < 7 || (days == 7 && !seconds));
	assert_true(X509_cmp_current_time(X509_get0_notBefore(leaf)) < 0);
	/* Same key in every leaf, another serial. Not one read again out of each: that is most of
	 * what a leaf would cost. */
	assert_int_equal(leaves_cert(l, STR("www.shop.test"), NULL, &second), 0);
	assert_ptr_equal(X509_get0_pubkey(leaf), X509_get0_pubkey(second));
	assert_int_not_equal(ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(second)), 0);

	/* A name too long for a CN: empty subject, and then the SAN is critical. */
	assert_int_equal(leaves_cert(l, STR(deep), NULL, &leaf), 0);
	strict(leaf, deep, NULL, 0);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(leaf)), 0);
	sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
	assert_int_equal(critical, 1);
	GENERAL_NAMES_free(sans);

	assert_int_equal(address_parse(STR("198.51.100.7"), addr), 0);
	assert_int_equal(leaves_cert(l, STR(""), addr, &leaf), 0);
	strict(leaf, NULL, addr + 12, 4);
	assert_int_equal(address_parse(STR("2001:db8::7"), addr), 0);
	assert_int_equal(leaves_cert(l, STR(""), addr, &leaf), 0);
	strict(leaf, NULL, addr, 16);
	leaves_free(l);
}

static void cache(void **state)
{
	struct leaves *l = make(2);
	X509 *a, *b, *c;

	assert_int_equal(leaves_cert(l, STR("a.test"), NULL, &a), 0);
	assert_int_equal(leaves_cert(l, STR("b.test"), NULL, &b), 0);
	assert_int_equal(leaves_cert(l, STR("a.test"), NULL, &c), 0);
	assert_ptr_equal(a, c);
	assert_int_equal(leaves_cert(l, STR("c.test"), NULL, &c), 0); /* b goes: a was used later */
	assert_int_equal(leaves_count(l), 2);
	assert_int_equal(leaves_cert(l, STR("a.test"), NULL, &c), 0);
	assert_ptr_equal(a, c);
	for (int i = 0; i < 1000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%d.test", i);
		assert_int_equal(leaves_cert(l, str_of(name), NULL, &c), 0);
	}
	assert_int_equal(leaves_count(l), 2);
	leaves_free(l);
}

static void refused(void **state)
{
	static const struct cert_form no_ca = LEAF_FORM("x", "DNS:x.test");
	unsigned char *cert = NULL, *key = NULL;
	struct made_cert leaf = cert_make(&no_ca, &root);
	struct leaves *l = NULL;
	struct secret s;
	int n, k;

	n = i2d_X509(leaf.cert, &cert);
	k = i2d_PrivateKey(leaf.key, &key);
	s = (struct secret){ key, (size_t)k };
	assert_int_equal(leaves_new((struct str){ (char *)cert, (size_t)n }, &s, 8, &l), -EBADMSG);
	OPENSSL_free(cert);
	cert = NULL;
	n = i2d_X509(middle.cert, &cert);
	assert_int_equal(leaves_new((struct str){ (char *)cert, (size_t)n }, &s, 8, &l),
			 -EBADMSG); /* another key */
	assert_int_equal(leaves_new(STR("junk"), &s, 8, &l), -EBADMSG);
	assert_null(l);
	OPENSSL_free(cert);
	OPENSSL_free(key);
	cert_free(&leaf);
}

/* Three CAs deep: whoever knows the root alone is shown all that lies between. */
static void chain(void **state)
{
	static const struct cert_form deep = CA_FORM("proxy");
	struct made_cert inter = cert_make(&deep, &middle);
	unsigned char *cert = NULL, *key = NULL, *more = NULL, *other = NULL;
	struct leaves *l = NULL;
	STACK_OF(X509) *sent = NULL;
	SSL *ssl = NULL;
	struct secret s;
	int n = i2d_X509(inter.cert, &cert), k = i2d_PrivateKey(inter.key, &key);
	int m = i2d_X509(middle.cert, &more), o = i2d_X509(root.cert, &other);

	s = (struct secret){ key, (size_t)k };
	assert_int_equal(leaves_new((struct str){ (char *)cert, (size_t)n }, &s, 8, &l), 0);
	assert_int_equal(leaves_chain(l, (struct str){ (char *)other, (size_t)o }), -EBADMSG);
	assert_int_equal(leaves_chain(l, (struct str){ (char *)more, (size_t)m - 1 }), -EBADMSG);
	assert_int_equal(leaves_chain(l, (struct str){ (char *)more, (size_t)m }), 0);
	assert_int_equal(leaves_ssl(l, STR("api.shop.test"), NULL, &ssl), 0);
	assert_int_equal(SSL_get0_chain_certs(ssl, &sent), 1);
	assert_int_equal(sk_X509_num(sent), 2);
	assert_int_equal(X509_cmp(sk_X509_value(sent, 0), inter.cert), 0);
	assert_int_equal(X509_cmp(sk_X509_value(sent, 1), middle.cert), 0);
	SSL_free(ssl);
	leaves_free(l);
	OPENSSL_free(cert);
	OPENSSL_free(key);
	OPENSSL_free(more);
	OPENSSL_free(other);
	cert_free(&inter);
}

/* Both ends in memory: 1 when the handshake ended well. */
static bool prefer;	   /* leaf_prefer_h2 */
static SSL_SESSION *offer; /* by the client */

static int shake(struct leaves *l, SSL_CTX *ctx, const char *host, const char *alpn,
		 SSL **ret_client)
{
	SSL *server = NULL, *client = SSL_new(ctx);
	BIO *a, *b;
	int r = 0;

	assert_int_equal(leaves_ssl(l, str_of(host), NULL, &server), 0);
	if (prefer)
		leaf_prefer_h2(server);
	BIO_new_bio_pair(&a, 65536, &b, 65536);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_tlsext_host_name(client, host);
	SSL_set1_host(client, host);
	if (alpn)
		SSL_set_alpn_protos(client, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	SSL_set_connect_state(client);
	if (offer)
		assert_int_equal(SSL_set_session(client, offer), 1);
	for (int i = 0; i < 10 && !r; i++) {
		int c = SSL_do_handshake(client), s = SSL_do_handshake(server);

		r = c == 1 && s == 1;
	}
	if (r) /* the ticket of TLS 1.3 comes behind the handshake */
		(void)SSL_read(client, &(char){ 0 }, 1);
	SSL_set_shutdown(server, SSL_SENT_SHUTDOWN); /* as stream_free does it */
	SSL_free(server);
	*ret_client = client;
	return r;
}

/* A handshake that offers `with` (a copy: OpenSSL spoils it); what it could resume next time. */
static SSL_SESSION *session_of(struct leaves *l, SSL_CTX *ctx, const SSL_SESSION *with,
			       bool resumes)
{
	SSL_SESSION *s;
	SSL *client;

	offer = with ? SSL_SESSION_dup(with) : NULL;
	assert_int_equal(shake(l, ctx, "api.shop.test", NULL, &client), 1);
	assert_int_equal(SSL_session_reused(client), resumes);
	s = SSL_get1_session(client);
	(void)SSL_shutdown(client); /* or the client takes it for broken */
	SSL_free(client);
	SSL_SESSION_free(offer);
	offer = NULL;
	return s;
}

static void resumed(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	enum { KEPT = 128 }; /* leaf.c: SESSIONS */
	struct leaves *l, *other;
	SSL_SESSION *first, *second;
	const unsigned char *ticket;
	size_t before, n;
	SSL_CTX *ctx;

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		l = make(8);
		other = make(8);
		ctx = SSL_CTX_new(TLS_client_method());
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root.cert);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_min_proto_version(ctx, versions[v]);
		SSL_CTX_set_max_proto_version(ctx, versions[v]);
		first = session_of(l, ctx, NULL, false);
		assert_int_equal(SSL_SESSION_is_resumable(first), 1);
		/* A number, not the session. */
		SSL_SESSION_get0_ticket(first, &ticket, &n);
		assert_true(n <= 32);
		/* Again and again, until it is old; each time with a number that is new. */
		second = session_of(l, ctx, first, true);
		SSL_SESSION_free(session_of(l, ctx, first, true));
		SSL_SESSION_free(session_of(l, ctx, second, true));
		/* Another job, or this one with another CA, knows neither. */
		SSL_SESSION_free(session_of(other, ctx, first, false));
		SSL_SESSION_free(session_of(other, ctx, second, false));
		/* A flood of handshakes: no more than so many, so many bytes, and the oldest go. */
		before = mallinfo2().uordblks;
		for (int i = 0; i < KEPT; i++) {
			SSL_SESSION_free(second);
			second = session_of(l, ctx, NULL, false);
		}
		assert_true(mallinfo2().uordblks < before + (size_t)KEPT * 1536);
		assert_in_range(leaves_sessions(l), KEPT - 1, KEPT);
		SSL_SESSION_free(session_of(l, ctx, first, false));
		SSL_SESSION_free(session_of(l, ctx, second, true));
		assert_in_range(leaves_sessions(l), KEPT - 1, KEPT);
		SSL_SESSION_free(first);
		SSL_SESSION_free(second);
		SSL_CTX_free(ctx);
		leaves_free(l);
		leaves_free(other);
	}
}

static void handshakes(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct leaves *l = make(8);
	const unsigned char *proto;
	SSL *client;
	unsigned n;

	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root.cert);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	assert_int_equal(shake(l, ctx, "api.shop.test", NULL, &client), 1);
	assert_string_equal(SSL_get_version(client), "TLSv1.3");
	assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client)), 2);
	SSL_free(client);
	assert_int_equal(shake(l, ctx, "api.shop.test", "\2h2\x08http/1.1", &client), 1);
	SSL_get0_alpn_selected(client, &proto, &n);
	assert_int_equal(n, 8);
	assert_memory_equal(proto, "http/1.1", 8);
	SSL_free(client);
	/* Nothing else offered. */
	assert_int_equal(shake(l, ctx, "api.shop.test", "\2h2", &client), 1);
	assert_true(leaf_chose_h2(client));
	SSL_free(client);
	assert_int_equal(shake(l, ctx, "api.shop.test", "\2h3", &client), 0);
	SSL_free(client);
	prefer = true;
	assert_int_equal(shake(l, ctx, "api.shop.test", "\2h2\x08http/1.1", &client), 1);
	assert_true(leaf_chose_h2(client));
	SSL_free(client);
	prefer = false;
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	assert_int_equal(shake(l, ctx, "api.shop.test", NULL, &client), 1);
	assert_string_equal(SSL_get_version(client), "TLSv1.2");
	SSL_free(client);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	assert_int_equal(shake(l, ctx, "api.shop.test", NULL, &client), 0);
	SSL_free(client);
	SSL_CTX_free(ctx);
	leaves_free(l);
}

static int setup(void **state)
{
	static const struct cert_form a = CA_FORM("root");
	struct cert_form b = CA_FORM("job");

	b.basic = "critical,CA:TRUE,pathlen:0";
	root = cert_make(&a, NULL);
	middle = cert_make(&b, &root);
	return 0;
}

static int teardown(void **state)
{
	cert_free(&root);
	cert_free(&middle);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile), cmocka_unit_test(cache),	 cmocka_unit_test(refused),
		cmocka_unit_test(chain),   cmocka_unit_test(handshakes), cmocka_unit_test(resumed)
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
