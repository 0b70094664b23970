/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's bounds with 200 jobs of three leases each: its memory, and 600 revocations at once.
 * Figures are printed; what is asserted holds on a busy machine too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/lease_rig.h"

#define JOBS 200u
#define CREDS 3u
#define VALUE_N 1500u /* a token of a CI system's size */

static struct opened jobs[JOBS];
static int providers[CREDS + 1]; /* a process a definition, and the spare */
static unsigned nproviders;

static int three_creds(void)
{
	const struct source s[] = {
		{ SOURCE_CREDENTIAL, STR("a.json"), STR(CREDENTIAL_TOKEN("a")) },
		{ SOURCE_CREDENTIAL, STR("b.json"), STR(CREDENTIAL_TOKEN("b")) },
		{ SOURCE_CREDENTIAL, STR("c.json"), STR(CREDENTIAL_TOKEN("c")) },
	};

	return pack_of(s, CREDS);
}

/* Answers what the processes were asked; how many. */
static unsigned answer_all(unsigned *revoked)
{
	char value[VALUE_N + 1], handle[64];
	unsigned n = 0;

	memset(value, 'v', VALUE_N);
	value[VALUE_N] = 0;
	for (unsigned i = 0; i < nproviders; i++) {
		struct msg_in m;

		while (msg_recv(providers[i], &m) == 0) {
			snprintf(handle, sizeof(handle), "handle-%u-%u", i, m.id);
			if (m.type == MSG_PROVIDE) {
				provided(providers[i], m.id, value, handle, 3600000, true);
			} else if (m.type == MSG_PROVIDER_REVOKE) {
				provider_says(providers[i], m.id, MSG_OK, NULL, 0);
				++*revoked;
			}
			n++;
			msg_in_done(&m);
		}
	}
	return n;
}

/* What the broker says to egretd meanwhile. */
static void egretd_reads(void)
{
	struct msg_in m;

	while (msg_recv(broker.sock, &m) == 0) {
		if (m.type == MSG_PROVIDER_WANT && rig_nwanted < ARRAY_SIZE(rig_wanted))
			rig_wanted[rig_nwanted++] = m.id;
		msg_in_done(&m);
	}
	while (rig_nwanted) {
		assert_true(nproviders < ARRAY_SIZE(providers));
		providers[nproviders++] = provider_start();
	}
}

static unsigned rss_kib(void)
{
	char path[64], line[256];
	unsigned kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", broker.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)!sscanf(line, "VmRSS: %u", &kib);
	fclose(f);
	return kib;
}

static void test_bounds(void **state)
{
	unsigned given = 0, revoked = 0, rss;
	uint64_t begun;
	struct msg_out q;
	struct msg_in m;

	rig_creds = three_creds;
	lease_broker_up();
	for (unsigned i = 0; i < JOBS; i++) {
		job_open(i + 1, NULL, &jobs[i]);
		for (unsigned c = 0; c < CREDS; c++) {
			msg_begin(&q, MSG_CRED_GET, c + 1);
			msg_put_u64(&q, TAG_INDEX, c);
			assert_int_equal(msg_send(jobs[i].peer, &q), 0);
		}
		egretd_reads();
		answer_all(&revoked);
	}
	begun = clock_now();
	while (given < JOBS * CREDS && clock_now() - begun < 60000) {
		egretd_reads();
		if (!answer_all(&revoked))
			poll(NULL, 0, 1);
		for (unsigned i = 0; i < JOBS; i++) {
			while (msg_recv(jobs[i].peer, &m) == 0) {
				assert_int_equal(m.type, MSG_CRED);
				given++;
				msg_in_done(&m);
			}
		}
	}
	assert_int_equal(given, JOBS * CREDS);
	rss = rss_kib();
	begun = clock_now();
	for (unsigned i = 0; i < JOBS; i++)
		job_close(i + 1);
	while (revoked < JOBS * CREDS && clock_now() - begun < 60000) {
		egretd_reads();
		if (!answer_all(&revoked))
			poll(NULL, 0, 1);
	}
	printf("# %u jobs of %u leases of %u bytes: %u KiB; %u revocations at once: %llu ms\n",
	       JOBS, CREDS, VALUE_N, rss, revoked, (unsigned long long)(clock_now() - begun));
	assert_int_equal(revoked, JOBS * CREDS);
	assert_in_range(clock_now() - begun, 0, 30000);
#ifndef EGRET_ASAN
	assert_in_range(rss, 1, 64 << 10);
#endif
	for (unsigned i = 0; i < JOBS; i++)
		opened_done(&jobs[i]);
	for (unsigned i = 0; i < nproviders; i++)
		close(providers[i]);
	broker_down();
}

static uint64_t until_readable(int fd, uint64_t since_us)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	return clock_now_us() - since_us;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* From the proxy's question to the provider's process, and from its answer to the proxy: what is
 * ours of a first use, the journal's sync in it. */
static void test_first_use(void **state)
{
	uint64_t ours[20];
	char lease[32];
	struct opened o;
	int fd = -1;

	rig_creds = token_creds;
	lease_broker_up();
	for (unsigned i = 0; i < ARRAY_SIZE(ours); i++) {
		uint32_t id;

		job_open(i + 1, NULL, &o);
		if (fd < 0)
			fd = provider_start();
		ours[i] = clock_now_us();
		cred_ask(o.peer, 1);
		ours[i] = until_readable(fd, ours[i]);
		id = provider_asked(fd, MSG_PROVIDE, NULL);
		provided(fd, id, token_value, "h", 3600000, false);
		ours[i] += until_readable(o.peer, clock_now_us());
		cred_given(o.peer, 1, token_value, lease);
		opened_done(&o);
	}
	qsort(ours, ARRAY_SIZE(ours), sizeof(ours[0]), by_number);
	printf("# first use, ours of it: %llu us in the middle, %llu at most\n",
	       (unsigned long long)ours[ARRAY_SIZE(ours) / 2],
	       (unsigned long long)ours[ARRAY_SIZE(ours) - 1]);
	close(fd);
	broker_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_bounds, test_over),
		cmocka_unit_test_teardown(test_first_use, test_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("bounds", tests, set_up, tear_down);
}
