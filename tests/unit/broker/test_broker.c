/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker as its peers see it: secrets, leases and their events, frames that a taken-over proxy
 * could send, floods, and that nobody can read its memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/broker_rig.h"

static void test_secrets(void **state)
{
	struct msg_out q;
	struct msg_in m;
	struct str name;
	char why[256] = "";
	uint64_t size;
	int fds[2];

	broker_up(false);
	assert_int_equal(secret_set("b-key", secret_value, strlen(secret_value), NULL, 0), MSG_OK);
	assert_int_equal(secret_set("a.key", "x", 1, NULL, 0), MSG_OK);
	assert_int_equal(secret_set(".hidden", "x", 1, why, sizeof(why)), MSG_FAILED);
	assert_non_null(strstr(why, "starts with no dot"));
	assert_int_equal(secret_set("../x", "x", 1, NULL, 0), MSG_FAILED);
	assert_int_equal(secret_set("empty", "", 0, why, sizeof(why)), MSG_FAILED);
	assert_non_null(strstr(why, "empty"));
	/* A pipe could hold the broker up. */
	assert_int_equal(pipe(fds), 0);
	msg_begin(&q, MSG_SECRET_SET, 8);
	msg_put_str(&q, TAG_NAME, STR("p"));
	msg_put_fd(&q, TAG_FD_VALUE, fds[0]);
	ask(broker.sock, &q, &m);
	assert_int_equal(m.type, MSG_FAILED);
	msg_in_done(&m);
	close(fds[0]);
	close(fds[1]);
	msg_begin(&q, MSG_SECRET_LIST, 9);
	ask(broker.sock, &q, &m);
	assert_int_equal(m.type, MSG_SECRET);
	assert_int_equal(msg_get_str(&m, TAG_NAME, 128, &name), 0);
	assert_true(str_is(name, "a.key"));
	msg_in_done(&m);
	assert_true(recv_ms(broker.sock, &m, 5000));
	assert_int_equal(msg_get_str(&m, TAG_NAME, 128, &name), 0);
	assert_true(str_is(name, "b-key"));
	assert_int_equal(msg_get_u64(&m, TAG_SIZE, &size), 0);
	assert_int_equal(size, strlen(secret_value));
	msg_in_done(&m);
	assert_true(recv_ms(broker.sock, &m, 5000));
	assert_int_equal(m.type, MSG_END);
	msg_in_done(&m);
	msg_begin(&q, MSG_SECRET_REMOVE, 10);
	msg_put_str(&q, TAG_NAME, STR("a.key"));
	ask(broker.sock, &q, &m);
	assert_int_equal(m.type, MSG_OK);
	msg_in_done(&m);
	broker_down();
}

/* The value lies in no file of the store, in no form that a search finds. */
static void test_no_value_in_files(void **state)
{
	char path[8192], bytes[200000];
	struct dirent *de;
	unsigned files = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/store", dir);
	d = opendir(path);
	assert_non_null(d);
	while ((de = readdir(d))) {
		ssize_t n;
		int fd;

		if (de->d_type != DT_REG)
			continue;
		snprintf(path, sizeof(path), "%s/store/%s", dir, de->d_name);
		fd = open(path, O_RDONLY);
		n = read(fd, bytes, sizeof(bytes));
		close(fd);
		assert_true(n > 0);
		assert_null(memmem(bytes, (size_t)n, secret_value, strlen(secret_value)));
		files++;
	}
	closedir(d);
	assert_int_equal(files, 1);
}

static void expect_event(enum event_kind kind, uint64_t job, const char *text)
{
	struct msg_in m;
	struct str record;
	uint64_t id;

	assert_true(recv_ms(broker.sock, &m, 5000));
	assert_int_equal(m.type, MSG_EVENT);
	assert_int_equal(msg_get_u64(&m, TAG_JOB, &id), 0);
	assert_int_equal(id, job);
	assert_int_equal(msg_get(&m, TAG_RECORD, &record), 0);
	assert_int_equal((unsigned char)record.p[0], kind);
	assert_non_null(memmem(record.p, record.n, text, strlen(text)));
	assert_null(memmem(record.p, record.n, secret_value, strlen(secret_value)));
	msg_in_done(&m);
}

