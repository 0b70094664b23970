// SPDX-License-Identifier: Apache-2.0
/* Addresses that are never dialled: every special block, every form that hides an IPv4 address, and
 * what opens them. */
#include "proxy/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
	const char *text;
	enum address_class want;
} classes[] = {
	{ "198.51.100.7", ADDRESS_PUBLIC },
	{ "8.8.8.8", ADDRESS_PUBLIC },
	{ "1.0.0.0", ADDRESS_PUBLIC },
	{ "223.255.255.255", ADDRESS_PUBLIC },
	{ "2001:db8::1", ADDRESS_PUBLIC },
	{ "2606:4700::1111", ADDRESS_PUBLIC },
	{ "0.0.0.0", ADDRESS_UNSPECIFIED },
	{ "0.255.255.255", ADDRESS_UNSPECIFIED },
	{ "::", ADDRESS_UNSPECIFIED },
	{ "127.0.0.1", ADDRESS_LOOPBACK },
	{ "127.255.255.254", ADDRESS_LOOPBACK },
	{ "126.255.255.255", ADDRESS_PUBLIC },
	{ "128.0.0.0", ADDRESS_PUBLIC },
	{ "::1", ADDRESS_LOOPBACK },
	{ "169.254.0.1", ADDRESS_LINK_LOCAL },
	{ "169.254.169.254", ADDRESS_LINK_LOCAL },
	{ "169.253.255.255", ADDRESS_PUBLIC },
	{ "169.255.0.0", ADDRESS_PUBLIC },
	{ "fe80::1", ADDRESS_LINK_LOCAL },
	{ "febf::1", ADDRESS_LINK_LOCAL },
	{ "168.63.129.16", ADDRESS_METADATA },
	{ "168.63.129.15", ADDRESS_PUBLIC },
	{ "100.100.100.200", ADDRESS_METADATA },
	{ "192.0.0.192", ADDRESS_METADATA },
	{ "fd00:ec2::254", ADDRESS_METADATA },
	{ "fd20:ce::254", ADDRESS_METADATA },
	{ "10.0.0.0", ADDRESS_PRIVATE },
	{ "10.255.255.255", ADDRESS_PRIVATE },
	{ "9.255.255.255", ADDRESS_PUBLIC },
	{ "11.0.0.0", ADDRESS_PUBLIC },
	{ "172.15.255.255", ADDRESS_PUBLIC },
	{ "172.16.0.0", ADDRESS_PRIVATE },
	{ "172.31.255.255", ADDRESS_PRIVATE },
	{ "172.32.0.0", ADDRESS_PUBLIC },
	{ "192.168.0.0", ADDRESS_PRIVATE },
	{ "192.168.255.255", ADDRESS_PRIVATE },
	{ "192.169.0.0", ADDRESS_PUBLIC },
	{ "fc00::1", ADDRESS_PRIVATE },
	{ "fdff:ffff::1", ADDRESS_PRIVATE },
	{ "fec0::1", ADDRESS_PRIVATE },
	{ "100.64.0.0", ADDRESS_SHARED },
	{ "100.127.255.255", ADDRESS_SHARED },
	{ "100.63.255.255", ADDRESS_PUBLIC },
	{ "100.128.0.0", ADDRESS_PUBLIC },
	{ "192.0.0.1", ADDRESS_RESERVED },
	{ "192.88.99.1", ADDRESS_RESERVED },
	{ "198.18.0.1", ADDRESS_RESERVED },
	{ "198.19.255.254", ADDRESS_RESERVED },
	{ "198.20.0.0", ADDRESS_PUBLIC },
	{ "224.0.0.1", ADDRESS_MULTICAST },
	{ "239.255.255.255", ADDRESS_MULTICAST },
	{ "240.0.0.1", ADDRESS_RESERVED },
	{ "255.255.255.255", ADDRESS_MULTICAST },
	{ "ff02::1", ADDRESS_MULTICAST },
	{ "100::1", ADDRESS_RESERVED },
	/* 169.254.169.254 and friends, in every wrapping. */
	{ "::ffff:169.254.169.254", ADDRESS_LINK_LOCAL },
	{ "::ffff:127.0.0.1", ADDRESS_LOOPBACK },
	{ "::169.254.169.254", ADDRESS_LINK_LOCAL },
	{ "::127.0.0.1", ADDRESS_LOOPBACK },
	{ "::8.8.8.8", ADDRESS_RESERVED },
	{ "64:ff9b::169.254.169.254", ADDRESS_LINK_LOCAL },
	{ "64:ff9b::10.1.2.3", ADDRESS_PRIVATE },
	{ "64:ff9b::8.8.8.8", ADDRESS_PUBLIC },
	{ "64:ff9b:1::169.254.169.254", ADDRESS_LINK_LOCAL },
	{ "64:ff9b:1:7f00:0:100::", ADDRESS_LOOPBACK }, /* the /48 form of 127.0.0.1 */
	{ "2002:a9fe:a9fe::1", ADDRESS_LINK_LOCAL },
	{ "2002:7f00:1::", ADDRESS_LOOPBACK },
	{ "2002:808:808::1", ADDRESS_PUBLIC },
	{ "2001:0:4136:e378:8000:63bf:5601:5601", ADDRESS_LINK_LOCAL }, /* Teredo, turned bits */
	{ "2001:0:4136:e378:8000:63bf:f7f7:f7f7", ADDRESS_PUBLIC },
	{ "2001:db8::5efe:169.254.169.254", ADDRESS_LINK_LOCAL }, /* ISATAP */
	{ "2001:db8::200:5efe:10.0.0.1", ADDRESS_PRIVATE },
	{ "::ffff:0:127.0.0.1", ADDRESS_LOOPBACK },
};

