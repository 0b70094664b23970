// SPDX-License-Identifier: Apache-2.0
/* DNS messages: queries as resolvers send them, and as attackers do. */
#include "proxy/dns.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* head: id 1234, RD, QD AN NS AR counts */
#define HEAD(qd, an, ns, ar) "\x12\x34\x01\x00\0" qd "\0" an "\0" ns "\0" ar
#define API "\3api\4shop\4test\0"
#define OPT "\0\0\x29\x04\xd0\0\0\0\0\0\0"

static int parse(const char *p, size_t n, struct dns_query *q)
{
	/* In memory of its own length, so that a sanitizer sees a step beyond. */
	uint8_t *copy = malloc(n ? n : 1);
	int r;

	memcpy(copy, p, n);
	memset(q, 0, sizeof(*q));
	r = dns_parse(copy, n, q);
	free(copy);
	return r;
}
#define PARSE(lit, q) parse(lit, sizeof(lit) - 1, q)

static void queries(void **state)
{
	struct dns_query q;

	assert_int_equal(PARSE(HEAD("\1", "\0", "\0", "\0") API "\0\1\0\1", &q), 0);
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.type, DNS_A);
	assert_string_equal(q.name, "api.shop.test");
	assert_false(q.odd || q.edns);
	assert_int_equal(q.udp_size, 512);
	assert_int_equal(PARSE(HEAD("\1", "\0", "\0", "\1") API "\0\x1c\0\1" OPT, &q), 0);
	assert_int_equal(q.type, DNS_AAAA);
	assert_true(q.edns);
	assert_int_equal(q.udp_size, 1232);
	assert_int_equal(PARSE(HEAD("\1", "\0", "\0", "\0") "\0\0\2\0\1", &q), 0);
	assert_int_equal(q.name_n, 0);
	assert_int_equal(PARSE(HEAD("\1", "\0", "\0", "\0") "\3a.b\0\0\1\0\1", &q), 0);
	assert_true(q.odd);
	assert_int_equal(PARSE(HEAD("\1", "\0", "\0", "\0") "\3a\0b\0\0\1\0\1", &q), 0);
	assert_true(q.odd);
}

static void broken(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		int want;
	} rows[] = {
#define ROW(lit, want) { lit, sizeof(lit) - 1, want }
		ROW("", -ENOMSG),
		ROW("\x12\x34\x01\x00\0\1\0\0\0\0\0", -ENOMSG),
		ROW("\x12\x34\x81\x00\0\1\0\0\0\0\0\0" API "\0\1\0\1", -ENOMSG), /* an answer */
		ROW("\x12\x34\x29\x00\0\1\0\0\0\0\0\0" API "\0\1\0\1",
		    -EPROTONOSUPPORT), /* UPDATE */
		ROW(HEAD("\0", "\0", "\0", "\0"), -EBADMSG),
		ROW(HEAD("\2", "\0", "\0", "\0") API "\0\1\0\1" API "\0\1\0\1", -EBADMSG),
		ROW(HEAD("\1", "\1", "\0", "\0") API "\0\1\0\1", -EBADMSG),
		ROW(HEAD("\1", "\0", "\0", "\0") API "\0\1\0", -EBADMSG),
		ROW(HEAD("\1", "\0", "\0", "\0") "\3api", -EBADMSG),
		ROW(HEAD("\1", "\0", "\0", "\0") "\xc0\x0c\0\1\0\1", -EBADMSG), /* itself */
		ROW(HEAD("\1", "\0", "\0", "\0") "\xc0\x20\0\1\0\1", -EBADMSG), /* forward */
		ROW(HEAD("\1", "\0", "\0", "\0") "\xc0\x02\0\1\0\1", -EBADMSG), /* into the head */
		ROW(HEAD("\1", "\0", "\0", "\0") "\1a\xc0\x0c\0\1\0\1", -EBADMSG), /* a loop */
		ROW(HEAD("\1", "\0", "\0", "\0") "\x41"
						 "a\0\0\1\0\1",
		    -EBADMSG), /* old label types */
		ROW(HEAD("\1", "\0", "\0", "\0") API "\0\1\0\1tail", -EBADMSG),
		ROW(HEAD("\1", "\0", "\0", "\1") API "\0\1\0\1", -EBADMSG),
		ROW(HEAD("\1", "\0", "\0", "\1") API "\0\1\0\1"
						     "\0\0\x29\x04\xd0\0\0\0\0\0\5",
		    -EBADMSG),
		ROW(HEAD("\1", "\0", "\0", "\2") API "\0\1\0\1" OPT OPT, -EBADMSG),
#undef ROW
	};
	struct dns_query q;
	char big[400];
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(parse(rows[i].p, rows[i].n, &q), rows[i].want);
	/* 255 bytes of name are read, 256 are not. */
	for (unsigned last = 61; last <= 62; last++) {
		memcpy(big, HEAD("\1", "\0", "\0", "\0"), 12);
		n = 12;
		for (int i = 0; i < 4; i++) {
			unsigned len = i < 3 ? 63 : last;

			big[n++] = (char)len;
			memset(big + n, 'x', len);
			n += len;
		}
		memcpy(big + n, "\0\0\1\0\1", 5);
		assert_int_equal(parse(big, n + 5, &q), last == 61 ? 0 : -EBADMSG);
		if (last == 61)
			assert_int_equal(q.name_n, 253);
	}
}

