/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LSM tier as a whole: exchanged without a gap, tried by the canary. Where the kernel takes no
 * LSM program, or takes them and never calls them, that is said and the other walls stand.
 */
#include "kernel/guard.h"
#include "egretd/trial.h"
#include <bpf/bpf.h>

/* A task of a job tries without end while the programs are exchanged: not once it goes through. */
static int storm_fn(void *arg)
{
	static struct family packet = { AF_PACKET, SOCK_RAW, 0, false };

	alarm(80); /* an emulated machine */
	for (said->n = 0; !__atomic_load_n((int *)said->text, __ATOMIC_ACQUIRE); said->n++)
		if (family_fn(&packet) != EPERM)
			return 1;
	(void)arg;
	return 0;
}

static void test_exchange(void **state)
{
	struct kernel_where at = where(&W);
	char why[256] = "";
	cpu_set_t all, one;
	int stop = 1;
	pid_t pid;
	(void)state;

	flags_a(CONFINED);
	/* Both on one CPU: qemu's emulation of two does not keep up with a kernel that changes code
	 * which the other one runs without a pause (6.12 dies of a breakpoint that is gone). */
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	pid = task_start(W.a_fd, -1, storm_fn, NULL);
	for (int i = 0; i < 2; i++) {
		struct kernel *next;

		need(kernel_open(&at, &next, why, sizeof(why)), why);
		assert_null(kernel_no_guard(next));
		W.k = kernel_free(W.k);
		W.k = next;
	}
	__atomic_store_n((int *)said->text, stop, __ATOMIC_RELEASE);
	assert_int_equal(task_wait(pid), 0);
	assert_true(said->n > 10);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* The descriptor that holds the link of this program becomes another file's. */
static void link_drop(const char *program)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), dropped = 0;

	for (int fd = 3; fd < 1024; fd++) {
		struct bpf_link_info link = { 0 };
		struct bpf_prog_info prog = { 0 };
		__u32 len = sizeof(link);
		char path[32], target[32] = "";
		int of;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "bpf") ||
		    !strstr(target, "link") || bpf_obj_get_info_by_fd(fd, &link, &len))
			continue;
		of = bpf_prog_get_fd_by_id(link.prog_id);
		len = sizeof(prog);
		assert_true(of >= 0);
		need(bpf_obj_get_info_by_fd(of, &prog, &len), "info");
		close(of);
		if (strcmp(prog.name, program) == 0) {
			assert_int_equal(dup2(null, fd), fd);
			dropped++;
		}
	}
	close(null);
	assert_int_equal(dropped, 1);
}

static int trial(trial_fn fn, char *why, size_t n)
{
	struct trial t;
	int r;

	need(kernel_guard_own(W.k, &W.cg), "own");
	need(trial_open(W.k, &W.cg, &t, why, n), why);
	r = fn(&t, why, n);
	trial_close(&t);
	return r;
}

/* Each program is needed: without it the trial says which act went through. */
static void test_trial(void **state)
{
	static const struct {
		const char *program;
		trial_fn fn;
		const char *says;
	} rows[] = {
		{ "egret_family", trial_lsm, "socket()" },
		{ "egret_passed", trial_lsm, "receiving" },
		{ "egret_dial", trial_lsm, "connect() of a socket" },
		{ "egret_send", trial_lsm, "sendto() on a socket" },
		{ "egret_own_bpf", trial_lsm, "bpf()" },
		{ "egret_own_kill", trial_lsm, "a signal" },
		{ "egret_unix", trial_unix, "connect() to a UNIX" },
		{ "egret_unix_send", trial_unix, "sendto() to a UNIX" },
	};
	uint64_t before[EGRET_R_MAX], after[EGRET_R_MAX];
	struct kernel_where at = where(&W);
	char why[320] = "", path[128];
	int r = 0;
	(void)state;

	need(kernel_refused(W.k, before), "counters");
	need(trial(trial_lsm, why, sizeof(why)), why);
	need(trial(trial_unix, why, sizeof(why)), why);
	/* Nobody's news. */
	need(kernel_refused(W.k, after), "counters");
	assert_memory_equal(before, after, sizeof(before));
	/* From the last to the first: the act whose program is gone is the first that goes through.
	 */
	for (size_t i = ARRAY_SIZE(rows); i-- > 0;) {
		snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/link_%s", W.instance,
			 EGRET_ABI, rows[i].program);
		assert_int_equal(unlink(path), 0);
		link_drop(rows[i].program);
		/* The kernel lets go of it when it comes to it. */
		for (int n = 0; n < 100; n++) {
			r = trial(rows[i].fn, why, sizeof(why));
			if (r && strncmp(why, rows[i].says, strlen(rows[i].says)) == 0)
				break;
			usleep(20000);
		}
		assert_int_equal(r, -EPERM);
		assert_ptr_equal(strstr(why, rows[i].says), why);
	}
	/* The next egretd puts them all back. */
	W.k = kernel_free(W.k);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	need(trial(trial_lsm, why, sizeof(why)), why);
	need(trial(trial_unix, why, sizeof(why)), why);
}

/* Loaded, attached and never called: the trial is not taken in. */
static void test_asleep(void **state)
{
	char why[320] = "";
	(void)state;

	assert_null(kernel_no_guard(W.k));
	assert_int_equal(trial(trial_lsm, why, sizeof(why)), -ENOTSUP);
	assert_non_null(strstr(why, "never calls them"));
	assert_int_equal(trial(trial_unix, why, sizeof(why)), -ENOTSUP);
}

/* Not loaded: said, and the other walls are there. */
static void test_absent(void **state)
{
	static struct family raw = { AF_INET, SOCK_RAW, IPPROTO_RAW, false };
	char why[320] = "";
	(void)state;

	assert_non_null(kernel_no_guard(W.k));
	assert_int_equal(trial(trial_lsm, why, sizeof(why)), -ENOTSUP);
	assert_string_equal(why, kernel_no_guard(W.k));
	assert_int_equal(trial(trial_unix, why, sizeof(why)), -ENOTSUP);
	refused_in(W.a_fd, family_fn, &raw, EGRET_R_FAMILY);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(test_exchange),
					  cmocka_unit_test(test_trial) };
	const struct CMUnitTest asleep[] = { cmocka_unit_test(test_asleep) };
	const struct CMUnitTest absent[] = { cmocka_unit_test(test_absent) };
	char why[160] = "";

	if (kernel_guard_probe(why, sizeof(why)) < 0)
		return cmocka_run_group_tests(absent, world_open, world_close);
	if (!is_called())
		return cmocka_run_group_tests(asleep, world_open, world_close);
	return cmocka_run_group_tests(all, world_open, world_close);
}

int main(void)
{
	return kept(tests);
}
