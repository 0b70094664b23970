// SPDX-License-Identifier: Apache-2.0
/*
 * DNS messages: see dns.h. Hostile bytes: the whole query. A pointer must lead to an earlier place
 * than the one it stands at and at most POINTERS_MAX are followed, so that reading a name always
 * ends.
 */
#include "proxy/dns.h"

#include <errno.h>
#include <stdio.h>

#define HEAD 12
#define POINTERS_MAX 16
#define RECORDS_MAX 32

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

/* Reads the name at *at and moves *at behind it. q may be NULL: then it is only skipped. */
static int read_name(const uint8_t *p, size_t n, size_t *at, struct dns_query *q)
{
	size_t i = *at, text = 0, wire = 1, end = 0;
	unsigned pointers = 0, len;
	size_t floor = i;

	for (;;) {
		if (i >= n)
			return -EBADMSG;
		len = p[i];
		if ((len & 0xc0) == 0xc0) {
			size_t to;

			if (n - i < 2 || ++pointers > POINTERS_MAX)
				return -EBADMSG;
			to = (size_t)(len & 0x3f) << 8 | p[i + 1];
			if (to < HEAD || to >= floor)
				return -EBADMSG;
			if (!end)
				end = i + 2;
			i = floor = to;
			continue;
		}
		if (len & 0xc0)
			return -EBADMSG;
		i++;
		if (!len)
			break;
		wire += len + 1;
		if (n - i < len || wire > 255)
			return -EBADMSG;
		if (q) {
			if (text)
				q->name[text++] = '.';
			for (unsigned k = 0; k < len; k++)
				if (p[i + k] == '.' || !p[i + k])
					q->odd = true;
			memcpy(q->name + text, p + i, len);
			text += len;
		}
		i += len;
	}
	if (q) {
		q->name[text] = '\0';
		q->name_n = text;
	}
	*at = end ? end : i;
	return 0;
}

/* The records behind the question: only OPT is of interest, but all must be well formed. */
static int read_additional(const uint8_t *p, size_t n, size_t at, unsigned count,
			   struct dns_query *q)
{
	for (unsigned i = 0; i < count; i++) {
		size_t start = at;
		unsigned len;
		int r;

		r = read_name(p, n, &at, NULL);
		if (r)
			return r;
		if (n - at < 10)
			return -EBADMSG;
		len = get16(p + at + 8);
		if (n - at - 10 < len)
			return -EBADMSG;
		if (get16(p + at) == DNS_OPT) {
			if (q->edns || p[start])
				return -EBADMSG;
			q->edns = true;
			q->udp_size = get16(p + at + 2) < 512 ? 512 : get16(p + at + 2);
			q->edns_version = p[at + 5];
		}
		at += 10 + len;
	}
	return at == n ? 0 : -EBADMSG;
}

int dns_parse(const uint8_t *p, size_t n, struct dns_query *ret)
{
	struct dns_query q = { .udp_size = 512 };
	size_t at = HEAD;
	int r;

	if (n < HEAD || p[2] & 0x80)
		return -ENOMSG;
	q.id = get16(p);
	q.flags = get16(p + 2);
	if (p[2] & 0x78) {
		*ret = q;
		return -EPROTONOSUPPORT;
	}
	*ret = q;
	if (get16(p + 4) != 1 || get16(p + 6) || get16(p + 8) || get16(p + 10) > RECORDS_MAX)
		return -EBADMSG;
	r = read_name(p, n, &at, &q);
	if (r || n - at < 4)
		return -EBADMSG;
	q.type = get16(p + at);
	q.class = get16(p + at + 2);
	q.question_n = at + 4 - HEAD;
	r = read_additional(p, n, at + 4, get16(p + 10), &q);
	if (r)
		return r;
	*ret = q;
	return 0;
}

size_t dns_answer(uint8_t *to, size_t size, const uint8_t *p, const struct dns_query *q,
		  enum dns_rcode rcode, const uint8_t *addr, size_t addr_n, uint32_t ttl)
{
	size_t need = HEAD + q->question_n + (q->edns ? 11 : 0);
	bool cut = false;
	uint8_t *w;

	if (addr)
		need += 12 + addr_n;
	if (need > size && addr) {
		need -= 12 + addr_n;
		addr = NULL;
		cut = true;
	}
	if (need > size)
		return 0;
	w = put16(to, q->id);
	/* QR, the opcode and RD as sent, AA off, RA on. */
	w = put16(w, 0x8000u | (q->flags & 0x7900u) | (cut ? 0x0200u : 0) | 0x0080u |
			     ((unsigned)rcode & 0xf));
	w = put16(w, q->question_n ? 1 : 0);
	w = put16(w, addr ? 1 : 0);
	w = put16(w, 0);
	w = put16(w, q->edns ? 1 : 0);
	memcpy(w, p + HEAD, q->question_n);
	w += q->question_n;
	if (addr) {
		w = put16(w, 0xc000 | HEAD);
		w = put16(w, q->type);
		w = put16(w, q->class);
		w = put16(w, ttl >> 16);
		w = put16(w, ttl & 0xffff);
		w = put16(w, (unsigned)addr_n);
		memcpy(w, addr, addr_n);
		w += addr_n;
	}
	if (q->edns) {
		*w++ = 0;
		w = put16(w, DNS_OPT);
		w = put16(w, DNS_UDP_MAX);
		*w++ = (uint8_t)((unsigned)rcode >> 4);
		*w++ = 0;
		w = put16(w, 0);
		w = put16(w, 0);
	}
	return (size_t)(w - to);
}