static void answers(void **state)
{
	static const char query[] = HEAD("\1", "\0", "\0", "\1") API "\0\1\0\1" OPT;
	static const uint8_t addr[4] = { 198, 18, 1, 1 };
	struct dns_query q;
	uint8_t to[512];
	size_t n;

	assert_int_equal(parse(query, sizeof(query) - 1, &q), 0);
	n = dns_answer(to, sizeof(to), (const uint8_t *)query, &q, DNS_NOERROR, addr, 4, 60);
	assert_int_equal(n, 12 + 19 + 16 + 11);
	assert_memory_equal(to, "\x12\x34\x81\x80\0\1\0\1\0\0\0\1", 12);
	assert_memory_equal(to + 12, query + 12, 19);
	assert_memory_equal(to + 31, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x12\1\1", 16);
	n = dns_answer(to, sizeof(to), (const uint8_t *)query, &q, DNS_NXDOMAIN, NULL, 0, 60);
	assert_int_equal(n, 12 + 19 + 11);
	assert_memory_equal(to, "\x12\x34\x81\x83\0\1\0\0\0\0\0\1", 12);
	/* Too small for the data: cut, and said so; too small for anything: nothing. */
	n = dns_answer(to, 45, (const uint8_t *)query, &q, DNS_NOERROR, addr, 4, 60);
	assert_int_equal(n, 42);
	assert_int_equal(to[2] & 2, 2);
	assert_int_equal(dns_answer(to, 20, (const uint8_t *)query, &q, DNS_NOERROR, addr, 4, 60),
			 0);
}

static void type_names(void **state)
{
	char text[16];

	dns_type_name(DNS_HTTPS, text);
	assert_string_equal(text, "HTTPS");
	dns_type_name(65535, text);
	assert_string_equal(text, "TYPE65535");
}

#define ANSWERS(flags, rcode, an) "\x12\x34" flags rcode "\0\1\0" an "\0\0\0\0"
#define REDIS "\5redis\0"
#define QUESTION REDIS "\0\1\0\1"
#define RR(type, ttl, len) "\xc0\x0c\0" type "\0\1\0\0\0" ttl "\0" len

static void found_or_not(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		int want;
		unsigned found;
	} rows[] = {
#define FOUND(lit, want, n) { lit, sizeof(lit) - 1, want, n }
		FOUND(ANSWERS("\x81", "\x80", "\1") QUESTION RR("\1", "\7", "\4") "\x0a\x4d\0\5", 0,
		      1),
		FOUND(ANSWERS("\x85", "\x80", "\2") QUESTION RR("\1", "\7", "\4") "\x0a\x4d\0\5" RR(
			      "\1", "\3", "\4") "\x0a\x4d\0\6",
		      0, 2),
		FOUND(ANSWERS("\x81", "\x80", "\0") QUESTION, 0, 0),
		FOUND(ANSWERS("\x81", "\x83", "\0") QUESTION, 0, 0),
		/* an id, a question, a name, a type, a class of another */
		FOUND("\x12\x35\x81\x80\0\1\0\0\0\0\0\0" QUESTION, -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\0") "\5other\0\0\1\0\1", -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\0") REDIS "\0\x1c\0\1", -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\0") "\5Redis\0\0\1\0\1", -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\1") QUESTION
		      "\5other\0\0\1\0\1\0\0\0\1\0\4\x0a\x4d\0\5",
		      -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\1") QUESTION RR("\x1c", "\7", "\4") "\x0a\x4d\0\5",
		      -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\1") QUESTION
		      "\xc0\x0c\0\1\0\3\0\0\0\7\0\4\x0a\x4d\0\5",
		      -EBADMSG, 0),
		/* a CNAME, an address of another length, cut off, cut short, no answer at all */
		FOUND(ANSWERS("\x81", "\x80", "\1") QUESTION RR("\5", "\7", "\7") "\5other\0",
		      -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\1") QUESTION RR("\1", "\7", "\5") "\x0a\x4d\0\5\6",
		      -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\1") QUESTION RR("\1", "\7", "\4") "\x0a\x4d\0",
		      -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x80", "\2") QUESTION RR("\1", "\7", "\4") "\x0a\x4d\0\5",
		      -EBADMSG, 0),
		FOUND(ANSWERS("\x83", "\x80", "\0") QUESTION, -EBADMSG, 0),
		FOUND(ANSWERS("\x01", "\x80", "\0") QUESTION, -EBADMSG, 0),
		FOUND(ANSWERS("\x89", "\x80", "\0") QUESTION, -EBADMSG, 0),
		FOUND(ANSWERS("\x81", "\x83", "\1") QUESTION RR("\1", "\7", "\4") "\x0a\x4d\0\5",
		      -EBADMSG, 0),
		FOUND("\x12\x34\x81\x80\0\1", -EBADMSG, 0),
	};
	uint8_t q[DNS_QUESTION_MAX];
	size_t qn = dns_ask(q, 0x1234, STR("redis"), DNS_A);
	struct dns_found f;

	assert_int_equal(qn, 12 + 7 + 4);
	assert_memory_equal(q, "\x12\x34\1\0\0\1\0\0\0\0\0\0" QUESTION, qn);
	assert_int_equal(dns_ask(q, 0, STR(""), DNS_A), 0);
	assert_int_equal(dns_ask(q, 0, STR("a..b"), DNS_A), 0);
	assert_int_equal(dns_ask(q, 0x1234, STR("redis"), DNS_A), qn);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *copy = malloc(rows[i].n);
		int r;

		memcpy(copy, rows[i].p, rows[i].n);
		f = (struct dns_found){ .n = 99 };
		r = dns_found(copy, rows[i].n, q, qn, &f);
		free(copy);
		if (r != rows[i].want || (!r && f.n != rows[i].found))
			fail_msg("row %zu: %d, %u", i, r, f.n);
		if (r && f.n != 99)
			fail_msg("row %zu: the output was touched", i);
	}
	assert_int_equal(dns_found((const uint8_t *)rows[1].p, rows[1].n, q, qn, &f), 0);
	assert_int_equal(f.ttl, 3);
	assert_memory_equal(f.addr[1], "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x4d\0\6", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(queries), cmocka_unit_test(broken),
					    cmocka_unit_test(found_or_not),
					    cmocka_unit_test(answers),
					    cmocka_unit_test(type_names) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
