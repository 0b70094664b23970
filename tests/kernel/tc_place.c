/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall at a link: answers leave to who was let in and spoke first, and no longer; its place
 * before the filters of others, taken over by another egretd; the canary's trial of it.
 */
#include "kernel/rows.h"
#include "egretd/trial.h"
#include <bpf/bpf.h>
#include <time.h>

/* ---- who spoke first ---- */

/* A frame of TCP to the stranger's port: did it get there? */
static bool reaches(uint16_t sport, uint16_t dport, uint8_t flags)
{
	struct row r = { .what = "tcp", .way = raw_way, .cgroup = -1 };
	uint64_t was = refused(EGRET_R_LINK);
	unsigned out = 0;

	r.f = good(IPPROTO_TCP, H[STRANGER].four, false);
	r.f.sport = sport;
	r.f.dport = dport;
	r.f.flags = flags;
	exact_n = frame_put(&r.f, exact);
	need(row_try(&r, was, &out), "frame");
	exact_n = 0;
	assert_true(out || refused(EGRET_R_LINK) > was);
	return out > 0;
}

static void test_answers(void **state)
{
	struct dial on = { .ip = "::", .port = 5432, .type = SOCK_STREAM };
	struct dial d = { .ip = H[A1].four, .port = 5432, .type = SOCK_STREAM };
	struct sockaddr_storage ss;
	pid_t pid;
	int fd;
	(void)state;

	flags_a(EGRET_CG_INBOUND);
	pid = serve(A1, &on);
	assert_int_equal(talk(STRANGER, H[A1].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(talk(STRANGER, H[A1].six, 5432, SOCK_STREAM), 0);
	flags_a(EGRET_CG_PUBLISHED);
	assert_int_equal(talk(STRANGER, H[A1].four, 5432, SOCK_STREAM), ETIMEDOUT);
	assert_int_equal(talk(HOST, H[A1].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(talk(HOST, H[A1].six, 5432, SOCK_STREAM), 0);
	flags_a(EGRET_CG_INBOUND);
	/* One that stays, from a port that is known. */
	walk_to(STRANGER);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	walk_to(HOUSES);
	assert_false(reaches(5432, 7777, 0x10));
	sa_of(H[STRANGER].four, 7777, &ss);
	need(bind(fd, (void *)&ss, sizeof(struct sockaddr_in)), "bind");
	sa_of(d.ip, d.port, &ss);
	need(connect(fd, (void *)&ss, sizeof(struct sockaddr_in)), "connect");
	assert_true(reaches(5432, 7777, 0x10));
	assert_false(reaches(5432, 7777, 0x02)); /* never a first word */
	assert_false(reaches(5432, 7778, 0x10));
	assert_false(reaches(5433, 7777, 0x10));
	/* Taken back: no answer any more. */
	flags_a(EGRET_CG_SERVICES);
	assert_false(reaches(5432, 7777, 0x10));
	flags_a(EGRET_CG_PUBLISHED); /* for the host alone */
	assert_false(reaches(5432, 7777, 0x10));
	flags_a(EGRET_CG_INBOUND);
	assert_true(reaches(5432, 7777, 0x10));
	/* Of a job that is over nobody is known. */
	need(kernel_job_forget(W.k, JOB_A), "forget");
	member_a(A1, true);
	member_a(A2, true);
	assert_false(reaches(5432, 7777, 0x10));
	for (int i = A1; i <= A2; i++)
		need(kernel_listener_set(W.k, JOB_A, H[i].ns.cookie, &H[i].ns.listener), "set");
	close(fd);
	stop(pid);
	flags_a(0);
}

/* ---- the place ---- */

static uint32_t program_at(uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)H[A1].link, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = handle, .priority = 1);
	int r;

	walk_to(HOST);
	r = bpf_tc_query(&hook, &at);
	walk_to(HOUSES);
	return r ? 0 : at.prog_id;
}

static bool mark_arrives(void)
{
	unsigned other = 0, marks = 0;

	seen(&other, &marks);
	marks = 0;
	need(task_run(-1, H[A1].netns, mark_fn, NULL), "mark");
	for (int i = 0; i < 100 && !marks; i++) {
		seen(&other, &marks);
		usleep(1000);
	}
	return marks > 0;
}

static void test_place(void **state)
{
	struct bpf_insn drop[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2 },
				   { .code = BPF_JMP | BPF_EXIT } };
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)H[A1].link, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, theirs, .priority = 7, .handle = 1);
	struct kernel_where at = where(&W);
	uint32_t was = program_at(0x6567);
	uint64_t n;
	struct kernel *next = NULL;
	char why[256] = "";
	(void)state;

	/* Another egretd's program takes the place of the one before. */
	assert_true(was > 0);
	wall(true);
	assert_int_equal(program_at(0x6567), was);
	need(kernel_open(&at, &next, why, sizeof(why)), why);
	W.k = kernel_free(W.k);
	W.k = next;
	wall(true);
	assert_true(program_at(0x6567) != was && program_at(0x6567) > 0);
	assert_int_equal(program_at(1), 0);
	assert_true(mark_arrives());
	/* Filters of others behind it still run. */
	theirs.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "theirs", "GPL", drop,
				       ARRAY_SIZE(drop), NULL);
	assert_true(theirs.prog_fd >= 0);
	walk_to(HOST);
	need(bpf_tc_attach(&hook, &theirs), "theirs");
	walk_to(HOUSES);
	assert_false(mark_arrives());
	theirs.prog_fd = 0;
	theirs.prog_id = theirs.flags = 0;
	walk_to(HOST);
	need(bpf_tc_detach(&hook, &theirs), "theirs");
	walk_to(HOUSES);
	assert_true(mark_arrives());
	/* No entry: nothing passes. */
	n = refused(EGRET_R_LINK);
	need(kernel_link_del(W.k, H[A1].link), "del");
	assert_false(mark_arrives());
	assert_true(refused(EGRET_R_LINK) > n);
	links_a(0);
	assert_true(mark_arrives());
	walk_to(HOST);
	need(kernel_link_del(W.k, 99999), "twice");
	need(kernel_link_detach(W.k, 99999), "no such link");
	assert_int_equal(kernel_link_attach(W.k, 99999), -ENODEV);
	walk_to(HOUSES);
}

/* The canary's: it stands, takes no time, and says so when what it sends does get through. */
static void test_trial(void **state)
{
	struct trial t = { .k = W.k };
	struct timespec a, b;
	char why[200] = "";
	uint8_t stranger[16];
	int64_t ms;
	(void)state;

	clock_gettime(CLOCK_MONOTONIC, &a);
	need(trial_tc(&t, why, sizeof(why)), why);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	print_message("# the trial took %d ms\n", (int)ms);
	addr16("198.51.100.2", stranger);
	need(kernel_member_set(W.k, TRIAL_JOB, stranger), "set");
	assert_int_equal(trial_tc(&t, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "went through"));
	need(kernel_member_del(W.k, TRIAL_JOB, stranger), "del");
	need(trial_tc(&t, why, sizeof(why)), why);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_trial),
	};

	return cmocka_run_group_tests(all, tc_open, tc_close);
}

int main(void)
{
	return kept(tests);
}
