/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker with a provider's process under the test's hand: the test is egretd (it answers
 * MSG_PROVIDER_WANT) and each egret-provider. Included after broker_rig.h.
 */
#ifndef EGRET_TESTS_UNIT_BROKER_LEASE_RIG_H
#define EGRET_TESTS_UNIT_BROKER_LEASE_RIG_H

#include "unit/broker/broker_rig.h"

#define WAIT_MS 5000
#define CREDENTIAL_TOKEN(name)                                                                   \
	"{ \"name\": \"" name "\", \"provider\": \"oauth2\", \"token_url\": "                    \
	"\"https://id.shop.test/token\", \"grant\": \"client_credentials\", \"client_id\": "     \
	"\"egret\", \"client_secret\": \"store:client\", \"scope\": [\"a\", \"b\"], \"for\": "   \
	"\"any\", \"hosts\": [\"api.shop.test\"], \"inject\": { \"header\": \"Authorization\", " \
	"\"format\": \"Bearer {token}\" } }"

static const char client_secret[] = "cl13nt-canary-77aa";
static const char token_value[] = "t0ken-canary-5c1e";

/* Credentials in the order of their names. */
static inline int pack_of(const struct source *sources, size_t n)
{
	struct compiled c;
	int fd = -1;

	assert_int_equal(policy_compile(sources, n, 0, &c), 0);
	assert_int_equal(c.ncredentials, n);
	assert_int_equal(pack_write(c.credentials, (uint32_t)n, &fd), 0);
	compiled_done(&c);
	return fd;
}

static inline int token_creds(void)
{
	const struct source s[] = {
		{ SOURCE_CREDENTIAL, STR("token.json"), STR(CREDENTIAL_TOKEN("token")) },
	};

	return pack_of(s, 1);
}

/* The broker's next frame to egretd of this type; events are left out unless they are wanted. */
static inline void from_broker(uint16_t type, struct msg_in *ret)
{
	for (;;) {
		assert_true(recv_ms(broker.sock, ret, WAIT_MS));
		if (ret->type == type)
			return;
		if (ret->type == MSG_PROVIDER_WANT && rig_nwanted < ARRAY_SIZE(rig_wanted))
			rig_wanted[rig_nwanted++] = ret->id;
		else
			assert_true(ret->type == MSG_EVENT || ret->type == MSG_PROVIDER_END);
		msg_in_done(ret);
	}
}

static inline void event_of(enum event_kind kind, uint64_t job, const char *text)
{
	struct str record;
	struct msg_in m;
	uint64_t id;

	from_broker(MSG_EVENT, &m);
	assert_int_equal(msg_get_u64(&m, TAG_JOB, &id), 0);
	assert_int_equal(id, job);
	assert_int_equal(msg_get(&m, TAG_RECORD, &record), 0);
	assert_int_equal((unsigned char)record.p[0], kind);
	if (text)
		assert_non_null(memmem(record.p, record.n, text, strlen(text)));
	assert_null(memmem(record.p, record.n, token_value, strlen(token_value)));
	assert_null(memmem(record.p, record.n, client_secret, strlen(client_secret)));
	msg_in_done(&m);
}

/* egretd starts one: its socket. */
static inline int provider_start(void)
{
	struct msg_out out;
	struct msg_in m;
	struct str kind;
	uint32_t id;
	int pair[2];

	if (rig_nwanted) {
		id = rig_wanted[--rig_nwanted];
	} else {
		from_broker(MSG_PROVIDER_WANT, &m);
		assert_int_equal(msg_get_str(&m, TAG_KIND, 8, &kind), 0);
		assert_true(str_is(kind, "net"));
		id = m.id;
		msg_in_done(&m);
	}
	assert_int_equal(msg_pair(pair), 0);
	msg_begin(&out, MSG_PROVIDER, id);
	msg_put_fd(&out, TAG_FD_PEER, pair[1]);
	assert_int_equal(msg_send(broker.sock, &out), 0);
	close(pair[1]);
	return pair[0];
}

