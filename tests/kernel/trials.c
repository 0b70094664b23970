/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canary's trials: each passes with the programs, and says so when one of them is away - a row
 * for each program whose wall is tried. Nothing is left behind, and nobody is told.
 */
#include "kernel/harness.h"
#include "egretd/trial.h"
#include "egretd/walls.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>

static struct walls_said round_of(void)
{
	struct walls_said said = { 0 };
	pid_t pid;
	int fd;

	need(walls_fork(W.k, &W.cg, &pid, &fd), "fork");
	walls_take(pid, fd, 20000, &said);
	return said;
}

/* The others may be unproven: what leads to their act is away. */
static void stands(const struct walls_said *s, enum wall but)
{
	for (int i = 0; i < WALLS_REQUIRED; i++) {
		if (i == (int)but || s->r[i] == 0 || (but != WALLS && s->r[i] == -EIO))
			continue;
		print_error("%s: %s (%d)\n", wall_name((enum wall)i), s->why[i], s->r[i]);
		fail();
	}
}

static void test_all_stand(void **state)
{
	struct walls_said s = round_of();
	(void)state;

	stands(&s, WALLS);
}

static const struct {
	const char *program;
	enum wall wall;
} rows[] = {
	{ "egret_connect4", WALL_TURN },   { "egret_connect6", WALL_TURN },
	{ "egret_sendmsg4", WALL_TURN },   { "egret_sendmsg6", WALL_TURN },
	{ "egret_sock", WALL_SOCKETS },	   { "egret_bind4", WALL_SOCKETS },
	{ "egret_bind6", WALL_SOCKETS },   { "egret_egress", WALL_PACKETS },
	{ "egret_ingress", WALL_PACKETS }, { "egret_cage_c4", WALL_CAGE },
	{ "egret_cage_c6", WALL_CAGE },	   { "egret_cage_s4", WALL_CAGE },
	{ "egret_cage_s6", WALL_CAGE },	   { "egret_cage_b4", WALL_CAGE },
	{ "egret_cage_b6", WALL_CAGE },	   { "egret_cage_sock", WALL_CAGE },
};

static void test_one_is_away(void **state)
{
	struct kernel_where at = where(&W);
	char path[160], why[256] = "";
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct walls_said s;
		struct kernel *next = NULL;
		bool by_lsm;
		int fd;

		if (slow() && i > 0 && rows[i].wall == rows[i - 1].wall)
			continue;
		snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/link_%s", W.instance,
			 EGRET_ABI, rows[i].program);
		fd = bpf_obj_get(path);
		assert_true(fd >= 0);
		need(bpf_link_detach(fd), path);
		close(fd);
		s = round_of();
		/* An LSM program that bites refuses the same sockets: then the wall stands. */
		by_lsm = strcmp(rows[i].program, "egret_sock") == 0 && !kernel_no_guard(W.k) &&
			 s.r[WALL_SOCKETS] == 0;
		if (s.r[rows[i].wall] != (by_lsm ? 0 : -EPERM)) {
			print_error("without %s: %s says %d %s\n", rows[i].program,
				    wall_name(rows[i].wall), s.r[rows[i].wall],
				    s.why[rows[i].wall]);
			fail();
		}
		assert_true(by_lsm || strstr(s.why[rows[i].wall], "canary"));
		stands(&s, rows[i].wall);
		need(kernel_open(&at, &next, why, sizeof(why)), why);
		W.k = kernel_free(W.k);
		W.k = next;
	}
	test_all_stand(NULL);
}

static void count_one(void *owner, uint64_t cgroup, const struct egret_cgroup *c)
{
	unsigned *n = owner;

	(void)cgroup;
	if (c->job == TRIAL_JOB || (c->flags & EGRET_CG_TRIAL))
		(*n)++;
}

static int count_event(void *owner, void *data, size_t size)
{
	const struct egret_event *e = data;

	assert_true(size >= sizeof(*e));
	if ((*(unsigned *)owner)++ == 0)
		print_error("told: kind %u reason %u job %llu proto %u port %u\n", e->kind,
			    e->reason, (unsigned long long)e->record.job, e->record.proto,
			    e->record.port);
	return 0;
}

static void test_nobody_is_told(void **state)
{
	uint64_t before[EGRET_R_MAX], after[EGRET_R_MAX], lost = 0, lost_then = 0;
	unsigned events = 0, entries = 0;
	struct ring_buffer *ring;
	struct stat st;
	int fd = -1;
	(void)state;

	need(kernel_events_fd(W.k, &fd), "events");
	ring = ring_buffer__new(fd, count_event, &events, NULL);
	assert_non_null(ring);
	ring_buffer__consume(ring);
	events = 0;
	need(kernel_refused(W.k, before), "counters");
	need(kernel_lost(W.k, &lost), "lost");
	test_all_stand(NULL);
	need(kernel_refused(W.k, after), "counters");
	need(kernel_lost(W.k, &lost_then), "lost");
	ring_buffer__consume(ring);
	for (int i = 0; i < EGRET_R_MAX; i++)
		if (before[i] != after[i])
			print_error("reason %d was counted: %llu, then %llu\n", i,
				    (unsigned long long)before[i], (unsigned long long)after[i]);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(lost, lost_then);
	assert_int_equal(events, 0);
	ring_buffer__free(ring);
	close(fd);
	need(kernel_cgroup_each(W.k, count_one, &entries), "walk");
	assert_int_equal(entries, 0);
	assert_int_equal(fstatat(W.cg.jobs, TRIAL_CGROUP, &st, 0), -1);
	assert_int_equal(fstatat(W.cg.proxies, TRIAL_CGROUP, &st, 0), -1);
}

/* A round that was killed in the middle is swept up by the next. */
static void test_killed_round(void **state)
{
	struct walls_said s;
	unsigned entries = 0;
	struct stat st;
	(void)state;

	for (int ms = 0; ms < 24; ms += 3) {
		pid_t pid;
		int fd;

		need(walls_fork(W.k, &W.cg, &pid, &fd), "fork");
		usleep((useconds_t)ms * 1000);
		kill(pid, SIGKILL);
		walls_take(pid, fd, 0, &s);
	}
	s = round_of();
	stands(&s, WALLS);
	need(kernel_cgroup_each(W.k, count_one, &entries), "walk");
	assert_int_equal(entries, 0);
	assert_int_equal(fstatat(W.cg.jobs, TRIAL_CGROUP, &st, 0), -1);
}

/* At an attach point where the unknown pass, the canary is as refused as a job. */
static void test_unknown_pass(void **state)
{
	struct kernel_where at = where(&W);
	struct kernel *next = NULL;
	struct walls_said s;
	char why[256] = "";
	(void)state;

	at.unknown_pass = true;
	need(kernel_open(&at, &next, why, sizeof(why)), why);
	W.k = kernel_free(W.k);
	W.k = next;
	s = round_of();
	stands(&s, WALLS);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_stand),    cmocka_unit_test(test_nobody_is_told),
		cmocka_unit_test(test_one_is_away),  cmocka_unit_test(test_killed_round),
		cmocka_unit_test(test_unknown_pass),
	};

	return cmocka_run_group_tests_name("trials", tests, world_open, world_close);
}

int main(void)
{
	return kept(run);
}
