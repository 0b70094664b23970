// SPDX-License-Identifier: Apache-2.0
/*
 * Names of service containers: the real egret-proxy asks an engine's resolver that this test plays.
 * Only listed names, only with the rule, only where there is an engine; and what a false engine
 * could answer.
 */
#include "unit/proxy/start_rig.h"

#define WITH                                                                     \
	"{ \"name\": \"t\", \"rules\": [ { \"id\": \"read\", \"allow\": \"READ " \
	"https://api.shop.test\" }, { \"id\": \"svc\", \"allow\": \"services\" } ] }"
#define LONG "a-name-of-a-container-that-is-longer-than-the-sixty-three-bytes-of-a-label"
#define AUDIT "{ \"name\": \"t\", \"mode\": \"audit\", \"rules\": [] }"

static struct {
	int fd, ask, udp, tcp; /* the engine; the proxy's socket to it; a namespace with both */
	uint16_t port, dns, tcp_port;
} engine;

static int list(const char *const *names)
{
	static uint32_t id = 9000;
	struct msg_out m;

	msg_begin(&m, MSG_PROXY_SERVICES, ++id);
	for (; *names; names++)
		msg_put_str(&m, TAG_SERVICE, str_of(*names));
	assert_int_equal(msg_send(rig.sock, &m), 0);
	return answer_to(id);
}

struct asked {
	uint8_t bytes[DNS_QUESTION_MAX];
	size_t n;
	struct sockaddr_in from;
};

static bool engine_asked(struct asked *q, int wait_ms)
{
	struct pollfd p = { .fd = engine.fd, .events = POLLIN };
	socklen_t from_n = sizeof(q->from);

	if (poll(&p, 1, wait_ms) != 1)
		return false;
	q->n = (size_t)recvfrom(engine.fd, q->bytes, sizeof(q->bytes), 0,
				(struct sockaddr *)&q->from, &from_n);
	return true;
}

/* records: how many are in rr. */
static void engine_answers(const struct asked *q, unsigned rcode, unsigned records, const char *rr,
			   size_t rr_n)
{
	uint8_t a[600];

	memcpy(a, q->bytes, q->n);
	a[2] = 0x81;
	a[3] = (uint8_t)(0x80 | rcode);
	a[7] = (uint8_t)records;
	memcpy(a + q->n, rr, rr_n);
	assert_true(sendto(engine.fd, a, q->n + rr_n, 0, (const struct sockaddr *)&q->from,
			   sizeof(q->from)) > 0);
}
#define ANSWER(q, rcode, records, rr) engine_answers(q, rcode, records, rr, sizeof(rr) - 1)
#define RR_A(ttl, addr) "\xc0\x0c\0\1\0\1\0\0\0" ttl "\0\4" addr
#define RR_AAAA(addr) "\xc0\x0c\0\x1c\0\1\0\0\0\1\0\x10" addr

/* One name, one answer of the engine: the rcode, the address. */
#define ASK(name, type, addr, rcode, records, rr)           \
	({                                                  \
		struct asked q_;                            \
		int fd_ = ask_send(engine.dns, name, type); \
                                                            \
		assert_true(engine_asked(&q_, 3000));       \
		ANSWER(&q_, rcode, records, rr);            \
		ask_take(fd_, addr);                        \
	})

static void begin(const char *policy)
{
	static const char *const names[] = { "redis", "Postgres", "9f_redis_alpine_d2c1", NULL };

	spawn();
	tell(policy);
	assert_int_equal(serve_with(7, engine.tcp, engine.udp, engine.ask), MSG_OK);
	assert_int_equal(list(names), MSG_OK);
}

static void never_asked(uint16_t port, const char *name, uint16_t type, int rcode)
{
	struct asked q;
	uint8_t a[4];

	assert_int_equal(ask_at(port, name, type, a), rcode);
	if (engine_asked(&q, 50))
		fail_msg("the engine was asked for %s", name);
}

static void found(void **state)
{
	struct asked q;
	uint8_t a[4];
	int fd;

	begin(WITH);
	assert_int_equal(ASK("redis", DNS_A, a, 0, 1, RR_A("\xff", "\x0a\x4d\0\5")), 0);
	assert_memory_equal(a, "\x0a\x4d\0\5", 4);
	assert_true(event_seen(EVENT_DNS_QUERY, VERDICT_ALLOW, REASON_RULE));
	assert_int_equal(ASK("REDIS", DNS_A, a, 0, 1, RR_A("\1", "\x0a\x4d\0\6")), 0);
	assert_int_equal(ASK("9f_redis_alpine_d2c1", DNS_A, a, 0, 1, RR_A("\1", "\xac\x12\0\2")),
			 0);
	assert_memory_equal(a, "\xac\x12\0\2", 4);
	assert_int_equal(
		ASK("redis", DNS_AAAA, a, 0, 1, RR_AAAA("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7")), 0);
	assert_memory_equal(a, "\0\0\0\7", 4);
	assert_int_equal(ASK("redis", DNS_AAAA, a, 0, 0, ""), 0);
	assert_memory_equal(a, "\0\0\0\0", 4);
	assert_int_equal(ASK("redis", DNS_A, a, 3, 0, ""), DNS_NXDOMAIN);
	assert_int_equal(ASK("redis", DNS_A, a, 2, 0, ""), DNS_SERVFAIL);
	/* As it was listed, whatever the job's letters are. */
	fd = ask_send(engine.dns, "postgres", DNS_A);
	assert_true(engine_asked(&q, 3000));
	assert_memory_equal(q.bytes + 12, "\x8Postgres\0\0\1\0\1", 14);
	ANSWER(&q, 0, 1, RR_A("\1", "\x0a\x4d\0\x9"));
	assert_int_equal(ask_take(fd, a), 0);
	/* Other names, other types, other namespaces. */
	never_asked(engine.dns, "redis", DNS_TXT, 0);
	never_asked(engine.dns, "redis", DNS_PTR, 0);
	never_asked(engine.dns, "mysql", DNS_A, DNS_NXDOMAIN);
	never_asked(engine.dns, "redis.corp.example", DNS_A, DNS_NXDOMAIN);
	never_asked(engine.dns, "www.redis", DNS_A, 0); /* synthetic, as any name */
	never_asked(engine.dns, "api.shop.test", DNS_A, 0);
	never_asked(rig.dns, "redis", DNS_A, DNS_NXDOMAIN);
	stop();
}