/* Its next question: the id. What the question must hold is asserted. */
static inline uint32_t provider_asked(int fd, uint16_t type, const char *handle)
{
	struct msg_in m;
	struct str s;
	uint32_t id;
	size_t at = 0;
	bool scope = false;

	for (;;) {
		assert_true(recv_ms(fd, &m, WAIT_MS));
		if (m.type != MSG_PROVIDER_KEPT)
			break;
		msg_in_done(&m);
	}
	assert_int_equal(m.type, type);
	assert_int_equal(msg_get_str(&m, TAG_KIND, 32, &s), 0);
	assert_true(str_is(s, "oauth2"));
	assert_int_equal(msg_get(&m, TAG_SECRET, &s), 0);
	assert_true(str_is(s, "client_secret=cl13nt-canary-77aa"));
	while (msg_each(&m, TAG_PARAM, &at, &s)) {
		assert_null(memmem(s.p, s.n, "store:", 6));
		scope |= str_is(s, "scope=b");
	}
	assert_true(scope);
	if (handle) {
		assert_int_equal(msg_get(&m, TAG_HANDLE, &s), 0);
		assert_true(str_is(s, handle));
	}
	id = m.id;
	msg_in_done(&m);
	return id;
}

static inline void provided(int fd, uint32_t id, const char *value, const char *handle,
			    uint64_t life_ms, bool renewable)
{
	struct msg_out m;

	msg_begin(&m, MSG_PROVIDED, id);
	msg_put_str(&m, TAG_VALUE, str_of(value));
	msg_put_u64(&m, TAG_EXPIRES, life_ms ? clock_wall_us() + life_ms * 1000 : 0);
	msg_put_u64(&m, TAG_STATIC, 0);
	if (handle)
		msg_put_str(&m, TAG_HANDLE, str_of(handle));
	msg_put_u64(&m, TAG_RENEWABLE, renewable);
	assert_int_equal(msg_send(fd, &m), 0);
}

static inline void provider_says(int fd, uint32_t id, uint16_t type, const char *why, int code)
{
	struct msg_out m;

	msg_begin(&m, type, id);
	if (why) {
		msg_put_str(&m, TAG_TEXT, str_of(why));
		msg_put_u64(&m, TAG_CODE, (uint64_t)code);
	}
	assert_int_equal(msg_send(fd, &m), 0);
}

static inline void cred_ask(int peer, uint32_t id)
{
	struct msg_out q;

	msg_begin(&q, MSG_CRED_GET, id);
	msg_put_u64(&q, TAG_INDEX, 0);
	assert_int_equal(msg_send(peer, &q), 0);
}

/* The answer to it: the lease's id. */
static inline void cred_given(int peer, uint32_t id, const char *value, char lease[32])
{
	struct msg_in m;
	struct str s;

	assert_true(recv_ms(peer, &m, WAIT_MS));
	assert_int_equal(m.type, MSG_CRED);
	assert_int_equal(m.id, id);
	assert_int_equal(msg_get(&m, TAG_VALUE, &s), 0);
	assert_true(str_is(s, value));
	assert_int_equal(msg_get(&m, TAG_LEASE, &s), 0);
	snprintf(lease, 32, "%.*s", STR_ARG(s));
	msg_in_done(&m);
}

static inline void cred_refused(int peer, uint32_t id, const char *why)
{
	struct msg_in m;
	struct str s;

	assert_true(recv_ms(peer, &m, 20000));
	assert_int_equal(m.type, MSG_FAILED);
	assert_int_equal(m.id, id);
	assert_int_equal(msg_get(&m, TAG_TEXT, &s), 0);
	if (!memmem(s.p, s.n, why, strlen(why)))
		fail_msg("%.*s, not %s", STR_ARG(s), why);
	msg_in_done(&m);
}

static inline void job_close(uint64_t id)
{
	struct msg_out q;

	msg_begin(&q, MSG_JOB_CLOSE, 0);
	msg_put_u64(&q, TAG_JOB, id);
	assert_int_equal(msg_send(broker.sock, &q), 0);
}

static inline void lease_broker_up(void)
{
	broker_up(false);
	assert_int_equal(secret_set("client", client_secret, strlen(client_secret), NULL, 0),
			 MSG_OK);
}

#endif