static void test_lease(void **state)
{
	struct opened o;
	struct str value, lease, why;
	struct msg_out q;
	struct msg_in m;
	uint64_t v;

	broker_up(false);
	job_open(5, NULL, &o);
	msg_begin(&q, MSG_CRED_GET, 40);
	msg_put_u64(&q, TAG_INDEX, 0);
	ask(o.peer, &q, &m);
	assert_int_equal(m.type, MSG_CRED);
	assert_int_equal(msg_get(&m, TAG_VALUE, &value), 0);
	assert_true(str_is(value, secret_value));
	assert_int_equal(msg_get(&m, TAG_LEASE, &lease), 0);
	assert_true(lease.n == 17 && lease.p[0] == 'L');
	assert_int_equal(msg_get_u64(&m, TAG_STATIC, &v), 0);
	assert_int_equal(v, 1);
	msg_in_done(&m);
	expect_event(EVENT_CREDENTIAL_LEASE, 5, "release");
	msg_begin(&q, MSG_CRED_GET, 41);
	msg_put_u64(&q, TAG_INDEX, 1);
	ask(o.peer, &q, &m);
	assert_int_equal(m.type, MSG_FAILED);
	assert_int_equal(msg_get_str(&m, TAG_TEXT, 512, &why), 0);
	assert_true(str_is(why, "store: no secret named no-such: run egret secret set no-such"));
	assert_int_equal(msg_get_u64(&m, TAG_INDEX, &v), 0);
	assert_int_equal(v, 1);
	msg_in_done(&m);
	expect_event(EVENT_CREDENTIAL_FAIL, 5, "no-such");
	msg_begin(&q, MSG_CRED_GET, 42);
	msg_put_u64(&q, TAG_INDEX, 2);
	ask(o.peer, &q, &m);
	assert_int_equal(m.type, MSG_FAILED);
	msg_in_done(&m);
	expect_event(EVENT_CREDENTIAL_FAIL, 5, "has not");
	opened_done(&o);
	broker_down();
}

/* A proxy that sends what is no question of its own is cut off; others and egretd are served on. */
static void test_hostile_proxy(void **state)
{
	static const uint16_t foreign[] = { MSG_SECRET_LIST, MSG_JOB_OPEN, MSG_STOP,
					    MSG_BROKER_START, 9999 };
	struct opened good, bad;
	struct msg_out q;
	struct msg_in m;
	char junk[300];

	broker_up(false);
	job_open(1, NULL, &good);
	for (size_t i = 0; i < ARRAY_SIZE(foreign) + 2; i++) {
		job_open(100 + i, NULL, &bad);
		if (i < ARRAY_SIZE(foreign)) {
			msg_begin(&q, foreign[i], 1);
			assert_int_equal(msg_send(bad.peer, &q), 0);
		} else if (i == ARRAY_SIZE(foreign)) {
			memset(junk, 0xff, sizeof(junk));
			assert_int_equal(send(bad.peer, junk, sizeof(junk), 0), sizeof(junk));
		} else {
			msg_begin(&q, MSG_CA_GET, 1);
			msg_put_fd(&q, TAG_FD_VALUE, bad.ca);
			assert_int_equal(msg_send(bad.peer, &q), 0);
		}
		assert_false(recv_ms(bad.peer, &m, 5000));
		opened_done(&bad);
	}
	msg_begin(&q, MSG_CA_GET, 2);
	ask(good.peer, &q, &m);
	assert_int_equal(m.type, MSG_CA);
	msg_in_done(&m);
	opened_done(&good);
	broker_down();
}

