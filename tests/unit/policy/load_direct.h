/* SPDX-License-Identifier: Apache-2.0 */
/* How a row of test_load.c looks, and its rows about rules `direct`. */
#ifndef TEST_POLICY_LOAD_DIRECT_H
#define TEST_POLICY_LOAD_DIRECT_H

#define RULE(r) "{ \"rules\": [ " r " ] }"

/* expect: how the first error begins behind "f:"; NULL: it loads. */
struct row {
	const char *text, *expect;
};

static const struct row directs[] = {
	{ RULE("{ \"direct\": \"0.0.0.0/0:1\" }"), "1:26: direct: this is every address" },
	{ RULE("{ \"direct\": \"[::/0]:1\" }"), "1:26: direct: this is every address" },
	{ RULE("{ \"direct\": \"127.0.0.1:1\" }"), "1:26: direct: holds loopback" },
	{ RULE("{ \"direct\": \"169.254.169.254:80\" }"), "1:26: direct: holds link-local" },
	{ RULE("{ \"direct\": \"168.63.0.0/16:80\" }"),
	  "1:26: direct: holds a metadata address (168.63.129.16)" },
	{ RULE("{ \"direct\": \"100.64.0.0/10:80\" }"),
	  "1:26: direct: holds a metadata address (100.100.100.200)" },
	{ RULE("{ \"direct\": \"[fd00::/8]:80\" }"),
	  "1:26: direct: holds a metadata address (fd00:ec2::254)" },
	{ RULE("{ \"direct\": \"10.0.5.1/24:80\" }"),
	  "1:26: direct: the address has bits behind its block's length" },
	{ RULE("{ \"direct\": \"10.0.5.0/33:80\" }"), "1:26: direct: must be \"address:port\"" },
	{ RULE("{ \"direct\": \"10.0.5.0/24\" }"), "1:26: direct: must be \"address:port\"" },
	{ RULE("{ \"direct\": \"10.0.5.0/24:123/udp\" }"), NULL },
	{ RULE("{ \"direct\": \"[2001:db8::/32]:123,1000-2000/udp\" }"), NULL },
	{ RULE("{ \"direct\": \"10.0.5.0/24/udp\" }"), "1:26: direct: must be \"address:port\"" },
	{ RULE("{ \"direct\": \"10.0.5.0/24:123/tcp\" }"),
	  "1:26: direct: TCP is what direct means" },
	{ RULE("{ \"direct\": \"10.0.5.0/24:53/udp\" }"), "1:26: direct: port 53 is never direct" },
	{ RULE("{ \"direct\": \"10.0.5.0/24:443,53\" }"), "1:26: direct: port 53 is never direct" },
	{ RULE("{ \"direct\": \"127.0.0.0/8:123/udp\" }"), "1:26: direct: holds loopback" },
	{ RULE("{ \"direct\": \"[fd20::/16]:80\" }"),
	  "1:26: direct: holds metadata addresses (fd20:ce::/64)" },
	/* The same addresses by TCP and by UDP are no quarrel; UDP is none with what is opened. */
	{ RULE("{ \"direct\": \"10.0.5.0/24:443\" }, { \"direct\": \"10.0.5.0/24:443/udp\" }"),
	  NULL },
	{ RULE("{ \"direct\": \"10.0.5.0/24:443/udp\" }, { \"allow\": \"GET https://10.0.5.9\" }"),
	  NULL },
	/* What one row of the kernel's table holds. */
	{ RULE("{ \"direct\": \"10.0.5.9:1,3,5,7,9,11,13,15\" }"), NULL },
	{ RULE("{ \"direct\": \"10.0.5.9:1,3,5,7,9,11,13,15,17\" }"),
	  "1:14: direct: with \"#1\" more than 8 ranges of ports are direct for one address" },
	{ RULE("{ \"direct\": \"10.0.5.9:1,2,3,4,5,6,7,8,9,10\" }"), NULL },
	{ RULE("{ \"direct\": \"10.0.5.0/24:1,3,5,7\" }, { \"direct\": \"10.0.5.0/28:9,11,13,15\" "
	       "}, "
	       "{ \"direct\": \"10.0.5.9:17\" }"),
	  "1:91: direct: with \"#3\" more than 8 ranges of ports are direct for one address" },
	{ RULE("{ \"direct\": \"10.0.5.0/24:1-100\" }, "
	       "{ \"deny\": \"tcp://10.0.5.9:2,4,6,8,10,12,14,16\" }"),
	  "1:49: direct: with \"#2\" more than 8 ranges of ports are direct for one address" },
	{ RULE("{ \"direct\": \"10.0.5.0/24:5432-5440,80\" }"), NULL },
};

#endif
