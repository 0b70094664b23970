/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of providers that are asked: made once a job, given to each of its proxies, revoked at its
 * end; and a provider that is wrong, slow or gone, which gives a reason and never a value.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/lease_rig.h"

static void test_one_a_job(void **state)
{
	char lease[32], again[32];
	struct opened o, o2;
	struct msg_out q;
	struct msg_in m;
	uint32_t id;
	int fd;

	rig_creds = token_creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	/* Warm before anybody asks; another stands ready soon after it was taken. */
	fd = provider_start();
	cred_ask(o.peer, 40);
	cred_ask(o.peer, 41);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	provided(fd, id, token_value, "h1", 3600000, false);
	cred_given(o.peer, 40, token_value, lease);
	cred_given(o.peer, 41, token_value, again);
	assert_string_equal(lease, again);
	event_of(EVENT_CREDENTIAL_LEASE, 5, lease);
	close(provider_start());
	/* Another proxy of the job: behind its CA it is told what is out. */
	job_open(5, &o, &o2);
	msg_begin(&q, MSG_CA_GET, 50);
	assert_int_equal(msg_send(o2.peer, &q), 0);
	assert_true(recv_ms(o2.peer, &m, WAIT_MS));
	assert_int_equal(m.type, MSG_CA);
	msg_in_done(&m);
	cred_given(o2.peer, 0, token_value, again);
	assert_string_equal(lease, again);
	cred_ask(o2.peer, 42);
	cred_given(o2.peer, 42, token_value, again);
	assert_string_equal(lease, again);
	job_close(5);
	id = provider_asked(fd, MSG_PROVIDER_REVOKE, "h1");
	provider_says(fd, id, MSG_FAILED, "503 of the provider", EAGAIN);
	event_of(EVENT_CREDENTIAL_FAIL, 5, "not revoked: oauth2: 503 of the provider");
	id = provider_asked(fd, MSG_PROVIDER_REVOKE, "h1");
	provider_says(fd, id, MSG_OK, NULL, 0);
	event_of(EVENT_CREDENTIAL_REVOKE, 5, lease);
	close(fd);
	opened_done(&o);
	opened_done(&o2);
	broker_down();
}

static void test_wrong(void **state)
{
	struct opened o;
	char lease[32];
	uint32_t id;
	int fd;

	rig_creds = token_creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	fd = provider_start();
	cred_ask(o.peer, 1);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	provider_says(fd, id, MSG_FAILED, "401: no such client", EACCES);
	cred_refused(o.peer, 1, "oauth2: 401: no such client");
	/* Worth it: asked again while the request waits. */
	cred_ask(o.peer, 2);
	provider_says(fd, provider_asked(fd, MSG_PROVIDE, NULL), MSG_FAILED, "503", EAGAIN);
	provider_says(fd, provider_asked(fd, MSG_PROVIDE, NULL), MSG_FAILED, "503", EAGAIN);
	provider_says(fd, provider_asked(fd, MSG_PROVIDE, NULL), MSG_FAILED, "503", EAGAIN);
	cred_refused(o.peer, 2, "oauth2: 503");
	/* A clock that is five minutes behind the provider's, or before. */
	cred_ask(o.peer, 3);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	provided(fd, id, token_value, "h1", (uint64_t)-300000, false);
	cred_refused(o.peer, 3, "expired already: look at both clocks");
	cred_ask(o.peer, 4);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	provider_says(fd, id, MSG_PROVIDED, NULL, 0);
	cred_refused(o.peer, 4, "not complete");
	/* One that answers what nobody asked is ended, and the next one is asked. */
	cred_ask(o.peer, 5);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	provider_says(fd, id + 77, MSG_OK, NULL, 0);
	cred_refused(o.peer, 5, "another form");
	close(fd);
	fd = provider_start(); /* the spare */
	cred_ask(o.peer, 6);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	close(fd);
	cred_refused(o.peer, 6, "ended before it answered");
	fd = provider_start();
	cred_ask(o.peer, 7);
	provided(fd, provider_asked(fd, MSG_PROVIDE, NULL), token_value, "h1", 0, false);
	cred_given(o.peer, 7, token_value, lease);
	close(fd);
	opened_done(&o);
	broker_down();
}

/* The job ends while its lease is being made: who waits is refused, what comes is never given, and
 * revoked as soon as it is there; of one that cannot be made nothing is left. */
