/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parked form only grows (egretd/park_form.h): every offset that a version of egretd has
 * written stays, shorter frames are filled with zeroes, longer ones cut, others refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/msg.h"
#include "base/proto.h"
#include "egretd/park_form.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define AT(type, field, offset)                                                                 \
	do {                                                                                    \
		assert_int_equal(offsetof(struct type, field), offset);                         \
		assert_true(sizeof(((struct type *)0)->field) + offset <= sizeof(struct type)); \
	} while (0)

/* A field that was added is added here; a line that is here is never changed. */
static void test_offsets(void **state)
{
	(void)state;
	AT(park_job, form, 0);
	AT(park_job, origin, 4);
	AT(park_job, id, 8);
	AT(park_job, started_us, 16);
	AT(park_job, proxy_started, 24);
	AT(park_job, init_started, 32);
	AT(park_job, worker_started, 40);
	AT(park_job, uid, 48);
	AT(park_job, gid, 52);
	AT(park_job, caller_uid, 56);
	AT(park_job, proxy_uid, 60);
	AT(park_job, proxy, 64);
	AT(park_job, init, 68);
	AT(park_job, worker, 72);
	AT(park_job, npolicies, 76);
	AT(park_job, capabilities, 80);
	AT(park_job, assurance, 84);
	AT(park_job, admin, 88);
	AT(park_job, host_net, 89);
	AT(park_job, confined, 90);
	AT(park_job, own_policy, 91);
	AT(park_job, services_rule, 92);
	AT(park_job, inbound, 93);
	AT(park_job, containers_only, 94);
	AT(park_job, keep, 95);
	AT(park_job, reaches_engine, 96);
	AT(park_job, direct, 104);
	AT(park_job, dialling, 112);
	assert_true(sizeof(struct park_job) >= 120);

	AT(park_net, form, 0);
	AT(park_net, shared, 4);
	AT(park_net, cookie, 8);
	AT(park_net, addr4, 16);
	AT(park_net, addr6, 20);
	AT(park_net, tcp4_be, 36);
	AT(park_net, tcp6_be, 38);
	AT(park_net, dns4_be, 40);
	AT(park_net, dns6_be, 42);
	assert_true(sizeof(struct park_net) >= 48);

	AT(park_member, form, 0);
	AT(park_member, kind, 4);
	AT(park_member, cookie, 8);
	AT(park_member, trust, 16);
	AT(park_member, made, 20);
	AT(park_member, kill, 21);
	AT(park_member, nports, 24);
	AT(park_member, ports, 28);
	assert_int_equal(sizeof(struct park_port), 4);
	assert_true(sizeof(struct park_member) >= 96);
	assert_int_equal(PARK_PORTS, 16);
}

static void test_words(void **state)
{
	struct park_net from = { .form = PARK_FORM, .cookie = 7, .dns6_be = 9 }, to;
	struct {
		struct park_net net;
		uint64_t later;
	} longer = { .net = from, .later = 1 };
	(void)state;

	memset(&to, 0xff, sizeof(to));
	assert_int_equal(park_words((struct str){ (char *)&from, 16 }, &to, sizeof(to)), 0);
	assert_int_equal(to.cookie, 7);
	assert_int_equal(to.dns6_be, 0);
	assert_int_equal(to.pad, 0);
	assert_int_equal(
		park_words((struct str){ (char *)&longer, sizeof(longer) }, &to, sizeof(to)), 0);
	assert_memory_equal(&to, &from, sizeof(to));
	from.form++;
	assert_int_equal(park_words((struct str){ (char *)&from, sizeof(from) }, &to, sizeof(to)),
			 -EPROTO);
	assert_int_equal(to.dns6_be, 9); /* untouched */
	assert_int_equal(park_words((struct str){ (char *)&from, 3 }, &to, sizeof(to)), -EPROTO);
}

/* Whole sets and what an egretd that was killed while it parked leaves. '|' is a mark. */
static void test_sets(void **state)
{
	static const struct {
		const char *frames;
		unsigned from, to;
	} rows[] = {
		{ "", 0, 0 },	    { "abc", 0, 3 },	 { "|", 0, 0 },	     { "abc|", 0, 3 },
		{ "abc|de", 0, 3 }, { "abc|de|", 4, 6 }, { "bc|de|", 3, 5 }, { "|de|", 1, 3 },
		{ "de|", 0, 2 },    { "abc||", 4, 4 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct park_set set;
		int pair[2];

		assert_int_equal(msg_pair(pair), 0);
		for (const char *c = rows[i].frames; *c; c++) {
			struct msg_out m;

			msg_begin(&m, *c == '|' ? MSG_END : MSG_JOB, 0);
			msg_put_u64(&m, TAG_JOB, (uint64_t)*c);
			msg_put_fd(&m, TAG_FD_LOG, pair[0]);
			assert_int_equal(msg_send(pair[0], &m), 0);
			msg_out_done(&m);
		}
		/* Twice: looking takes nothing away. */
		for (int n = 0; n < 2; n++) {
			park_look(pair[1], &set);
			assert_int_equal(set.count, strlen(rows[i].frames));
			assert_int_equal(set.from, rows[i].from);
			assert_int_equal(set.to, rows[i].to);
		}
		park_rewind(pair[1]);
		for (const char *c = rows[i].frames; *c; c++) {
			struct msg_in in;
			uint64_t said;

			assert_int_equal(park_next(pair[1], &in), 0);
			assert_int_equal(msg_get_u64(&in, TAG_JOB, &said), 0);
			assert_int_equal(said, (uint64_t)*c);
			assert_int_equal(in.nfds, 1);
			msg_in_done(&in);
		}
		close(pair[0]);
		close(pair[1]);
	}
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_sets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, NULL, NULL);
}
