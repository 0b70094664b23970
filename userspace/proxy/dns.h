/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages: reads a query, writes the answer to it; asks for an address, reads what was found.
 * Pure; called by resolver.c and services.c. Hostile bytes: the query, and the engine's answer
 * (fuzzed by fuzz_dns). Compression pointers are followed only backwards and only a
 * bounded number of times.
 */
#ifndef EGRET_PROXY_DNS_H
#define EGRET_PROXY_DNS_H

#include "base/bytes.h"

#define DNS_UDP_MAX 1232   /* what we are ready to send by UDP */
#define DNS_NAME_TEXT 1024 /* 253 characters, each up to \xNN */
#define DNS_QUERY_MAX 4096

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_OPT = 41,
	DNS_SVCB = 64,
	DNS_HTTPS = 65,
	DNS_ANY = 255
};

enum dns_rcode {
	DNS_NOERROR,
	DNS_FORMERR,
	DNS_SERVFAIL,
	DNS_NXDOMAIN,
	DNS_NOTIMP,
	DNS_REFUSED,
	DNS_BADVERS = 16
};

struct dns_query {
	uint16_t id;
	uint16_t flags; /* as sent */
	uint16_t type, class;
	char name[256]; /* labels joined by dots, bytes as sent; a dot or NUL inside a label makes
			   `odd` true */
	size_t name_n;	/* 0: the root */
	bool odd;
	bool edns;
	uint8_t edns_version;
	uint16_t udp_size; /* what the client can take, at least 512 */
	size_t question_n; /* bytes of the question section, after the 12 of the head; 0 when it
			      could not be read */
};

/* 0; -EPROTONOSUPPORT: another opcode (answer NOTIMP); -EBADMSG: malformed (answer FORMERR; id and
 * flags are set); -ENOMSG: not a query, do not answer. */
int dns_parse(const uint8_t *p, size_t n, struct dns_query *ret) MUST_CHECK;

/* Writes the answer to the query at p. addr: 4 or 16 bytes for A and AAAA, or NULL for an answer
 * without data. size: room in `to`. Returns the length, 0 when it did not fit even without data. */
size_t dns_answer(uint8_t *to, size_t size, const uint8_t *p, const struct dns_query *q,
		  enum dns_rcode rcode, const uint8_t *addr, size_t addr_n, uint32_t ttl);

#define DNS_QUESTION_MAX (12 + 255 + 4)
/* A query of ours, for A or AAAA of a canonical name. Its length, 0 when the name has no wire form.
 */
size_t dns_ask(uint8_t to[DNS_QUESTION_MAX], uint16_t id, struct str name, uint16_t type);

#define DNS_FOUND_MAX 8
struct dns_found {
	enum dns_rcode rcode; /* NOERROR with n 0: the name has no such address */
	uint32_t ttl;	      /* the smallest */
	unsigned n;
	uint8_t addr[DNS_FOUND_MAX][16]; /* mapped form; what is beyond is left out */
};
/* The answer p to our query q. 0 or -EBADMSG: id, question, each record must be of what was asked;
 * a CNAME is not followed. Sections behind the answers are not looked at. */
int dns_found(const uint8_t *p, size_t n, const uint8_t *q, size_t qn,
	      struct dns_found *ret) MUST_CHECK;

const char *dns_rcode_name(enum dns_rcode r);
/* "AAAA", "HTTPS", else "TYPE257". to holds 16 bytes. */
void dns_type_name(uint16_t type, char *to);

#endif