static void test_ended_meanwhile(void **state)
{
	struct opened o;
	char lease[32];
	uint32_t id;
	int fd;

	rig_creds = token_creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	fd = provider_start();
	cred_ask(o.peer, 1);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	job_close(5);
	cred_refused(o.peer, 1, "the lease is revoked");
	provided(fd, id, token_value, "h1", 3600000, false);
	id = provider_asked(fd, MSG_PROVIDER_REVOKE, "h1");
	event_of(EVENT_CREDENTIAL_LEASE, 5, NULL);
	provider_says(fd, id, MSG_OK, NULL, 0);
	event_of(EVENT_CREDENTIAL_REVOKE, 5, NULL);
	opened_done(&o);
	job_open(6, NULL, &o);
	cred_ask(o.peer, 1);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	job_close(6);
	cred_refused(o.peer, 1, "the lease is revoked");
	provider_says(fd, id, MSG_FAILED, "401", EACCES);
	opened_done(&o);
	/* The next that it is asked is the next job's. */
	job_open(7, NULL, &o);
	cred_ask(o.peer, 1);
	provided(fd, provider_asked(fd, MSG_PROVIDE, NULL), token_value, "h2", 0, false);
	cred_given(o.peer, 1, token_value, lease);
	close(fd);
	opened_done(&o);
	broker_down();
}

static int renamed_creds(void)
{
	const struct source s[] = {
		{ SOURCE_CREDENTIAL, STR("token.json"), STR(CREDENTIAL_TOKEN("renamed")) },
	};

	return pack_of(s, 1);
}

/* egretd read the credentials anew: these are the job's now. */
static void reloaded(uint64_t id, int creds)
{
	struct msg_out q;

	msg_begin(&q, MSG_JOB_PEER, 0);
	msg_put_u64(&q, TAG_JOB, id);
	msg_put_fd(&q, TAG_FD_CREDS, creds);
	assert_int_equal(msg_send(broker.sock, &q), 0);
	close(creds);
}

/* A reload: what is the same goes on with its lease; what is another or none loses it, also one
 * that is being made. */
static void test_reload(void **state)
{
	char lease[32], again[32];
	struct opened o;
	uint32_t id;
	int fd, other;

	rig_creds = token_creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	fd = provider_start();
	cred_ask(o.peer, 1);
	provided(fd, provider_asked(fd, MSG_PROVIDE, NULL), token_value, "h1", 3600000, false);
	cred_given(o.peer, 1, token_value, lease);
	reloaded(5, token_creds());
	cred_ask(o.peer, 2);
	cred_given(o.peer, 2, token_value, again);
	assert_string_equal(lease, again);
	reloaded(5, renamed_creds());
	id = provider_asked(fd, MSG_PROVIDER_REVOKE, "h1");
	provider_says(fd, id, MSG_OK, NULL, 0);
	event_of(EVENT_CREDENTIAL_LEASE, 5, lease);
	event_of(EVENT_CREDENTIAL_REVOKE, 5, lease);
	cred_ask(o.peer, 3);
	other = provider_start();
	id = provider_asked(other, MSG_PROVIDE, NULL);
	reloaded(5, token_creds());
	cred_refused(o.peer, 3, "the lease is revoked");
	provided(other, id, "late", "h2", 3600000, false);
	provider_says(other, provider_asked(other, MSG_PROVIDER_REVOKE, "h2"), MSG_OK, NULL, 0);
	cred_ask(o.peer, 4);
	provided(fd, provider_asked(fd, MSG_PROVIDE, NULL), token_value, "h3", 3600000, false);
	cred_given(o.peer, 4, token_value, again);
	assert_string_not_equal(lease, again);
	close(fd);
	close(other);
	opened_done(&o);
	broker_down();
}

static void jobs_told(void)
{
	struct msg_out q;

	msg_begin(&q, MSG_JOBS_TOLD, 0);
	assert_int_equal(msg_send(broker.sock, &q), 0);
}

static void wait_kept(int fd, uint32_t id)
{
	struct msg_in m;

	assert_true(recv_ms(fd, &m, WAIT_MS));
	assert_int_equal(m.type, MSG_PROVIDER_KEPT);
	assert_int_equal(m.id, id);
	msg_in_done(&m);
}

