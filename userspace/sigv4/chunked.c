/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See chunked.h. Strict: "SIZE;chunk-signature=HEX CRLF data CRLF", the last of size 0, then for
 * the form with trailers "name:value CRLF", "x-amz-trailer-signature:HEX CRLF", and an empty line.
 */
#include "sigv4/chunked.h"

#include "sigv4/hash.h"
#include <errno.h>
#include <stdio.h>

#define LINE_MAX_BYTES 128u
#define SIGNATURE_EXT ";chunk-signature="
#define TRAILER_SIGNATURE "x-amz-trailer-signature"
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

void sigv4_chunked_init(struct sigv4_chunked *c, bool trailer, const char *time, struct str scope,
			const char *signature)
{
	memset(c, 0, sizeof(*c));
	c->trailer = trailer;
	snprintf(c->time, sizeof(c->time), "%s", time);
	snprintf(c->scope, sizeof(c->scope), "%.*s", STR_ARG(scope));
	snprintf(c->previous, sizeof(c->previous), "%s", signature);
	buf_init(&c->held, SIGV4_CHUNK_MAX + 2);
	buf_init(&c->fields, SIGV4_TRAILER_MAX);
}

void sigv4_chunked_done(struct sigv4_chunked *c)
{
	buf_done(&c->held);
	buf_done(&c->fields);
}

static int bad(struct sigv4_chunked *c, const char *why)
{
	c->why = why;
	return -EBADMSG;
}

/* c->previous becomes the signature of what is given. */
static int sign(struct sigv4_chunked *c, const uint8_t key[SIGV4_KEY], const char *algorithm,
		const char *middle, struct str bytes)
{
	char text[64 + SIGV4_TIME + SIGV4_SCOPE_MAX + 3 * SIGV4_HEX + 32], digest[SIGV4_HEX + 1];
	uint8_t signature[SIGV4_KEY];
	int r = sigv4_hash(bytes, digest);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%s\n%s\n%s/aws4_request\n%s\n%s%s", algorithm, c->time,
		 c->scope, c->previous, middle, digest);
	r = hmac((struct str){ (const char *)key, SIGV4_KEY }, str_of(text), signature);
	if (r == 0)
		hash_hex(signature, c->previous);
	return r;
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f') ||
		      (s.p[i] >= 'A' && s.p[i] <= 'F')))
			return false;
	return s.n != 0;
}

