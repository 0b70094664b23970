/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in a burst: one key operation each (the second question gets the very certificate of the
 * first), no more of them kept than leaf_cache allows, and memory that does not grow.
 */
#include "proxy/leaf.h"

#include "unit/proxy/certs.h"
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NAMES 4000
#define CACHE 64
#define GROWTH (64 * 1024)

static void burst(void **state)
{
	static const struct cert_form top = CA_FORM("root");
	struct cert_form below = CA_FORM("job");
	struct made_cert root = cert_make(&top, NULL), middle;
	unsigned char *cert = NULL, *key = NULL;
	size_t early = 0, late = 0;
	struct leaves *l;
	struct secret s;
	int n, k;

	(void)state;
	below.basic = "critical,CA:TRUE,pathlen:0";
	middle = cert_make(&below, &root);
	n = i2d_X509(middle.cert, &cert);
	k = i2d_PrivateKey(middle.key, &key);
	s = (struct secret){ key, (size_t)k };
	assert_int_equal(leaves_new((struct str){ (char *)cert, (size_t)n }, &s, CACHE, &l), 0);
	for (int i = 0; i < NAMES; i++) {
		X509 *first, *second;
		char name[64];

		n = snprintf(name, sizeof(name), "n%d.flood.test", i);
		assert_int_equal(leaves_cert(l, (struct str){ name, (size_t)n }, NULL, &first), 0);
		assert_int_equal(leaves_cert(l, (struct str){ name, (size_t)n }, NULL, &second), 0);
		assert_ptr_equal(first, second);
		assert_true(leaves_count(l) <= CACHE);
		if (i == NAMES / 4)
			early = mallinfo2().uordblks;
	}
	late = mallinfo2().uordblks;
	assert_int_equal(leaves_count(l), CACHE);
	if (late > early + GROWTH)
		fail_msg("%zu bytes more after %d more names", late - early, NAMES * 3 / 4);
	leaves_free(l);
	OPENSSL_free(cert);
	OPENSSL_free(key);
	cert_free(&middle);
	cert_free(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(burst) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