size_t dns_ask(uint8_t to[DNS_QUESTION_MAX], uint16_t id, struct str name, uint16_t type)
{
	uint8_t *w = put16(to, id);
	size_t at = 0;

	if (!name.n || name.n > 253)
		return 0;
	w = put16(w, 0x0100); /* RD */
	w = put16(w, 1);
	memset(w, 0, 6);
	w += 6;
	while (at <= name.n) {
		const char *dot = at < name.n ? memchr(name.p + at, '.', name.n - at) : NULL;
		size_t len = (dot ? (size_t)(dot - name.p) : name.n) - at;

		if (!len || len > 63)
			return 0;
		*w++ = (uint8_t)len;
		memcpy(w, name.p + at, len);
		w += len;
		at += len + 1;
	}
	*w++ = 0;
	w = put16(w, type);
	w = put16(w, 1);
	return (size_t)(w - to);
}

static bool same_name(const struct dns_query *a, const struct dns_query *b)
{
	if (a->odd || b->odd || a->name_n != b->name_n)
		return false;
	for (size_t i = 0; i < a->name_n; i++) {
		unsigned char x = (unsigned char)a->name[i], y = (unsigned char)b->name[i];

		if (x != y && ((x | 0x20) != (y | 0x20) || (x | 0x20) < 'a' || (x | 0x20) > 'z'))
			return false;
	}
	return true;
}

/* One record of the answer: of this name and this type, or nothing is believed. */
static int read_found(const uint8_t *p, size_t n, size_t *at, const struct dns_query *asked,
		      struct dns_found *f)
{
	const size_t addr_n = asked->type == DNS_A ? 4 : 16;
	struct dns_query owner = { 0 };
	uint32_t ttl;
	int r;

	r = read_name(p, n, at, &owner);
	if (r)
		return r;
	if (n - *at < 10 + addr_n || !same_name(&owner, asked) || get16(p + *at) != asked->type ||
	    get16(p + *at + 2) != 1 || get16(p + *at + 8) != addr_n)
		return -EBADMSG;
	ttl = (uint32_t)get16(p + *at + 4) << 16 | get16(p + *at + 6);
	if (!f->n || ttl < f->ttl)
		f->ttl = ttl;
	if (f->n < DNS_FOUND_MAX) {
		if (addr_n == 4)
			f->addr[f->n][10] = f->addr[f->n][11] = 0xff;
		memcpy(f->addr[f->n++] + 16 - addr_n, p + *at + 10, addr_n);
	}
	*at += 10 + addr_n;
	return 0;
}

int dns_found(const uint8_t *p, size_t n, const uint8_t *q, size_t qn, struct dns_found *ret)
{
	struct dns_found f = { 0 };
	struct dns_query asked;
	size_t at = qn;
	unsigned count;
	int r = dns_parse(q, qn, &asked);

	/* QR, opcode 0, not cut short; one question, ours, to the letter. */
	if (r || n < qn || memcmp(p, q, 2) || (p[2] & 0xfa) != 0x80 || get16(p + 4) != 1 ||
	    memcmp(p + HEAD, q + HEAD, qn - HEAD))
		return -EBADMSG;
	f.rcode = p[3] & 0xf;
	count = get16(p + 6);
	if (count > RECORDS_MAX || (f.rcode != DNS_NOERROR && count))
		return -EBADMSG;
	for (unsigned i = 0; i < count; i++) {
		r = read_found(p, n, &at, &asked, &f);
		if (r)
			return r;
	}
	*ret = f;
	return 0;
}

const char *dns_rcode_name(enum dns_rcode r)
{
	switch (r) {
	case DNS_NOERROR:
		return "NOERROR";
	case DNS_FORMERR:
		return "FORMERR";
	case DNS_SERVFAIL:
		return "SERVFAIL";
	case DNS_NXDOMAIN:
		return "NXDOMAIN";
	case DNS_NOTIMP:
		return "NOTIMP";
	case DNS_REFUSED:
		return "REFUSED";
	case DNS_BADVERS:
		return "BADVERS";
	}
	return "?";
}

void dns_type_name(uint16_t type, char *to)
{
	static const struct {
		uint16_t type;
		char name[6];
	} known[] = {
		{ DNS_A, "A" },	      { DNS_NS, "NS" },	      { DNS_CNAME, "CNAME" },
		{ DNS_SOA, "SOA" },   { DNS_PTR, "PTR" },     { DNS_MX, "MX" },
		{ DNS_TXT, "TXT" },   { DNS_AAAA, "AAAA" },   { DNS_SRV, "SRV" },
		{ DNS_SVCB, "SVCB" }, { DNS_HTTPS, "HTTPS" }, { DNS_ANY, "ANY" },
		{ 10, "NULL" },	      { 99, "SPF" },	      { 257, "CAA" },
		{ 35, "NAPTR" },      { 52, "TLSA" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].type == type) {
			memcpy(to, known[i].name, sizeof(known[i].name));
			return;
		}
	(void)snprintf(to, 16, "TYPE%u", type);
}