/* A flood of questions is refused after the bound, and does not become a flood of events. */
static void test_flood(void **state)
{
	struct opened o;
	struct msg_out q;
	struct msg_in m;
	unsigned given = 0, events = 0;

	broker_up(false);
	job_open(5, NULL, &o);
	for (unsigned i = 0; i < 600; i++) {
		msg_begin(&q, MSG_CRED_GET, i + 1);
		msg_put_u64(&q, TAG_INDEX, 0);
		ask(o.peer, &q, &m);
		given += m.type == MSG_CRED;
		msg_in_done(&m);
	}
	assert_in_range(given, 240, 480); /* a minute may turn meanwhile */
	while (recv_ms(broker.sock, &m, 100)) {
		events += m.type == MSG_EVENT;
		msg_in_done(&m);
	}
	/* The lease, once: who asks again gets the same one. And the flood. */
	assert_in_range(events, 2, 3);
	opened_done(&o);
	broker_down();
}

/* Root may look at any process; the uid's own other processes may not, and no core is written. */
static void test_not_dumpable(void **state)
{
	char path[64];
	struct stat st;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	broker_up(false);
	snprintf(path, sizeof(path), "/proc/%d/mem", broker.pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0); /* what belongs to no dumpable process belongs to root */
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (setresgid(65601, 65601, 65601) < 0 || setresuid(65601, 65601, 65601) < 0)
			_exit(2);
		_exit(open(path, O_RDONLY) < 0 && errno == EACCES ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	broker_down();
}

/* egretd dies: the job's proxy is served on, and the broker ends with it. */
static void test_egretd_gone(void **state)
{
	struct msg_out q;
	struct msg_in m;
	struct opened o;
	int status;

	broker_up(false);
	job_open(5, NULL, &o);
	close(broker.sock);
	for (int i = 0; i < 3; i++) {
		msg_begin(&q, MSG_CRED_GET, 40);
		msg_put_u64(&q, TAG_INDEX, 0);
		ask(o.peer, &q, &m);
		assert_int_equal(m.type, MSG_CRED);
		msg_in_done(&m);
	}
	assert_int_equal(waitpid(broker.pid, &status, WNOHANG), 0);
	opened_done(&o);
	assert_int_equal(waitpid(broker.pid, &status, 0), broker.pid);
	broker.pid = 0;
	assert_int_equal(status, 0);
	/* Without jobs it ends at once. */
	broker_up(false);
	close(broker.sock);
	assert_int_equal(waitpid(broker.pid, &status, 0), broker.pid);
	broker.pid = 0;
	assert_int_equal(status, 0);
}

/* An egretd that was killed asked for another key, and the next one asks again before the broker is
 * done: it is the one that is answered. */
static void test_rekey_asked_again(void **state)
{
	int next = memfd_of("another key that has 32 bytes...", 32);
	struct msg_out q;
	struct msg_in m;

	broker_up(false);
	for (uint32_t id = 21; id <= 22; id++) {
		msg_begin(&q, MSG_SECRET_REKEY, id);
		msg_put_fd(&q, TAG_FD_STORE_KEY, next);
		assert_int_equal(msg_send(broker.sock, &q), 0);
	}
	do
		assert_true(recv_ms(broker.sock, &m, 5000));
	while (m.id != 22 && (msg_in_done(&m), true));
	assert_int_equal(m.type, MSG_OK);
	msg_in_done(&m);
	broker_down();
	/* What is there is sealed under that key now. */
	close(key_fd);
	key_fd = next;
	broker_up(false);
	broker_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_secrets, test_over),
		cmocka_unit_test_teardown(test_no_value_in_files, test_over),
		cmocka_unit_test_teardown(test_lease, test_over),
		cmocka_unit_test_teardown(test_hostile_proxy, test_over),
		cmocka_unit_test_teardown(test_flood, test_over),
		cmocka_unit_test_teardown(test_egretd_gone, test_over),
		cmocka_unit_test_teardown(test_not_dumpable, test_over),
		cmocka_unit_test_teardown(test_rekey_asked_again, test_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("broker", tests, set_up, tear_down);
}
