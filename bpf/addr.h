/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What kind of address this is: pure, without a call or a loop, so that the kernel programs and
 * userspace tests compile the same lines. An address is four 32-bit words in network order; IPv4 in
 * the mapped form ::ffff:a.b.c.d.
 */
#ifndef EGRET_ADDR_H
#define EGRET_ADDR_H

#include <linux/types.h>

#ifndef ADDR_INLINE
#define ADDR_INLINE static inline __attribute__((always_inline, unused))
#endif

enum addr_class {
	ADDR_PUBLIC = 0,
	ADDR_UNSPECIFIED, /* 0.0.0.0/8, :: */
	ADDR_LOOPBACK,	  /* 127.0.0.0/8, ::1 */
	ADDR_LINK_LOCAL,  /* 169.254.0.0/16, fe80::/10 */
	ADDR_MULTICAST,	  /* 224.0.0.0/4, ff00::/8, 255.255.255.255 */
	ADDR_METADATA,	  /* 168.63.129.16, 100.100.100.200, fd00:ec2::254; 169.254.169.254 is
			     link-local */
	ADDR_PRIVATE,	  /* RFC 1918, fc00::/7, fec0::/10 */
	ADDR_SHARED,	  /* 100.64.0.0/10 */
	ADDR_BENCH,	  /* 198.18.0.0/15: egret's synthetic names */
	ADDR_RESERVED,	  /* 192.0.0.0/24, 240.0.0.0/4, IPv6 outside 2000::/3 */
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ADDR_HOST32(x) __builtin_bswap32(x)
#else
#define ADDR_HOST32(x) (x)
#endif
#define ADDR_MAPPED_WORD ADDR_HOST32(0x0000ffffu)
#define ADDR_IP4(a, b, c, d) \
	(((__u32)(a) << 24) | ((__u32)(b) << 16) | ((__u32)(c) << 8) | (__u32)(d))

ADDR_INLINE int addr_is_mapped(const __u32 w[4])
{
	return w[0] == 0 && w[1] == 0 && w[2] == ADDR_MAPPED_WORD;
}

/* ip in host order. */
ADDR_INLINE enum addr_class addr_class4(__u32 ip)
{
	__u32 net8 = ip >> 24;

	if (net8 == 0)
		return ADDR_UNSPECIFIED;
	if (net8 == 127)
		return ADDR_LOOPBACK;
	if (ip >> 16 == ADDR_IP4(0, 0, 169, 254))
		return ADDR_LINK_LOCAL;
	if (ip >> 28 == 0xe || ip == 0xffffffffu)
		return ADDR_MULTICAST;
	if (ip >> 28 == 0xf)
		return ADDR_RESERVED;
	if (ip == ADDR_IP4(168, 63, 129, 16) || ip == ADDR_IP4(100, 100, 100, 200))
		return ADDR_METADATA;
	if (net8 == 10 || ip >> 20 == (ADDR_IP4(172, 16, 0, 0) >> 20) ||
	    ip >> 16 == ADDR_IP4(0, 0, 192, 168))
		return ADDR_PRIVATE;
	if (ip >> 22 == (ADDR_IP4(100, 64, 0, 0) >> 22))
		return ADDR_SHARED;
	if (ip >> 17 == (ADDR_IP4(198, 18, 0, 0) >> 17))
		return ADDR_BENCH;
	if (ip >> 8 == ADDR_IP4(0, 192, 0, 0))
		return ADDR_RESERVED;
	return ADDR_PUBLIC;
}

/* The address itself, embedded ones not looked at. */
ADDR_INLINE enum addr_class addr_class(const __u32 w[4])
{
	__u32 a = ADDR_HOST32(w[0]);

	if (addr_is_mapped(w))
		return addr_class4(ADDR_HOST32(w[3]));
	if (w[0] == 0 && w[1] == 0 && w[2] == 0) {
		if (w[3] == 0)
			return ADDR_UNSPECIFIED;
		if (w[3] == ADDR_HOST32(1u))
			return ADDR_LOOPBACK;
	}
	if (a >> 24 == 0xff)
		return ADDR_MULTICAST;
	if (a >> 22 == 0xfe80u >> 6)
		return ADDR_LINK_LOCAL;
	if (a == 0xfd000ec2u && w[1] == 0 && w[2] == 0 && w[3] == ADDR_HOST32(0x254u))
		return ADDR_METADATA;
	if (a >> 25 == 0xfcu >> 1 || a >> 22 == 0xfec0u >> 6)
		return ADDR_PRIVATE;
	/* NAT64's own prefix is judged by what it embeds. */
	if (a >> 29 == 1 || (a == 0x0064ff9bu && w[1] == 0 && w[2] == 0))
		return ADDR_PUBLIC;
	return ADDR_RESERVED;
}

/* IPv4 addresses inside an IPv6 one, in host order: compatible (::a.b.c.d), NAT64 (64:ff9b::/96),
 * 6to4 (2002::/16), Teredo (2001::/32, server and client). How many: 0 to 2. A mapped address is
 * IPv4 itself and embeds none. */
ADDR_INLINE int addr_embedded(const __u32 w[4], __u32 ip[2])
{
	__u32 a = ADDR_HOST32(w[0]), b = ADDR_HOST32(w[1]), d = ADDR_HOST32(w[3]);

	if (w[1] == 0 && w[2] == 0 && (a == 0 || a == 0x0064ff9bu)) {
		if (a == 0 && d <= 1)
			return 0;
		ip[0] = d;
		return 1;
	}
	if (a >> 16 == 0x2002) {
		ip[0] = a << 16 | b >> 16;
		return 1;
	}
	if (a == 0x20010000u) {
		ip[0] = b;
		ip[1] = ~d;
		return 2;
	}
	return 0;
}

/* What the cage goes by: the worst of the address and what it embeds. */
ADDR_INLINE enum addr_class addr_class_deep(const __u32 w[4])
{
	enum addr_class c = addr_class(w);
	__u32 ip[2] = { 0, 0 };
	int n;

	if (c != ADDR_PUBLIC)
		return c;
	n = addr_embedded(w, ip);
	if (n > 0)
		c = addr_class4(ip[0]);
	if (n > 1 && c == ADDR_PUBLIC)
		c = addr_class4(ip[1]);
	return c;
}

#endif
