/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/addr.h against a table of prefixes written down independently: every IPv4 /24 at both ends,
 * the /24s with single special addresses whole, and IPv6 by table and by wrapping every kind of
 * IPv4 into every embedding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "addr.h"
#include "base/bytes.h"
#include <arpa/inet.h>

static const struct {
	const char *net;
	unsigned bits;
	enum addr_class class;
} four[] = {
	/* the narrow before the wide */
	{ "168.63.129.16", 32, ADDR_METADATA },	   { "100.100.100.200", 32, ADDR_METADATA },
	{ "255.255.255.255", 32, ADDR_MULTICAST }, { "192.0.0.0", 24, ADDR_RESERVED },
	{ "169.254.0.0", 16, ADDR_LINK_LOCAL },	   { "192.168.0.0", 16, ADDR_PRIVATE },
	{ "198.18.0.0", 15, ADDR_BENCH },	   { "172.16.0.0", 12, ADDR_PRIVATE },
	{ "100.64.0.0", 10, ADDR_SHARED },	   { "0.0.0.0", 8, ADDR_UNSPECIFIED },
	{ "10.0.0.0", 8, ADDR_PRIVATE },	   { "127.0.0.0", 8, ADDR_LOOPBACK },
	{ "224.0.0.0", 4, ADDR_MULTICAST },	   { "240.0.0.0", 4, ADDR_RESERVED },
};

static uint32_t nets[ARRAY_SIZE(four)], masks[ARRAY_SIZE(four)];

static int prepare(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(four); i++) {
		struct in_addr a;

		assert_int_equal(inet_pton(AF_INET, four[i].net, &a), 1);
		nets[i] = ntohl(a.s_addr);
		masks[i] = four[i].bits == 32 ? 0xffffffffu : ~(0xffffffffu >> four[i].bits);
	}
	return 0;
}

static enum addr_class expected(uint32_t ip)
{
	for (size_t i = 0; i < ARRAY_SIZE(four); i++)
		if ((ip & masks[i]) == nets[i])
			return four[i].class;
	return ADDR_PUBLIC;
}

static void check4(uint32_t ip)
{
	if (addr_class4(ip) != expected(ip)) {
		print_error("%u.%u.%u.%u: %d, expected %d\n", ip >> 24, ip >> 16 & 255,
			    ip >> 8 & 255, ip & 255, addr_class4(ip), expected(ip));
		fail();
	}
}

static void test_every_24(void **state)
{
	(void)state;
	for (uint32_t net = 0; net < 1u << 24; net++) {
		check4(net << 8);
		check4(net << 8 | 255);
	}
	for (size_t i = 0; i < ARRAY_SIZE(four); i++)
		for (uint32_t host = 0; host < 256; host++)
			check4((nets[i] & ~255u) | host);
}

static void words(const char *ip, uint32_t w[4])
{
	assert_int_equal(inet_pton(AF_INET6, ip, w), 1);
}

