// SPDX-License-Identifier: Apache-2.0
/*
 * ClientHello parser: see hello.h. A hello may be cut into any number of records; they are put
 * together first, then the message is read by a cursor that cannot pass its end. What RFC 8446
 * leaves to taste is refused: empty records, two names, a name that is an address or not a host
 * name.
 */
#include "proxy/hello.h"

#include <stdlib.h>

#define RECORD_HEAD 5
#define RECORD_MAX 16384
#define EXT_SERVER_NAME 0
#define EXT_GROUPS 10
#define EXT_SIGNATURES 13
#define EXT_ALPN 16
#define EXT_VERSIONS 43
#define EXT_ECH 0xfe0d

struct cursor {
	const uint8_t *p;
	size_t n;
};

static bool take_u8(struct cursor *c, unsigned *ret)
{
	if (c->n < 1)
		return false;
	*ret = c->p[0];
	c->p++;
	c->n--;
	return true;
}

static bool take_u16(struct cursor *c, unsigned *ret)
{
	if (c->n < 2)
		return false;
	*ret = (unsigned)c->p[0] << 8 | c->p[1];
	c->p += 2;
	c->n -= 2;
	return true;
}

static bool take(struct cursor *c, size_t n, struct cursor *ret)
{
	if (c->n < n)
		return false;
	*ret = (struct cursor){ c->p, n };
	c->p += n;
	c->n -= n;
	return true;
}

static bool take_vector8(struct cursor *c, struct cursor *ret)
{
	unsigned n;

	return take_u8(c, &n) && take(c, n, ret);
}

static bool take_vector16(struct cursor *c, struct cursor *ret)
{
	unsigned n;

	return take_u16(c, &n) && take(c, n, ret);
}

static const char *read_name(struct cursor ext, struct hello *h)
{
	struct cursor list, name;
	unsigned type;

	if (!take_vector16(&ext, &list) || ext.n || !take_u8(&list, &type) ||
	    !take_vector16(&list, &name) || list.n || type != 0 || !name.n)
		return "the server name extension is malformed";
	if (memchr(name.p, 0, name.n))
		return "the server name holds a NUL byte";
	if (host_canonical((struct str){ (const char *)name.p, name.n }, h->sni, &h->sni_n))
		return "the server name is not a host name";
	return NULL;
}

struct str hello_alpn_name(enum hello_alpn one)
{
	static const struct str names[] = { [ALPN_H2] = STR("h2"),
					    [ALPN_HTTP11] = STR("http/1.1"),
					    [ALPN_HTTP10] = STR("http/1.0") };

	return names[one];
}

bool hello_offers(const struct hello_shape *s, enum hello_alpn one)
{
	return memchr(s->alpn, one, s->nalpn) != NULL;
}

static const char *read_alpn(struct cursor ext, struct hello *h)
{
	struct hello_shape *s = &h->shape;
	struct cursor list, proto;

	if (!take_vector16(&ext, &list) || ext.n || !list.n)
		return "the ALPN extension is malformed";
	h->alpn = true;
	while (list.n) {
		if (!take_vector8(&list, &proto) || !proto.n)
			return "the ALPN extension is malformed";
		if (!h->alpn_first[0])
			text_escape(h->alpn_first, sizeof(h->alpn_first),
				    (struct str){ (const char *)proto.p, proto.n });
		for (unsigned i = 0; i < ALPN_KNOWN; i++)
			if (str_eq(hello_alpn_name(i),
				   (struct str){ (const char *)proto.p, proto.n }) &&
			    !hello_offers(s, i))
				s->alpn[s->nalpn++] = (uint8_t)i;
	}
	return NULL;
}

static const char *read_versions(struct cursor ext, struct hello *h)
{
	struct cursor list;
	unsigned v, best = 0;

	if (!take_vector8(&ext, &list) || ext.n || !list.n || list.n % 2)
		return "the supported versions extension is malformed";
	while (take_u16(&list, &v))
		if (v >= 0x0300 && v <= 0x0304 && v > best) /* others are GREASE or drafts */
			best = v;
	h->shape.version = (uint16_t)best;
	return NULL;
}

