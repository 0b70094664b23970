/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of what the audit process makes of the kernel's events: an audit process in its
 * jail and under another uid, and a small kernel program that writes records into a real ring
 * buffer. Needs root.
 */
#ifndef TEST_AUDIT_KERNEL_H
#define TEST_AUDIT_KERNEL_H

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
static inline int program(int ring, int value, int size)
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

static inline void emit(int program_fd, int value, const struct egret_event *e)
{
	uint8_t packet[64] = { 0 };
	uint32_t key = 0;
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));

	assert_int_equal(bpf_map_update_elem(value, &key, e, 0), 0);
	assert_int_equal(bpf_prog_test_run_opts(program_fd, &o), 0);
}

static inline struct auditor start(int log, int events, int lost)
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

static inline void wait_lines(int log, const char *what)
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

#endif
