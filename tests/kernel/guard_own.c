/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LSM tier: egret's own programs, maps, pins and processes, and the cgroup that a confined job
 * does not leave. Each act first goes through for a task that egret does not govern.
 */
#include "kernel/guard.h"
#include <linux/bpf.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <cap-ng.h>

static int bpf_call(int cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	if (r >= 0 && cmd != BPF_PROG_GET_NEXT_ID)
		close((int)r);
	return ok(r);
}

static int next_fn(void *arg)
{
	(void)arg;
	return bpf_call(BPF_PROG_GET_NEXT_ID, &(union bpf_attr){ .start_id = 0 });
}

static int pin_fn(void *arg)
{
	return bpf_call(BPF_OBJ_GET, &(union bpf_attr){ .pathname = (uintptr_t)arg });
}

static int load_fn(void *arg)
{
	static const struct bpf_insn none[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K },
						{ .code = BPF_JMP | BPF_EXIT } };

	return bpf_call(BPF_PROG_LOAD, &(union bpf_attr){ .prog_type = *(unsigned *)arg,
							  .insn_cnt = 2,
							  .insns = (uintptr_t)none,
							  .license = (uintptr_t) "GPL" });
}

/* An engine inside a job makes rules for devices, and nothing else. */
static void test_bpf(void **state)
{
	static unsigned device = BPF_PROG_TYPE_CGROUP_DEVICE, filter = BPF_PROG_TYPE_SOCKET_FILTER;
	char map[128];
	(void)state;

	snprintf(map, sizeof(map), "/sys/fs/bpf/egret/%s/v%d/egret_cgroups", W.instance, EGRET_ABI);
	flags_a(READY);
	refused_in(W.a_fd, next_fn, NULL, EGRET_R_GUARD);
	refused_in(W.a_fd, pin_fn, map, EGRET_R_GUARD);
	refused_in(W.none_fd, pin_fn, map, EGRET_R_GUARD);
	refused_in(W.a_fd, load_fn, &filter, EGRET_R_GUARD);
	allowed_in(W.a_fd, load_fn, &device);
	allowed_in(W.none_fd, load_fn, &device);
	flags_a(CONFINED);
	refused_in(W.a_fd, load_fn, &device, EGRET_R_GUARD);
}

static int pause_fn(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

static int kill_fn(void *arg)
{
	return ok(kill(*(pid_t *)arg, 0));
}

static int trace_fn(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	int r = ok(ptrace(PTRACE_SEIZE, pid, 0, 0));

	if (r == 0)
		ptrace(PTRACE_DETACH, pid, 0, 0);
	return r;
}

static int memory_fn(void *arg)
{
	char path[64];

	char byte;
	int fd;

	/* Newer kernels let who may watch the whole machine read any memory: no confined job may.
	 */
	capng_get_caps_process();
	capng_updatev(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_PERFMON, CAP_SYS_ADMIN,
		      -1);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return EIO;
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)*(pid_t *)arg);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* Newer kernels ask at the reading. */
	return fd >= 0 && read(fd, &byte, 1) >= 0 ? 0 : EPERM;
}

static void ended(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_processes(void **state)
{
	uint64_t before;
	pid_t pid;
	(void)state;

	flags_a(READY);
	need(kernel_guard_own(W.k, &W.cg), "own");
	/* A process of egret's, one of another job, the test itself: egretd's own cgroup. */
	pid = task_start(W.cg.work, -1, pause_fn, NULL);
	refused_in(W.a_fd, kill_fn, &pid, EGRET_R_GUARD);
	refused_in(W.none_fd, kill_fn, &pid, EGRET_R_GUARD);
	refused_in(W.a_fd, trace_fn, &pid, EGRET_R_GUARD);
	before = refused(EGRET_R_GUARD);
	assert_int_equal(task_run(-1, -1, memory_fn, &pid), 0);
	assert_int_equal(task_run(W.a_fd, -1, memory_fn, &pid), EPERM);
	assert_int_equal(refused(EGRET_R_GUARD), before); /* looking is no news */
	ended(pid);
	pid = getpid();
	refused_in(W.a_fd, kill_fn, &pid, EGRET_R_GUARD);
	pid = task_start(W.b_fd, -1, pause_fn, NULL);
	allowed_in(W.a_fd, kill_fn, &pid);
	ended(pid);
}

static int enter_fn(void *arg)
{
	return -cgroup_add(*(int *)arg, 0);
}

static int born_fn(void *arg)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
				   .exit_signal = SIGCHLD,
				   .cgroup = (uint64_t) * (int *)arg };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return ok(pid);
}

static void test_cgroups(void **state)
{
	int below, root = W.cg.root;
	(void)state;

	need(cgroup_make(W.a_fd, "below", &below, NULL), "cgroup");
	flags_a(CONFINED);
	refused_in(W.a_fd, enter_fn, &root, EGRET_R_GUARD);
	refused_in(W.a_fd, enter_fn, &W.none_fd, EGRET_R_GUARD);
	refused_in(W.a_fd, enter_fn, &W.b_fd, EGRET_R_GUARD);
	refused_in(W.a_fd, born_fn, &root, EGRET_R_GUARD);
	allowed_in(W.a_fd, enter_fn, &below);
	flags_a(READY);
	allowed_in(W.a_fd, enter_fn, &W.none_fd);
	allowed_in(W.a_fd, born_fn, &W.none_fd);
	close(below);
	need(cgroup_remove(W.a_fd, "below"), "remove");
}

static int umount_fn(void *arg)
{
	return ok(umount2(arg, 0));
}

static int cover_fn(void *arg)
{
	return ok(mount("none", arg, "tmpfs", 0, NULL));
}

static int rmdir_fn(void *arg)
{
	return ok(rmdir(arg));
}

static int rename_fn(void *arg)
{
	char to[80];

	snprintf(to, sizeof(to), "%s-new", (char *)arg);
	return ok(rename(arg, to)) ?: ok(rename(to, arg));
}

static void test_pins(void **state)
{
	char dir[80];
	(void)state;

	flags_a(READY);
	need(kernel_hold_beat(W.k), "beat"); /* which mount namespace is the host's */
	snprintf(dir, sizeof(dir), "/sys/fs/bpf/egret-guard-%d", (int)getpid());
	assert_int_equal(mkdir(dir, 0700), 0);
	refused_in(W.a_fd, rename_fn, dir, EGRET_R_GUARD);
	assert_int_equal(task_run(W.a_fd, -1, rmdir_fn, dir), EPERM);
	assert_int_equal(task_run(-1, -1, rmdir_fn, dir), 0);
	/* A bpffs of the test's own, mounted where the host mounts. */
	snprintf(dir, sizeof(dir), "/tmp/egret-guard-%d", (int)getpid());
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mount("bpf", dir, "bpf", 0, NULL), 0);
	assert_int_equal(task_run(W.a_fd, -1, cover_fn, dir), EPERM);
	assert_int_equal(task_run(-1, -1, cover_fn, dir), 0);
	assert_int_equal(umount2(dir, 0), 0);
	assert_int_equal(task_run(W.a_fd, -1, umount_fn, dir), EPERM);
	assert_int_equal(task_run(-1, -1, umount_fn, dir), 0);
	assert_int_equal(rmdir(dir), 0);
}

static int all(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_bpf),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_cgroups),
		cmocka_unit_test(test_pins),
	};

	return cmocka_run_group_tests(all, world_open, world_close);
}

static int tests(void)
{
	return guarded(all);
}

int main(void)
{
	return kept(tests);
}
