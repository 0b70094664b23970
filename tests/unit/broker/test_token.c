/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A credential whose provider is shown the job's own ID token: made when the job begins, with the
 * token of that job and audience and no other; refused in words where the job has none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/token_rig.h"

#include <fcntl.h>
#include <sys/mman.h>

#define ROLE                                                                                      \
	"{ \"name\": \"role\", \"provider\": \"vault\", \"address\": "                            \
	"\"https://vault.test\", \"auth\": { \"method\": \"jwt\", \"role\": \"ci\", "             \
	"\"audience\": "                                                                          \
	"\"sts.amazonaws.com\" }, \"path\": \"kv/data/x\", \"for\": \"any\", \"hosts\": "         \
	"[\"api.shop.test\"], \"inject\": { \"header\": \"Authorization\", \"format\": \"Bearer " \
	"{token}\" } }"

static int creds(void)
{
	const struct source s[] = { { SOURCE_CREDENTIAL, STR("role.json"), STR(ROLE) } };

	return pack_of(s, 1);
}

static void test_early(void **state)
{
	struct opened one, two;
	char lease[32];
	int fd, spare;

	rig_creds = creds;
	rig_job_more = with_token;
	audience = "sts.amazonaws.com";
	token = "eyJ.of-job-5.sig";
	lease_broker_up();
	job_open(5, NULL, &one);
	fd = provider_start();
	provided(fd, shown(fd, "eyJ.of-job-5.sig"), "key-of-5", NULL, 3600000, false);
	cred_ask(one.peer, 1);
	cred_given(one.peer, 1, "key-of-5", lease);
	event_of(EVENT_CREDENTIAL_LEASE, 5, lease);
	spare = provider_start();
	/* The process is shared by the credential's jobs, the token is not. */
	token = "eyJ.of-job-6.sig";
	job_open(6, NULL, &two);
	provided(fd, shown(fd, "eyJ.of-job-6.sig"), "key-of-6", NULL, 3600000, false);
	cred_ask(two.peer, 2);
	cred_given(two.peer, 2, "key-of-6", lease);
	cred_ask(one.peer, 3);
	cred_given(one.peer, 3, "key-of-5", lease);
	close(fd);
	close(spare);
	opened_done(&one);
	opened_done(&two);
	broker_down();
}

static void refused(void)
{
	struct opened o;

	rig_creds = creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	cred_ask(o.peer, 1);
	close(provider_start());
	cred_refused(o.peer, 1, "the job has no ID token for sts.amazonaws.com");
	opened_done(&o);
	broker_down();
}

static void test_none(void **state)
{
	rig_job_more = NULL;
	refused();
}

static void test_other_audience(void **state)
{
	rig_job_more = with_token;
	audience = "https://other.test";
	token = "eyJ.a.b";
	refused();
}

static void test_unsealed(void **state)
{
	struct msg_out q;
	struct msg_in m;
	struct str why;

	rig_job_more = NULL;
	lease_broker_up();
	sealed = false;
	msg_begin(&q, MSG_JOB_OPEN, 20);
	msg_put_u64(&q, TAG_JOB, 5);
	with_token(&q);
	ask(broker.sock, &q, &m);
	sealed = true;
	assert_int_equal(m.type, MSG_FAILED);
	assert_int_equal(msg_get(&m, TAG_TEXT, &why), 0);
	assert_true(str_is(why, "the job's tokens are not well formed"));
	msg_in_done(&m);
	broker_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_early, test_over),
		cmocka_unit_test_teardown(test_none, test_over),
		cmocka_unit_test_teardown(test_other_audience, test_over),
		cmocka_unit_test_teardown(test_unsealed, test_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("token", tests, set_up, tear_down);
}
