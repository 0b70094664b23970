// SPDX-License-Identifier: Apache-2.0
/*
 * Address classes: see address.h. One table of blocks; forms that carry an IPv4 address are
 * unwrapped and judged again, so that no way of writing 169.254.169.254 is a way to it.
 */
#include "proxy/address.h"

#include <arpa/inet.h>
#include <errno.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

#define V4(a, b, c, d)                                               \
	{                                                            \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d \
	}

static const struct {
	struct address_block block;
	enum address_class class;
} classes[] = {
	/* The metadata services first: they lie inside other blocks. */
	{ { V4(168, 63, 129, 16), 128 }, ADDRESS_METADATA },   /* Azure's wire server */
	{ { V4(100, 100, 100, 200), 128 }, ADDRESS_METADATA }, /* Alibaba */
	{ { V4(169, 254, 0, 0), 112 }, ADDRESS_LINK_LOCAL },
	{ { V4(192, 0, 0, 192), 128 }, ADDRESS_METADATA },	  /* Oracle, old form */
	{ { { 0xfd, 0x00, 0x0e, 0xc2 }, 32 }, ADDRESS_METADATA }, /* fd00:ec2::/32, AWS */
	{ { { 0xfd, 0x20, 0x00, 0xce }, 64 }, ADDRESS_METADATA }, /* fd20:ce::/64, Google */
	{ { V4(0, 0, 0, 0), 104 }, ADDRESS_UNSPECIFIED },
	{ { V4(127, 0, 0, 0), 104 }, ADDRESS_LOOPBACK },
	{ { V4(10, 0, 0, 0), 104 }, ADDRESS_PRIVATE },
	{ { V4(172, 16, 0, 0), 108 }, ADDRESS_PRIVATE },
	{ { V4(192, 168, 0, 0), 112 }, ADDRESS_PRIVATE },
	{ { V4(100, 64, 0, 0), 106 }, ADDRESS_SHARED },
	{ { V4(192, 0, 0, 0), 120 }, ADDRESS_RESERVED },   /* IETF assignments */
	{ { V4(192, 88, 99, 0), 120 }, ADDRESS_RESERVED }, /* 6to4 anycast */
	{ { V4(198, 18, 0, 0), 111 }, ADDRESS_RESERVED },  /* benchmarks; ours by default */
	{ { V4(224, 0, 0, 0), 100 }, ADDRESS_MULTICAST },
	{ { V4(255, 255, 255, 255), 128 }, ADDRESS_MULTICAST },
	{ { V4(240, 0, 0, 0), 100 }, ADDRESS_RESERVED },
	{ { { 0 }, 128 }, ADDRESS_UNSPECIFIED },
	{ { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 128 }, ADDRESS_LOOPBACK },
	{ { { 0xfe, 0x80 }, 10 }, ADDRESS_LINK_LOCAL },
	{ { { 0xfe, 0xc0 }, 10 }, ADDRESS_PRIVATE },
	{ { { 0xfc, 0x00 }, 7 }, ADDRESS_PRIVATE },
	{ { { 0xff, 0x00 }, 8 }, ADDRESS_MULTICAST },
	{ { { 0x01, 0x00 }, 64 }, ADDRESS_RESERVED }, /* discard */
};

bool address_is_v4(const uint8_t addr[16])
{
	return !memcmp(addr, mapped, sizeof(mapped));
}

bool address_in(const uint8_t addr[16], const struct address_block *b)
{
	unsigned whole = b->prefix / 8, bits = b->prefix % 8;

	if (memcmp(addr, b->addr, whole))
		return false;
	return !bits || !((addr[whole] ^ b->addr[whole]) >> (8 - bits));
}

int address_parse(struct str s, uint8_t ret[16])
{
	char text[INET6_ADDRSTRLEN];
	uint8_t out[16];

	if (!s.n || s.n >= sizeof(text) || memchr(s.p, 0, s.n))
		return -EINVAL;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	memcpy(out, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, out + 12) != 1 && inet_pton(AF_INET6, text, out) != 1)
		return -EINVAL;
	memcpy(ret, out, 16);
	return 0;
}

int address_block_parse(struct str s, struct address_block *ret)
{
	const char *slash = memchr(s.p, '/', s.n);
	struct address_block b = { .prefix = 128 };
	struct str addr = s;
	uint64_t prefix;
	bool v4;

	if (slash)
		addr.n = (size_t)(slash - s.p);
	if (address_parse(addr, b.addr))
		return -EINVAL;
	v4 = !memchr(addr.p, ':', addr.n);
	if (slash) {
		struct str digits = { slash + 1, s.n - addr.n - 1 };

		if (str_u64(digits, &prefix) || prefix > (v4 ? 32 : 128))
			return -EINVAL;
		b.prefix = (uint8_t)(prefix + (v4 ? 96 : 0));
	}
	for (unsigned i = b.prefix; i < 128; i++)
		if (b.addr[i / 8] & (0x80 >> i % 8))
			return -EINVAL;
	*ret = b;
	return 0;
}