/* RFC 8701: 0x0a0a, 0x1a1a, ... mean nothing. */
static bool is_grease(unsigned v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

static unsigned read_numbers(struct cursor list, uint16_t *to, unsigned max)
{
	unsigned n = 0, v;

	while (n < max && take_u16(&list, &v))
		if (!is_grease(v))
			to[n++] = (uint16_t)v;
	return n;
}

static const char *read_groups(struct cursor ext, struct hello *h)
{
	struct cursor list;

	if (!take_vector16(&ext, &list) || ext.n || !list.n || list.n % 2)
		return "the supported groups extension is malformed";
	h->shape.ngroups = read_numbers(list, h->shape.groups, ARRAY_SIZE(h->shape.groups));
	return NULL;
}

static const char *read_signatures(struct cursor ext, struct hello *h)
{
	struct cursor list;

	if (!take_vector16(&ext, &list) || ext.n || !list.n || list.n % 2)
		return "the signature algorithms extension is malformed";
	h->shape.nsignatures =
		read_numbers(list, h->shape.signatures, ARRAY_SIZE(h->shape.signatures));
	return NULL;
}

static const struct {
	unsigned type;
	const char *(*read)(struct cursor ext, struct hello *h);
} readers[] = {
	{ EXT_SERVER_NAME, read_name },	     { EXT_GROUPS, read_groups },
	{ EXT_SIGNATURES, read_signatures }, { EXT_ALPN, read_alpn },
	{ EXT_VERSIONS, read_versions },
};

static const char *read_extensions(struct cursor all, struct hello *h)
{
	bool seen[ARRAY_SIZE(readers)] = { false };
	const char *fault;
	struct cursor ext;
	unsigned type;
	size_t i;

	while (all.n) {
		if (!take_u16(&all, &type) || !take_vector16(&all, &ext))
			return "an extension runs past the ClientHello";
		if (type == EXT_ECH)
			h->ech = true;
		for (i = 0; i < ARRAY_SIZE(readers) && readers[i].type != type; i++)
			;
		if (i == ARRAY_SIZE(readers))
			continue;
		if (seen[i])
			return "an extension is there twice";
		seen[i] = true;
		fault = readers[i].read(ext, h);
		if (fault)
			return fault;
	}
	return NULL;
}

static const char *read_message(struct cursor c, struct hello *h)
{
	struct cursor random, session, ciphers, compression, extensions;
	unsigned version;

	if (!take_u16(&c, &version) || !take(&c, 32, &random) || !take_vector8(&c, &session) ||
	    session.n > 32 || !take_vector16(&c, &ciphers) || !ciphers.n || ciphers.n % 2 ||
	    !take_vector8(&c, &compression) || !compression.n)
		return "the ClientHello is malformed";
	h->shape.version = (uint16_t)version;
	h->shape.nciphers = read_numbers(ciphers, h->shape.ciphers, ARRAY_SIZE(h->shape.ciphers));
	if (!c.n)
		return NULL;
	if (!take_vector16(&c, &extensions) || c.n)
		return "the ClientHello is malformed";
	return read_extensions(extensions, h);
}

static enum hello_state bad(struct hello *ret, const char *fault)
{
	ret->fault = fault;
	return HELLO_BAD;
}

/* head: bytes missing of a record's head. Of the message its own head at least is known to come. */
static enum hello_state more(struct hello *ret, size_t head, size_t have, size_t whole)
{
	ret->more = head + (whole != SIZE_MAX ? whole - have : 4 - have);
	return HELLO_MORE;
}

/* Is the handshake message complete, and how much of it is in the records so far? */
static enum hello_state measure(const uint8_t *p, size_t n, size_t max, uint8_t head[4],
				size_t *ret_have, size_t *ret_whole, struct hello *ret)
{
	size_t at = 0, have = 0, whole = SIZE_MAX, len, part;

	for (;;) {
		if (at >= max)
			return bad(ret, "the ClientHello is too long");
		if (n - at < RECORD_HEAD) {
			if (n > at && p[at] != 22)
				return at ? bad(ret, "another record inside the ClientHello")
					  : HELLO_NOT_TLS;
			if (n - at > 1 && p[at + 1] != 3)
				return at ? bad(ret, "the record version is wrong") : HELLO_NOT_TLS;
			return more(ret, RECORD_HEAD - (n - at), have, whole);
		}
		len = (size_t)p[at + 3] << 8 | p[at + 4];
		if (p[at] != 22 || p[at + 1] != 3)
			return at ? bad(ret, "another record inside the ClientHello")
				  : HELLO_NOT_TLS;
		if (p[at + 2] > 4 || len > RECORD_MAX)
			return at ? bad(ret, "the record is malformed") : HELLO_NOT_TLS;
		if (!len)
			return bad(ret, "an empty handshake record");
		at += RECORD_HEAD;
		part = n - at < len ? n - at : len;
		for (size_t i = 0; i < part && have + i < 4; i++)
			head[have + i] = p[at + i];
		have += part;
		if (have && head[0] != 1)
			return bad(ret, "the first handshake message is no ClientHello");
		if (have >= 4) {
			whole = 4 + ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]);
			if (whole > max)
				return bad(ret, "the ClientHello is too long");
		}
		if (have >= whole) {
			*ret_have = have;
			*ret_whole = whole;
			return HELLO_DONE;
		}
		if (part < len)
			return at + part >= max ? bad(ret, "the ClientHello is too long")
						: more(ret, 0, have, whole);
		at += len;
	}
}

enum hello_state hello_parse(const uint8_t *p, size_t n, size_t max, struct hello *ret)
{
	size_t have = 0, whole = 0, at = 0, len, copied = 0;
	cleanup_free uint8_t *joined = NULL;
	enum hello_state state;
	struct hello h = { 0 };
	uint8_t head[4] = { 0 };
	const char *fault;

	state = measure(p, n, max, head, &have, &whole, ret);
	if (state != HELLO_DONE)
		return state;
	len = (size_t)p[3] << 8 | p[4];
	if (len >= whole) {
		fault = read_message((struct cursor){ p + RECORD_HEAD + 4, whole - 4 }, &h);
	} else {
		joined = mem_new(whole);
		while (copied < whole) {
			len = (size_t)p[at + 3] << 8 | p[at + 4];
			if (len > whole - copied)
				len = whole - copied;
			memcpy(joined + copied, p + at + RECORD_HEAD, len);
			copied += len;
			at += RECORD_HEAD + len;
		}
		fault = read_message((struct cursor){ joined + 4, whole - 4 }, &h);
	}
	if (fault)
		return bad(ret, fault);
	*ret = h;
	return HELLO_DONE;
}
