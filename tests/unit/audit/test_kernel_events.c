// SPDX-License-Identifier: Apache-2.0
/* The kernel's events: two records and a broken one. Skipped without root. */
#include "kernel.h"

static void test_kernel(void **state)
{
	struct egret_event e = { .size = sizeof(e),
				 .kind = EGRET_EV_REFUSED,
				 .reason = EGRET_R_UDP };
	int events, lost, value, whole, cut, log = log_make();
	uint64_t counts[1024] = { 0 };
	struct ring_fds f;
	struct auditor a;
	uint32_t key = 0;
	size_t n;
	char *p;

	events = geteuid()
			 ? -1
			 : bpf_map_create(BPF_MAP_TYPE_RINGBUF, "egret_test_ev", 0, 0, 65536, NULL);
	if (events < 0) {
		close(log);
		skip();
	}
	lost = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "egret_test_lost", 4, 8, 1, NULL);
	value = bpf_map_create(BPF_MAP_TYPE_ARRAY, "egret_test_val", 4, sizeof(e), 1, NULL);
	whole = program(events, value, sizeof(e));
	cut = program(events, value, 8);
	assert_true(lost >= 0 && value >= 0 && whole >= 0 && cut >= 0);
	assert_int_equal(ring_create(65536, &f), 0);
	a = start(log, events, lost);
	ring_tell(&a, &f, 5, "j-5", -1);
	e.record = (struct egret_record){ .job = 5,
					  .port = 443,
					  .family = AF_INET,
					  .proto = IPPROTO_UDP,
					  .pid = 812,
					  .uid = 1000 };
	memcpy(e.record.addr, (uint8_t[16]){ [10] = 0xff, 0xff, 198, 51, 100, 7 }, 16);
	memcpy(e.record.comm, "curl-of-16-bytes", 16); /* no NUL */
	emit(whole, value, &e);
	wait_lines(log, "\"kind\":\"connect\",\"verdict\":\"deny\",\"reason\":\"udp\",\"job\":{"
			"\"id\":\"j-5\"");
	wait_lines(log, "\"process\":{\"pid\":812,\"comm\":\"curl-of-16-bytes\",\"uid\":1000},"
			"\"dest\":{\"ip\":\"198.51.100.7\",\"port\":443,\"proto\":\"udp\"}}");
	/* Of no known job; a socket that never had a destination; a dial to a nameserver, which is
	 * only counted. */
	e.reason = EGRET_R_FAMILY;
	e.record = (struct egret_record){ .pid = 1 };
	emit(whole, value, &e);
	wait_lines(log, "\"reason\":\"family\",\"process\":{\"pid\":1,\"uid\":0}}");
	/* To a service of the job: allowed, and told. */
	e.kind = EGRET_EV_MEMBER;
	e.reason = EGRET_OK;
	e.record = (struct egret_record){
		.job = 5, .port = 5432, .family = AF_INET, .proto = IPPROTO_TCP, .pid = 813
	};
	memcpy(e.record.addr, (uint8_t[16]){ [10] = 0xff, 0xff, 10, 77, 0, 7 }, 16);
	emit(whole, value, &e);
	wait_lines(log, "\"kind\":\"connect\",\"verdict\":\"allow\",\"reason\":\"services\","
			"\"job\":{\"id\":\"j-5\"");
	wait_lines(log, "\"dest\":{\"ip\":\"10.77.0.7\",\"port\":5432,\"proto\":\"tcp\"}}");
	e.kind = EGRET_EV_DIAL;
	e.record.flags = EGRET_REC_DNS;
	emit(whole, value, &e);
	emit(cut, value, &e); /* of a size that is none: lost */
	wait_lines(log, "\"lost\":{\"count\":1,\"where\":\"kernel\",\"total\":1}");
	counts[0] = 41;
	assert_int_equal(bpf_map_update_elem(lost, &key, counts, 0), 0);
	wait_lines(log, "\"lost\":{\"count\":41,\"where\":\"kernel\",\"total\":42}");
	assert_int_equal(auditor_end(&a, 0), 0);
	/* Started anew: only what is more than was said. */
	counts[0] = 50;
	assert_int_equal(bpf_map_update_elem(lost, &key, counts, 0), 0);
	a = start(log, events, lost);
	wait_lines(log, "\"lost\":{\"count\":8,\"where\":\"kernel\",\"total\":50}");
	assert_int_equal(auditor_end(&a, 0), 0);
	p = log_text(log, &n);
	assert_null(strstr(p, "dial"));
	free(p);
	ring_fds_done(&f);
	close(events);
	close(lost);
	close(value);
	close(whole);
	close(cut);
	close(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kernel) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
