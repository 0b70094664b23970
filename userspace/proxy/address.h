/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses are never dialled, whatever a name resolves to. Pure; called by upstream.c for
 * each address, and by names.c to read ranges. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d.
 */
#ifndef EGRET_PROXY_ADDRESS_H
#define EGRET_PROXY_ADDRESS_H

#include "base/bytes.h"

enum address_class {
	ADDRESS_PUBLIC,
	ADDRESS_UNSPECIFIED, /* 0.0.0.0/8, :: */
	ADDRESS_LOOPBACK,
	ADDRESS_LINK_LOCAL,
	ADDRESS_METADATA,  /* of clouds, outside link-local */
	ADDRESS_PRIVATE,   /* RFC 1918, unique local, site-local */
	ADDRESS_SHARED,	   /* RFC 6598 (CGNAT) */
	ADDRESS_MULTICAST, /* and broadcast */
	ADDRESS_RESERVED,
	ADDRESS_SYNTHETIC, /* our own ranges: rules only, never by itself */
	ADDRESS_HOST	   /* the host's own */
};

struct address_block {
	uint8_t addr[16];
	uint8_t prefix; /* in the mapped form, 0..128 */
};

/* "a.b.c.d", "v6", each with or without "/prefix": bits behind the prefix must be zero. 0 or
 * -EINVAL. */
int address_block_parse(struct str s, struct address_block *ret) MUST_CHECK;
/* "a.b.c.d" or "v6" alone, no zone. 0 or -EINVAL. */
int address_parse(struct str s, uint8_t ret[16]) MUST_CHECK;
bool address_in(const uint8_t addr[16], const struct address_block *b);
bool address_is_v4(const uint8_t addr[16]); /* the mapped form */
/* "198.51.100.7" or "2001:db8::1"; to holds 46 bytes. */
void address_text(const uint8_t addr[16], char *to);

/* By number alone; looks into every form that embeds an IPv4 address (mapped, compatible, NAT64,
 * 6to4, Teredo, ISATAP). */
enum address_class address_class(const uint8_t addr[16]);
const char *address_class_name(enum address_class c); /* "loopback", for a sentence */

struct address_rules {
	const struct address_block *allow; /* allow_private: opens private, shared, reserved; the
					      others only when named as one address */
	size_t nallow;
	const struct address_block *local; /* the host's own */
	size_t nlocal;
	const struct address_block *synthetic;
	size_t nsynthetic;
};
/* ADDRESS_PUBLIC: may be dialled (also when `allow` opens it); else why not. */
enum address_class address_judge(const struct address_rules *r, const uint8_t addr[16]);

#endif