static void by_class(void **state)
{
	uint8_t a[16];

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		assert_int_equal(address_parse(str_of(classes[i].text), a), 0);
		if (address_class(a) != classes[i].want)
			fail_msg("%s: class %d, expected %d", classes[i].text, address_class(a),
				 classes[i].want);
	}
}

static void blocks(void **state)
{
	static const char *bad[] = { "",	  "10.0.0.0/33", "10.0.0.1/24",
				     "10.0.0.0/", "10.0.0.0/-1", "2001:db8::/129",
				     "x/24",	  "10.0.0/24",	 "fe80::1%eth0" };
	struct address_block b;
	uint8_t a[16];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(address_block_parse(str_of(bad[i]), &b), -EINVAL);
	assert_int_equal(address_block_parse(STR("10.1.0.0/16"), &b), 0);
	assert_int_equal(b.prefix, 112);
	assert_int_equal(address_parse(STR("10.1.255.255"), a), 0);
	assert_true(address_in(a, &b));
	assert_int_equal(address_parse(STR("10.2.0.0"), a), 0);
	assert_false(address_in(a, &b));
	assert_int_equal(address_block_parse(STR("10.1.2.3"), &b), 0);
	assert_int_equal(b.prefix, 128);
	assert_int_equal(address_block_parse(STR("2001:db8::/33"), &b), 0);
	assert_int_equal(address_parse(STR("2001:db8:8000::"), a), 0);
	assert_false(address_in(a, &b));
}

static void rules(void **state)
{
	static const char *allow_text[] = { "10.0.5.0/24",    "169.254.0.0/16", "127.0.0.0/8",
					    "169.254.7.7",    "127.0.0.9",	"203.0.113.9",
					    "2001:db8:1::/48" };
	static const char *local_text[] = { "203.0.113.9", "203.0.113.10", "2001:db8:2::1" };
	static const char *own_text[] = { "198.18.0.0/15", "fd5e:9e7::/64" };
	static const struct {
		const char *text;
		enum address_class want;
	} rows[] = {
		{ "10.0.5.9", ADDRESS_PUBLIC },
		{ "10.0.6.9", ADDRESS_PRIVATE },
		{ "169.254.169.254", ADDRESS_LINK_LOCAL }, /* a block does not open it */
		{ "169.254.7.7", ADDRESS_PUBLIC },	   /* named exactly */
		{ "127.0.0.1", ADDRESS_LOOPBACK },
		{ "127.0.0.9", ADDRESS_PUBLIC },
		{ "203.0.113.9", ADDRESS_PUBLIC },
		{ "203.0.113.10", ADDRESS_HOST },
		{ "2001:db8:2::1", ADDRESS_HOST },
		{ "64:ff9b::203.0.113.10", ADDRESS_HOST },
		{ "2002:cb00:710a::1", ADDRESS_HOST },
		{ "198.18.3.3", ADDRESS_SYNTHETIC },
		{ "64:ff9b::198.18.3.3", ADDRESS_RESERVED },
		{ "fd5e:9e7::5", ADDRESS_SYNTHETIC },
		{ "198.51.100.7", ADDRESS_PUBLIC },
		{ "64:ff9b::10.0.5.9", ADDRESS_PRIVATE }, /* only the address itself is opened */
	};
	struct address_block allow[7], local[3], own[2];
	struct address_rules r = { allow, 7, local, 3, own, 2 };
	uint8_t a[16];

	for (size_t i = 0; i < 7; i++)
		assert_int_equal(address_block_parse(str_of(allow_text[i]), &allow[i]), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(address_block_parse(str_of(local_text[i]), &local[i]), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(address_block_parse(str_of(own_text[i]), &own[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(address_parse(str_of(rows[i].text), a), 0);
		if (address_judge(&r, a) != rows[i].want)
			fail_msg("%s: %d, expected %d", rows[i].text, address_judge(&r, a),
				 rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(by_class), cmocka_unit_test(blocks),
					    cmocka_unit_test(rules) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