/* kill -9 after a lease was given: the job goes on with it, and at its end it is revoked. */
static void test_killed_living(void **state)
{
	char lease[32], again[32];
	struct opened o, o2;
	uint32_t id;
	int fd;

	rig_creds = token_creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	fd = provider_start();
	cred_ask(o.peer, 1);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	provided(fd, id, token_value, "h1", 3600000, false);
	cred_given(o.peer, 1, token_value, lease);
	wait_kept(fd, id);
	broker_kill();
	close(fd);
	rig_nwanted = 0;
	broker_up(false);
	job_open(5, &o, &o2);
	jobs_told();
	cred_ask(o2.peer, 2);
	cred_given(o2.peer, 2, token_value, again);
	assert_string_equal(lease, again);
	job_close(5);
	fd = provider_start();
	id = provider_asked(fd, MSG_PROVIDER_REVOKE, "h1");
	/* And killed before it hears that it is: asked once more, no more after that. */
	broker_kill();
	close(fd);
	rig_nwanted = 0;
	broker_up(false);
	jobs_told();
	fd = provider_start();
	provider_says(fd, provider_asked(fd, MSG_PROVIDER_REVOKE, "h1"), MSG_OK, NULL, 0);
	event_of(EVENT_CREDENTIAL_REVOKE, 5, lease);
	broker_kill();
	close(fd);
	rig_nwanted = 0;
	broker_up(false);
	jobs_told();
	broker_down();
	opened_done(&o);
	opened_done(&o2);
}

/* kill -9, and the job is gone meanwhile, or another has its number. */
static void test_killed_ended(void **state)
{
	char lease[32], other[32];
	struct opened o, o2;
	uint32_t id;
	int fd;

	rig_creds = token_creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	fd = provider_start();
	cred_ask(o.peer, 1);
	id = provider_asked(fd, MSG_PROVIDE, NULL);
	provided(fd, id, token_value, "h1", 0, false);
	cred_given(o.peer, 1, token_value, lease);
	broker_kill();
	close(fd);
	rig_nwanted = 0;
	broker_up(false);
	job_open(5, NULL, &o2);
	jobs_told();
	fd = provider_start();
	id = provider_asked(fd, MSG_PROVIDER_REVOKE, "h1");
	provider_says(fd, id, MSG_OK, NULL, 0);
	cred_ask(o2.peer, 2);
	provided(fd, provider_asked(fd, MSG_PROVIDE, NULL), "another", NULL, 0, false);
	cred_given(o2.peer, 2, "another", other);
	assert_string_not_equal(lease, other);
	close(fd);
	opened_done(&o);
	opened_done(&o2);
	broker_down();
}

/* The journal is damaged: said, put aside, and jobs are served. */
static void test_damaged(void **state)
{
	struct opened o;
	char lease[32];
	struct stat st;
	uint8_t byte;
	int fd, file;

	rig_creds = token_creds;
	lease_broker_up();
	job_open(5, NULL, &o);
	fd = provider_start();
	cred_ask(o.peer, 1);
	provided(fd, provider_asked(fd, MSG_PROVIDE, NULL), token_value, "h1", 0, false);
	cred_given(o.peer, 1, token_value, lease);
	broker_kill();
	close(fd);
	opened_done(&o);
	rig_nwanted = 0;
	file = openat(store_fd, "leases.journal", O_RDWR);
	assert_true(file >= 0);
	assert_int_equal(pread(file, &byte, 1, 60), 1);
	byte ^= 1;
	assert_int_equal(pwrite(file, &byte, 1, 60), 1);
	close(file);
	broker_up(false);
	event_of(EVENT_CREDENTIAL_FAIL, 0, "damaged at byte");
	assert_int_equal(fstatat(store_fd, "leases.journal.damaged", &st, 0), 0);
	job_open(6, NULL, &o);
	jobs_told();
	fd = provider_start();
	cred_ask(o.peer, 1);
	provided(fd, provider_asked(fd, MSG_PROVIDE, NULL), token_value, NULL, 0, false);
	cred_given(o.peer, 1, token_value, lease);
	close(fd);
	opened_done(&o);
	broker_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_one_a_job, test_over),
		cmocka_unit_test_teardown(test_wrong, test_over),
		cmocka_unit_test_teardown(test_ended_meanwhile, test_over),
		cmocka_unit_test_teardown(test_reload, test_over),
		cmocka_unit_test_teardown(test_killed_living, test_over),
		cmocka_unit_test_teardown(test_killed_ended, test_over),
		cmocka_unit_test_teardown(test_damaged, test_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lease", tests, set_up, tear_down);
}
