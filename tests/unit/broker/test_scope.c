/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proxy is given of provider aws: what signs one day's requests to one service of one region
 * that the credential names, and never the secret key, whatever it asks for. And of mtls:
 * certificate and key, both of the store.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/token_rig.h"

#include <fcntl.h>
#include "sigv4/sigv4.h"
#include <sys/mman.h>

#define ROLE                                                                                      \
	"{ \"name\": \"role\", \"provider\": \"aws\", \"role_arn\": \"arn:aws:iam::1:role/ci\", " \
	"\"region\": \"eu-west-1\", \"for\": \"any\", \"hosts\": [\"api.shop.test\"], "           \
	"\"inject\": { \"sigv4\": true } }"

static int creds(void)
{
	const struct source s[] = { { SOURCE_CREDENTIAL, STR("role.json"), STR(ROLE) } };

	return pack_of(s, 1);
}

static void ask_scope(int peer, uint32_t id, const char *scope)
{
	struct msg_out q;

	msg_begin(&q, MSG_CRED_GET, id);
	msg_put_u64(&q, TAG_INDEX, 0);
	msg_put_str(&q, TAG_SCOPE, str_of(scope));
	assert_int_equal(msg_send(peer, &q), 0);
}

static void test_scopes(void **state)
{
	static const char *const bad[] = { "/us-east-1/s3", "/eu-west-1", "/eu-west-1/s3/x", "" };
	char time[SIGV4_TIME + 1], scope[64];
	uint8_t key[SIGV4_KEY];
	struct opened one;
	struct msg_out out;
	struct msg_in m;
	struct str s;
	int fd;

	rig_creds = creds;
	rig_job_more = with_token;
	audience = "sts.amazonaws.com";
	token = "eyJ.of-job-5.sig";
	lease_broker_up();
	job_open(5, NULL, &one);
	fd = provider_start();
	msg_begin(&out, MSG_PROVIDED, shown(fd, "eyJ.of-job-5.sig"));
	msg_put_str(&out, TAG_VALUE, STR("wJalrXUtnFEMI-secret"));
	msg_put_u64(&out, TAG_EXPIRES, clock_wall_us() + 3600000000ull);
	msg_put_u64(&out, TAG_STATIC, 0);
	msg_put_u64(&out, TAG_RENEWABLE, 0);
	msg_put_str(&out, TAG_ACCESS_KEY, STR("ASIAEXAMPLE"));
	msg_put_str(&out, TAG_SESSION, STR("session-token"));
	assert_int_equal(msg_send(fd, &out), 0);
	sigv4_time(clock_wall_us(), time);
	snprintf(scope, sizeof(scope), "%.8s/eu-west-1/s3", time);
	ask_scope(one.peer, 1, scope);
	assert_true(recv_ms(one.peer, &m, WAIT_MS));
	assert_int_equal(m.type, MSG_CRED);
	assert_int_equal(sigv4_key(STR("wJalrXUtnFEMI-secret"), str_of(scope), key), 0);
	assert_int_equal(msg_get(&m, TAG_VALUE, &s), 0);
	assert_int_equal(s.n, SIGV4_KEY);
	assert_memory_equal(s.p, key, SIGV4_KEY);
	msg_in_done(&m);
	cred_ask(one.peer, 2);
	cred_refused(one.peer, 2, "a day, a region and a service");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(scope, sizeof(scope), "%.8s%s", time, bad[i]);
		ask_scope(one.peer, 3, scope);
		cred_refused(one.peer, 3, "aws: ");
	}
	ask_scope(one.peer, 4, "20130524/eu-west-1/s3");
	cred_refused(one.peer, 4, "for another day than today");
	close(fd);
	opened_done(&one);
	broker_down();
}

#define CLIENT                                                                             \
	"{ \"name\": \"client\", \"provider\": \"mtls\", \"cert\": \"store:robot-cert\", " \
	"\"key\": \"store:robot-key\", \"for\": \"any\", \"hosts\": [\"api.shop.test\"] }"

static int client_creds(void)
{
	const struct source s[] = { { SOURCE_CREDENTIAL, STR("client.json"), STR(CLIENT) } };

	return pack_of(s, 1);
}

static void secret_is(const char *name, const char *value)
{
	assert_int_equal(secret_set(name, value, strlen(value), NULL, 0), MSG_OK);
}

static void given_client(int peer, const char *cert, const char *key)
{
	struct msg_in m;
	struct str s;
	uint64_t fixed = 0;

	cred_ask(peer, 1);
	assert_true(recv_ms(peer, &m, WAIT_MS));
	assert_int_equal(m.type, MSG_CRED);
	assert_int_equal(msg_get(&m, TAG_VALUE, &s), 0);
	assert_true(str_is(s, key));
	assert_int_equal(msg_get(&m, TAG_CERT, &s), 0);
	assert_true(str_is(s, cert));
	assert_int_equal(msg_get_u64(&m, TAG_STATIC, &fixed), 0);
	assert_int_equal(fixed, 1);
	msg_in_done(&m);
}

/* No provider's process is asked; both halves must be there; the next job has what is stored then.
 */
static void test_mtls(void **state)
{
	struct opened one;

	rig_creds = client_creds;
	rig_job_more = NULL;
	lease_broker_up();
	secret_is("robot-cert", "the certificate, in PEM");
	job_open(5, NULL, &one);
	cred_ask(one.peer, 1);
	cred_refused(one.peer, 1, "no secret named robot-key");
	event_of(EVENT_CREDENTIAL_FAIL, 5, "robot-key");
	secret_is("robot-key", "the key, in PEM");
	given_client(one.peer, "the certificate, in PEM", "the key, in PEM");
	event_of(EVENT_CREDENTIAL_LEASE, 5, NULL);
	assert_int_equal(rig_nwanted, 0);
	job_close(5);
	opened_done(&one);
	secret_is("robot-cert", "another certificate");
	secret_is("robot-key", "and its key");
	job_open(6, NULL, &one);
	given_client(one.peer, "another certificate", "and its key");
	opened_done(&one);
	broker_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_scopes, test_over),
					    cmocka_unit_test_teardown(test_mtls, test_over) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("scope", tests, set_up, tear_down);
}