void address_text(const uint8_t addr[16], char *to)
{
	if (address_is_v4(addr))
		inet_ntop(AF_INET, addr + 12, to, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr, to, INET6_ADDRSTRLEN);
}

/* Finds the IPv4 address inside; invert for Teredo, where it is stored with each bit turned. */
static bool embedded(const uint8_t a[16], uint8_t ret[16])
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const uint8_t nat64_local[6] = { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 };
	static const uint8_t zero[16];
	uint8_t v4[4];

	if (!memcmp(a, nat64, 12) || !memcmp(a, zero, 12)) {
		memcpy(v4, a + 12, 4);
	} else if (!memcmp(a, nat64_local, 6)) {
		/* RFC 8215: any prefix length within; the /96 form is what networks use, the /48
		 * form keeps bits 64-71 zero. */
		memcpy(v4, a + 12, 4);
		if (!memcmp(a + 11, zero, 5)) {
			memcpy(v4, a + 6, 2);
			memcpy(v4 + 2, a + 9, 2);
		}
	} else if (a[0] == 0x20 && a[1] == 0x02) {
		memcpy(v4, a + 2, 4);
	} else if (!memcmp(a, "\x20\x01\x00\x00", 4)) {
		for (int i = 0; i < 4; i++)
			v4[i] = a[12 + i] ^ 0xff;
	} else if ((a[8] & 0xfc) == 0 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe) {
		memcpy(v4, a + 12, 4);
	} else if (!memcmp(a, zero, 8) && !memcmp(a + 8, "\xff\xff\x00\x00", 4)) {
		memcpy(v4, a + 12, 4); /* ::ffff:0:a.b.c.d, RFC 2765 */
	} else {
		return false;
	}
	memcpy(ret, mapped, sizeof(mapped));
	memcpy(ret + 12, v4, 4);
	return true;
}

enum address_class address_class(const uint8_t addr[16])
{
	static const uint8_t zero[12];
	uint8_t inner[16];

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (address_in(addr, &classes[i].block))
			return classes[i].class;
	if (address_is_v4(addr) || !embedded(addr, inner))
		return ADDRESS_PUBLIC;
	if (!memcmp(addr, zero, 12) && address_class(inner) == ADDRESS_PUBLIC)
		return ADDRESS_RESERVED; /* IPv4-compatible: long out of use */
	return address_class(inner);
}

const char *address_class_name(enum address_class c)
{
	switch (c) {
	case ADDRESS_PUBLIC:
		return "public";
	case ADDRESS_UNSPECIFIED:
		return "the unspecified address";
	case ADDRESS_LOOPBACK:
		return "loopback";
	case ADDRESS_LINK_LOCAL:
		return "link-local";
	case ADDRESS_METADATA:
		return "a metadata service";
	case ADDRESS_PRIVATE:
		return "private";
	case ADDRESS_SHARED:
		return "shared address space";
	case ADDRESS_MULTICAST:
		return "multicast";
	case ADDRESS_RESERVED:
		return "reserved";
	case ADDRESS_SYNTHETIC:
		return "one of egret's own";
	case ADDRESS_HOST:
		return "the host's own";
	}
	return "?";
}

static bool in_any(const uint8_t addr[16], const struct address_block *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (address_in(addr, &b[i]))
			return true;
	return false;
}

/* The rules that depend on this host, for one form of an address. */
static enum address_class judge_form(const struct address_rules *r, const uint8_t addr[16],
				     enum address_class class)
{
	bool exact = false;

	if (in_any(addr, r->synthetic, r->nsynthetic))
		return ADDRESS_SYNTHETIC;
	for (size_t i = 0; i < r->nallow; i++)
		if (r->allow[i].prefix == 128 && address_in(addr, &r->allow[i]))
			exact = true;
	if (exact)
		return ADDRESS_PUBLIC;
	if (in_any(addr, r->local, r->nlocal))
		return ADDRESS_HOST;
	if ((class == ADDRESS_PRIVATE || class == ADDRESS_SHARED || class == ADDRESS_RESERVED) &&
	    in_any(addr, r->allow, r->nallow))
		return ADDRESS_PUBLIC;
	return class;
}

enum address_class address_judge(const struct address_rules *r, const uint8_t addr[16])
{
	enum address_class class = judge_form(r, addr, address_class(addr)), inside;
	uint8_t inner[16];

	if (class != ADDRESS_PUBLIC || address_is_v4(addr) || !embedded(addr, inner))
		return class;
	/* The outer form was let through; the host's own and our ranges are refused inside it too.
	 */
	inside = judge_form(r, inner, ADDRESS_PUBLIC);
	return inside;
}
