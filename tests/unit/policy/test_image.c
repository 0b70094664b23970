/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images with any byte changed: refused by their digest, and, sealed anew as a hostile compiler
 * would, either refused or read without a step outside (ASan watches; the image lies at the end of
 * its allocation). Packs, and SHA-256 against the standard's vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/compile.h"
#include "policy/image.h"
#include "policy/sha256.h"
#include "unit/policy/walk.h"

static struct compiled compiled;

static int setup(void **state)
{
	struct source s[] = { { SOURCE_POLICY, STR("w.json"), STR(WALK_POLICY) },
			      { SOURCE_CREDENTIAL, STR("c.json"), STR(WALK_CREDENTIAL) } };
	int r = policy_compile(s, 2, 0, &compiled);

	if (r < 0)
		print_error("%.*s", STR_ARG(buf_str(&compiled.errors.text)));
	return r;
}

static int teardown(void **state)
{
	compiled_done(&compiled);
	return 0;
}

static void as_it_is(void **state)
{
	struct credential c;
	struct policy p;

	assert_int_equal(policy_open(compiled.policies[0], &p), 0);
	walk_policy(&p);
	assert_int_equal(credential_open(compiled.credentials[0], &c), 0);
	walk_credential(&c);
	assert_true(str_is(credential_name(&c), "c"));
	assert_true(str_is(credential_param(&c, PARAM_VALUE), "store:s"));
	assert_int_equal(credential_ttl_ms(&c), 600000);
	assert_true(credential_static(&c));
	assert_true(credential_any_tier(&c));
	assert_false(credential_client_auth_pass(&c));
	assert_false(credential_host(&c, STR("w.example.net")));
	assert_true(credential_host(&c, STR("x.w.example.net")));
	assert_int_equal(credential_open(compiled.policies[0], &c), -EBADMSG);
	assert_int_equal(policy_open(compiled.credentials[0], &p), -EBADMSG);
}

/* What the cage and the kernel's table get, in whatever order. */
static void blocks(void **state)
{
	static const struct {
		uint16_t lo, hi;
		bool udp, deny;
	} want[] = { { 5432, 5432, false, false }, { 6000, 6010, false, false },
		     { 123, 123, true, false },	   { 500, 510, true, false },
		     { 6005, 6005, false, true },  { 500, 500, false, true },
		     { 500, 500, true, true } };
	unsigned seen[ARRAY_SIZE(want)] = { 0 }, n = 0, own = 0;
	struct policy_direct d;
	struct policy_block b;
	struct policy p;
	size_t at = 0;

	assert_int_equal(policy_open(compiled.policies[0], &p), 0);
	while (policy_each_direct(&p, &at, &d)) {
		if (d.addr[12] != 10)
			continue; /* another rule's, which denies */
		n++;
		assert_int_equal(d.prefix, d.deny ? 128 : 120);
		for (size_t i = 0; i < ARRAY_SIZE(want); i++)
			seen[i] += d.port_lo == want[i].lo && d.port_hi == want[i].hi &&
				   d.udp == want[i].udp && d.deny == want[i].deny;
	}
	assert_int_equal(n, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(seen[i], 1);
	assert_false(policy_each_direct(&p, &at, &d));
	/* The proxy dials for jobs without a link, TCP alone. */
	for (at = 0; policy_each_block(&p, &at, &b);) {
		assert_true(b.port_lo != 123 && b.port_lo != 500);
		own += b.addr[12] == 10;
	}
	assert_int_equal(own, 2);
}

static void injections(void **state)
{
	struct credential_inject in;
	struct credential c;
	struct str env;
	size_t at = 0;

	assert_int_equal(credential_open(compiled.credentials[0], &c), 0);
	assert_true(credential_each_inject(&c, STR("api.github.com"), &at, &in));
	assert_int_equal(in.kind, INJECT_HEADER);
	assert_true(str_is(in.name, "authorization") && str_is(in.format, "Bearer {token}"));
	assert_false(credential_each_inject(&c, STR("api.github.com"), &at, &in));
	at = 0;
	assert_true(credential_each_inject(&c, STR("x.w.example.net"), &at, &in));
	assert_int_equal(in.kind, INJECT_BASIC);
	at = 0;
	assert_false(credential_each_inject(&c, STR("evil.test"), &at, &in));
	assert_true(credential_each_env(&c, &at, &env) && str_is(env, "GH_TOKEN"));
	assert_true(str_is(credential_placeholder(&c), "egret__c__"));
}

/* Every byte, with several changes each. Returns how many were still opened. */
static unsigned flip(struct str image, bool credential)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff, 0x10 };
	unsigned opened = 0;

	for (size_t i = 0; i < image.n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(masks); k++) {
			uint8_t *copy = malloc(image.n);
			struct str s = { (const char *)copy, image.n };
			struct credential c;
			struct policy p;

			assert_non_null(copy);
			memcpy(copy, image.p, image.n);
			copy[i] ^= masks[k];
			assert_int_equal(credential ? credential_open(s, &c) : policy_open(s, &p),
					 -EBADMSG);
			image_seal(copy, image.n);
			if (credential && credential_open(s, &c) == 0) {
				walk_credential(&c);
				opened++;
			} else if (!credential && policy_open(s, &p) == 0) {
				walk_policy(&p);
				opened++;
			}
			free(copy);
		}
	}
	return opened;
}