static void false_answers(void **state)
{
	static const char *const addrs[] = {
		"\x7f\0\0\1",	"\xa9\xfe\xa9\xfe", "\xa9\xfe\1\1",
		"\xc6\x12\0\5", /* 198.18.0.5: synthetic */
		"\0\0\0\0",	"\xe0\0\0\1",	    "\xa8\x3f\x81\x10"
	};
	struct asked q;
	uint8_t a[4];
	int fd;

	begin(WITH);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		char rr[] = RR_A("\1", "\0\0\0\0");

		memcpy(rr + sizeof(rr) - 5, addrs[i], 4);
		fd = ask_send(engine.dns, "redis", DNS_A);
		assert_true(engine_asked(&q, 3000));
		engine_answers(&q, 0, 1, rr, sizeof(rr) - 1);
		assert_int_equal(ask_take(fd, a), DNS_SERVFAIL);
	}
	/* What does not fit is as if it had not come: the right one counts. */
	fd = ask_send(engine.dns, "redis", DNS_A);
	assert_true(engine_asked(&q, 3000));
	ANSWER(&q, 0, 1, "\xc0\x0c\0\5\0\1\0\0\0\1\0\x7\5other\0");
	ANSWER(&q, 0, 1, "\5other\0\0\1\0\1\0\0\0\1\0\4\x0a\x4d\0\x42");
	q.bytes[0] ^= 1;
	ANSWER(&q, 0, 1, RR_A("\1", "\x0a\x4d\0\x42"));
	q.bytes[0] ^= 1;
	ANSWER(&q, 0, 1, RR_A("\1", "\x0a\x4d\0\5"));
	assert_int_equal(ask_take(fd, a), 0);
	assert_memory_equal(a, "\x0a\x4d\0\5", 4);
	stop();
}

static void no_answer(void **state)
{
	int waiting[64], fd;
	struct asked q;
	uint8_t a[4];

	begin(WITH);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		waiting[i] = ask_send(engine.dns, "redis", DNS_A);
		assert_true(engine_asked(&q, 3000));
	}
	never_asked(engine.dns, "redis", DNS_A, DNS_SERVFAIL); /* 64 under way are enough */
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		assert_int_equal(ask_take(waiting[i], a), DNS_SERVFAIL);
	/* The namespace goes while the engine thinks: nobody is left to be answered. */
	fd = ask_send(engine.dns, "redis", DNS_A);
	assert_true(engine_asked(&q, 3000));
	assert_int_equal(leave(7), MSG_OK);
	ANSWER(&q, 0, 1, RR_A("\1", "\x0a\x4d\0\5"));
	assert_int_equal(ask("redis", DNS_A, a), DNS_NXDOMAIN);
	close(fd);
	stop();
}

static void the_rule_decides(void **state)
{
	static const char *const bad[] = { "a b", "", LONG, "redis", NULL }, *const none[] = {
		NULL
	};
	uint8_t a[4];

	begin(POLICY);
	never_asked(engine.dns, "redis", DNS_A, DNS_NXDOMAIN);
	stop();
	begin(AUDIT);
	assert_int_equal(ASK("redis", DNS_A, a, 0, 1, RR_A("\1", "\x0a\x4d\0\5")), 0);
	assert_true(event_seen(EVENT_DNS_QUERY, VERDICT_WOULD_DENY, REASON_NO_RULE));
	assert_int_equal(list(bad), MSG_OK); /* the good one of them is asked for */
	assert_int_equal(ASK("redis", DNS_A, a, 0, 1, RR_A("\1", "\x0a\x4d\0\5")), 0);
	assert_int_equal(list(none), MSG_OK);
	never_asked(engine.dns, "redis", DNS_A, DNS_NXDOMAIN);
	stop();
}

static int setup_engine(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (setup(state))
		return -1;
	engine.fd = resolver_socket(&engine.port);
	engine.udp = resolver_socket(&engine.dns);
	engine.tcp = listen_tcp(&engine.tcp_port);
	engine.ask = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	to.sin_port = htons(engine.port);
	return connect(engine.ask, (struct sockaddr *)&to, sizeof(to));
}

static int teardown_engine(void **state)
{
	close(engine.fd);
	close(engine.udp);
	close(engine.tcp);
	close(engine.ask);
	return teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(found),
					    cmocka_unit_test(false_answers),
					    cmocka_unit_test(no_answer),
					    cmocka_unit_test(the_rule_decides) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup_engine, teardown_engine);
}