static const struct {
	const char *ip;
	enum addr_class class, deep;
	int embedded;
} six[] = {
	{ "::", ADDR_UNSPECIFIED, ADDR_UNSPECIFIED, 0 },
	{ "::1", ADDR_LOOPBACK, ADDR_LOOPBACK, 0 },
	{ "::2", ADDR_RESERVED, ADDR_RESERVED, 1 },
	{ "::8.8.8.8", ADDR_RESERVED, ADDR_RESERVED, 1 },
	{ "::ffff:8.8.8.8", ADDR_PUBLIC, ADDR_PUBLIC, 0 },
	{ "::ffff:127.0.0.1", ADDR_LOOPBACK, ADDR_LOOPBACK, 0 },
	{ "::ffff:0.0.0.0", ADDR_UNSPECIFIED, ADDR_UNSPECIFIED, 0 },
	{ "::fffe:8.8.8.8", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "::1:ffff:8.8.8.8", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "2000::", ADDR_PUBLIC, ADDR_PUBLIC, 0 },
	{ "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDR_PUBLIC, ADDR_PUBLIC, 0 },
	{ "4000::", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "2001:db8::1", ADDR_PUBLIC, ADDR_PUBLIC, 0 },
	{ "2001:1::1", ADDR_PUBLIC, ADDR_PUBLIC, 0 },
	{ "fbff::1", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "fc00::", ADDR_PRIVATE, ADDR_PRIVATE, 0 },
	{ "fdff:ffff::1", ADDR_PRIVATE, ADDR_PRIVATE, 0 },
	{ "fd00:ec2::254", ADDR_METADATA, ADDR_METADATA, 0 },
	{ "fd00:ec2::255", ADDR_PRIVATE, ADDR_PRIVATE, 0 },
	{ "fe00::1", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "fe7f::1", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "fe80::", ADDR_LINK_LOCAL, ADDR_LINK_LOCAL, 0 },
	{ "febf:ffff::", ADDR_LINK_LOCAL, ADDR_LINK_LOCAL, 0 },
	{ "fec0::", ADDR_PRIVATE, ADDR_PRIVATE, 0 },
	{ "feff::1", ADDR_PRIVATE, ADDR_PRIVATE, 0 },
	{ "ff00::", ADDR_MULTICAST, ADDR_MULTICAST, 0 },
	{ "ff02::1", ADDR_MULTICAST, ADDR_MULTICAST, 0 },
	{ "64:ff9b::8.8.8.8", ADDR_PUBLIC, ADDR_PUBLIC, 1 },
	{ "64:ff9b::10.0.0.1", ADDR_PUBLIC, ADDR_PRIVATE, 1 },
	{ "64:ff9b:0:0:1::8.8.8.8", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "64:ff9b:1::8.8.8.8", ADDR_RESERVED, ADDR_RESERVED, 0 },
	{ "2002:808:808::", ADDR_PUBLIC, ADDR_PUBLIC, 1 },
	{ "2002:7f00:1::9", ADDR_PUBLIC, ADDR_LOOPBACK, 1 },
	{ "2001:0:808:808::f7f7:f7f7", ADDR_PUBLIC, ADDR_PUBLIC, 2 },
	{ "2001:0:a9fe:a9fe::f7f7:f7f7", ADDR_PUBLIC, ADDR_LINK_LOCAL, 2 },
	{ "2001:0:808:808::80ff:fffe", ADDR_PUBLIC, ADDR_LOOPBACK, 2 },
};

static void test_six(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(six); i++) {
		uint32_t w[4], ip[2];

		words(six[i].ip, w);
		if (addr_class(w) != six[i].class || addr_class_deep(w) != six[i].deep ||
		    addr_embedded(w, ip) != six[i].embedded) {
			print_error("%s: %d %d %d\n", six[i].ip, addr_class(w), addr_class_deep(w),
				    addr_embedded(w, ip));
			fail();
		}
	}
}

/* However it is wrapped, the cage sees it. */
static void test_embeddings(void **state)
{
	(void)state;
	for (uint32_t net = 0; net < 1u << 16; net++) {
		for (uint32_t k = 0; k < ARRAY_SIZE(four); k++) {
			uint32_t ip = net << 16 | (nets[k] & 0xffff);
			enum addr_class want = expected(ip);
			uint32_t mapped[4] = { 0, 0, htonl(0xffff), htonl(ip) };
			uint32_t nat64[4] = { htonl(0x64ff9b), 0, 0, htonl(ip) };
			uint32_t to6[4] = { htonl(0x20020000u | ip >> 16), htonl(ip << 16), 0, 1 };
			uint32_t server[4] = { htonl(0x20010000), htonl(ip), 0,
					       ~htonl(0x08080808) };
			uint32_t client[4] = { htonl(0x20010000), htonl(0x08080808), 0,
					       htonl(~ip) };
			uint32_t compat[4] = { 0, 0, 0, htonl(ip) };

			assert_int_equal(addr_class(mapped), want);
			assert_int_equal(addr_class_deep(mapped), want);
			assert_int_equal(addr_class_deep(nat64), want);
			assert_int_equal(addr_class_deep(to6), want);
			assert_int_equal(addr_class_deep(server), want);
			assert_int_equal(addr_class_deep(client), want);
			assert_int_not_equal(addr_class_deep(compat), ADDR_PUBLIC);
		}
	}
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_every_24),
		cmocka_unit_test(test_six),
		cmocka_unit_test(test_embeddings),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, prepare, NULL);
}