static void flip_policy(void **state)
{
	assert_true(flip(compiled.policies[0], false) > 0); /* else the walk was never taken */
}

static void flip_credential(void **state)
{
	assert_true(flip(compiled.credentials[0], true) > 0);
}

static void cut(void **state)
{
	struct str image = compiled.policies[0];

	for (size_t n = 0; n < image.n; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		struct policy p;

		memcpy(copy, image.p, n);
		if (n >= 80)
			image_seal(copy, n);
		if (policy_open((struct str){ (const char *)copy, n }, &p) == 0)
			walk_policy(&p);
		free(copy);
	}
}

static void packs(void **state)
{
	struct str images[] = { compiled.policies[0], STR("xyz"), STR("") };
	char bytes[16384];
	struct pack k;
	ssize_t n;
	int fd;

	assert_int_equal(pack_write(images, 3, &fd), 0);
	n = pread(fd, bytes, sizeof(bytes), 0);
	close(fd);
	assert_true(n > 0);
	assert_int_equal(pack_open(bytes, (size_t)n, &k), 0);
	assert_int_equal(k.count, 3);
	assert_true(str_eq(pack_at(&k, 0), images[0]));
	assert_true(str_is(pack_at(&k, 1), "xyz"));
	for (size_t i = 0; i < 32; i++) {
		char *copy = malloc((size_t)n);

		memcpy(copy, bytes, (size_t)n);
		copy[i] ^= (char)0xff;
		if (pack_open(copy, (size_t)n, &k) == 0)
			for (uint32_t j = 0; j < k.count; j++)
				walk_str(pack_at(&k, j));
		free(copy);
	}
	assert_int_equal(pack_open(bytes, 7, &k), -EBADMSG);
}

static void sha256_vectors(void **state)
{
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	static char million[1000000];
	uint8_t got[32];
	char hex[65];

	for (size_t i = 0; i <= ARRAY_SIZE(rows); i++) {
		const char *want = i < ARRAY_SIZE(rows) ? rows[i].hex
							: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48"
							  "a497200e046d39ccc7112cd0";

		memset(million, 'a', sizeof(million));
		if (i < ARRAY_SIZE(rows))
			sha256(rows[i].text, strlen(rows[i].text), got);
		else
			sha256(million, sizeof(million), got);
		for (int k = 0; k < 32; k++) {
			hex[2 * k] = "0123456789abcdef"[got[k] >> 4];
			hex[2 * k + 1] = "0123456789abcdef"[got[k] & 15];
		}
		hex[64] = 0;
		assert_string_equal(hex, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_it_is),	   cmocka_unit_test(blocks),
		cmocka_unit_test(injections),	   cmocka_unit_test(flip_policy),
		cmocka_unit_test(flip_credential), cmocka_unit_test(cut),
		cmocka_unit_test(packs),	   cmocka_unit_test(sha256_vectors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
