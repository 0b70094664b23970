// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's events, read by an audit process in its jail and under another uid: a small kernel
 * program writes two records and a broken one into a real ring buffer. Needs root; skipped
 * elsewhere.
 */
#include "child.h"
#include "abi.h"
#include "audit/kernel_events.h"
#include "base/jail.h"
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })

/* Writes the value of an array map, `size` bytes, into the ring: a socket filter, run by
 * BPF_PROG_TEST_RUN. */
static int program(int ring, int value, int size)
{
	const struct bpf_insn code[] = {
		INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4),
		INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, value),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 1, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_0, 0, 0),
		INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, ring),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, size),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "egret_test", "GPL", code,
			     ARRAY_SIZE(code), NULL);
}

static void emit(int program_fd, int value, const struct egret_event *e)
{
	uint8_t packet[64] = { 0 };
	uint32_t key = 0;
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));

	assert_int_equal(bpf_map_update_elem(value, &key, e, 0), 0);
	assert_int_equal(bpf_prog_test_run_opts(program_fd, &o), 0);
}

static struct auditor start(int log, int events, int lost)
{
	struct auditor a;
	struct msg_out m;
	int pair[2];

	assert_int_equal(msg_pair(pair), 0);
	fflush(NULL);
	a.pid = fork();
	if (!a.pid) {
		static const struct jail jail = { .may = JAIL_MAY_SYNC | JAIL_MAY_PASS_FDS |
							 JAIL_MAY_BPF_LOOKUP };
		char why[256];

		kernel_events_prepare();
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ||
		    jail_enter(&jail, why, sizeof(why)))
			_exit(9);
		_exit(audit_run(pair[1]));
	}
	close(pair[1]);
	a.sock = pair[0];
	msg_begin(&m, MSG_AUDIT_START, 1);
	msg_put_fd(&m, TAG_FD_LOG, log);
	msg_put_fd(&m, TAG_FD_KERNEL_EVENTS, events);
	msg_put_fd(&m, TAG_FD_KERNEL_LOST, lost);
	msg_put_str(&m, TAG_NODE, STR("ci-07"));
	assert_int_equal(msg_send(a.sock, &m), 0);
	return a;
}

static void wait_lines(int log, const char *what)
{
	for (unsigned i = 0; i < 60; i++) {
		size_t n;
		char *p = log_text(log, &n);
		bool there = strstr(p, what) != NULL;

		if (!there && i == 59)
			fail_msg("no %s in: %s", what, p);
		free(p);
		if (there)
			return;
		usleep(50000);
	}
}

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
	/* Of no known job; a socket that never had a destination; a dial, which is only counted. */
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