/* c->held is a line without its end. */
static int size_line(struct sigv4_chunked *c, const uint8_t key[SIGV4_KEY], struct buf *to)
{
	struct str line = buf_str(&c->held), size, signature;
	const char *semi = line.n ? memchr(line.p, ';', line.n) : NULL;
	size_t ext = sizeof(SIGNATURE_EXT) - 1;
	int r;

	size = (struct str){ line.p, semi ? (size_t)(semi - line.p) : 0 };
	if (!size.n || size.n > 8 || !is_hex(size))
		return bad(c, "a chunk's size is not hexadecimal");
	if (line.n != size.n + ext + SIGV4_HEX || memcmp(semi, SIGNATURE_EXT, ext) != 0)
		return bad(c, "a chunk without its signature");
	signature = (struct str){ semi + ext, SIGV4_HEX };
	if (!is_hex(signature))
		return bad(c, "a chunk's signature is not hexadecimal");
	memcpy(c->head, size.p, size.n);
	c->head[size.n] = 0;
	c->size = 0;
	for (size_t i = 0; i < size.n; i++) {
		char d = size.p[i];

		c->size = c->size << 4 | (uint64_t)(d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
	}
	if (c->size > SIGV4_CHUNK_MAX)
		return bad(c,
			   "a chunk of more than 2 MiB, which is signed before it is sent and so "
			   "would have to be held whole");
	c->held.n = 0;
	if (c->size) {
		c->at = CHUNKED_DATA;
		return 0;
	}
	r = sign(c, key, "AWS4-HMAC-SHA256-PAYLOAD", EMPTY_HASH "\n", STR(""));
	if (r == 0)
		r = buf_addf(to, "%s" SIGNATURE_EXT "%s\r\n", c->head, c->previous);
	c->at = CHUNKED_TRAILER;
	return r;
}

static int data(struct sigv4_chunked *c, const uint8_t key[SIGV4_KEY], struct buf *to)
{
	struct str bytes = { c->held.p, (size_t)c->size };
	int r;

	if (memcmp(c->held.p + c->size, "\r\n", 2) != 0)
		return bad(c, "a chunk is longer than its size");
	r = sign(c, key, "AWS4-HMAC-SHA256-PAYLOAD", EMPTY_HASH "\n", bytes);
	if (r == 0)
		r = buf_addf(to, "%s" SIGNATURE_EXT "%s\r\n", c->head, c->previous);
	if (r == 0)
		r = buf_add(to, c->held.p, c->held.n);
	c->held.n = 0;
	c->at = CHUNKED_SIZE;
	return r;
}

static bool name_is(struct str line, const char *name)
{
	size_t n = strlen(name);

	return line.n > n && line.p[n] == ':' &&
	       str_eq_nocase((struct str){ line.p, n }, str_of(name));
}

static int trailer_line(struct sigv4_chunked *c, const uint8_t key[SIGV4_KEY], struct buf *to)
{
	struct str line = buf_str(&c->held), value;
	const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
	int r;

	if (!line.n && c->trailer != c->trailer_signed)
		return bad(c, "trailers without their signature");
	if (!line.n) {
		c->at = CHUNKED_END;
		return buf_add(to, "\r\n", 2);
	}
	if (!c->trailer || c->trailer_signed)
		return bad(c, "bytes behind the last chunk");
	if (!colon || colon == line.p)
		return bad(c, "a trailer that is no field");
	if (!name_is(line, TRAILER_SIGNATURE)) {
		r = buf_add_str(&c->fields, line);
		if (r == 0)
			r = buf_add(&c->fields, "\n", 1);
		if (r < 0)
			return bad(c, "its trailers are too long");
		r = buf_add_str(to, line);
		if (r == 0)
			r = buf_add(to, "\r\n", 2);
	} else {
		value = (struct str){ colon + 1, (size_t)(line.p + line.n - colon - 1) };
		if (value.n != SIGV4_HEX || !is_hex(value))
			return bad(c, "the trailers' signature is not hexadecimal");
		r = sign(c, key, "AWS4-HMAC-SHA256-TRAILER", "", buf_str(&c->fields));
		if (r == 0)
			r = buf_addf(to, TRAILER_SIGNATURE ":%s\r\n", c->previous);
		c->trailer_signed = true;
	}
	c->held.n = 0;
	return r;
}

/* Up to the next line's end into c->held. 1: a whole line, without its end; 0: not yet. */
static int line(struct sigv4_chunked *c, struct str *from)
{
	const char *end = memchr(from->p, '\n', from->n);
	size_t n = end ? (size_t)(end - from->p) + 1 : from->n;
	size_t most = c->at == CHUNKED_SIZE ? LINE_MAX_BYTES : SIGV4_TRAILER_MAX;

	if (c->held.n + n > most || buf_add(&c->held, from->p, n) < 0)
		return bad(c, "a line that is too long");
	from->p += n;
	from->n -= n;
	if (!end)
		return 0;
	if (c->held.n < 2 || c->held.p[c->held.n - 2] != '\r')
		return bad(c, "a line that does not end in CR LF");
	c->held.n -= 2;
	return 1;
}

int sigv4_chunked_feed(struct sigv4_chunked *c, const uint8_t key[SIGV4_KEY], struct str bytes,
		       struct buf *to)
{
	int r = 0;

	while (r == 0 && bytes.n) {
		size_t n;

		switch (c->at) {
		case CHUNKED_SIZE:
			r = line(c, &bytes);
			if (r > 0)
				r = size_line(c, key, to);
			break;
		case CHUNKED_DATA:
			n = (size_t)c->size + 2 - c->held.n;
			n = n < bytes.n ? n : bytes.n;
			r = buf_add(&c->held, bytes.p, n);
			bytes.p += n;
			bytes.n -= n;
			if (r == 0 && c->held.n == c->size + 2)
				r = data(c, key, to);
			break;
		case CHUNKED_TRAILER:
			r = line(c, &bytes);
			if (r > 0)
				r = trailer_line(c, key, to);
			break;
		case CHUNKED_END:
			r = bad(c, "bytes behind its end");
			break;
		}
	}
	return r;
}
