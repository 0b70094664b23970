/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is on the other end of the control socket (egretd/authority.h): one who has ended is nobody,
 * also when root's next process on the host has the number. Loads no kernel program.
 */
#include "kernel/harness.h"
#include "egretd/authority.h"
#include <sys/un.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static struct daemon D;

/* Connects and stays, or ends when it is killed; with a number of our choice (0: any). */
static pid_t process_as(pid_t number, const struct sockaddr_un *to, socklen_t len)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = number ? (uint64_t)(uintptr_t)&number : 0,
				   .set_tid_size = number ? 1 : 0 };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	int fd;

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = to ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	if (to && connect(fd, (const void *)to, len) < 0)
		_exit(1);
	pause();
	_exit(0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_number_again(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(at);
	struct caller c;
	char why[128] = "";
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, r = -EEXIST, known;
	pid_t was = 0, is = -1;
	(void)state;

	/* A name of the kernel's choice. */
	assert_int_equal(bind(s, (void *)&at, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(s, (void *)&at, &len), 0);
	assert_int_equal(listen(s, 4), 0);
	/* Others make processes too: one of them may have the number first. */
	for (int i = 0; i < 20 && is < 0; i++) {
		was = process_as(0, &at, len);
		assert_true(was > 0);
		fd = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		assert_true(fd >= 0);
		r = caller_of(&D, fd, &c, why, sizeof(why));
		need(r, why);
		assert_int_equal(c.pid, was);
		caller_done(&c);
		end(was);
		is = process_as(was, NULL, 0);
		if (is < 0)
			close(fd);
	}
	assert_int_equal(is, was);
	len = sizeof(int);
	known = getsockopt(s, SOL_SOCKET, SO_PEERPIDFD, &(int){ 0 }, &len) == 0 ||
		errno != ENOPROTOOPT;
	r = caller_of(&D, fd, &c, why, sizeof(why));
	if (r == 0)
		caller_done(&c);
	end(is);
	/* Before Linux 6.5 nobody can say whose number it was (docs/threat-model.md). */
	assert_int_equal(r, known ? -ESRCH : 0);
	if (known)
		assert_string_equal(why, "the caller has ended");
	close(fd);
	close(s);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(test_number_again) };
	char why[256] = "";
	int r = cgroups_open(W.instance, NULL, &D.cg, why, sizeof(why));

	need(r, why);
	r = cmocka_run_group_tests(all, NULL, NULL);
	cgroups_close(&D.cg);
	return r;
}

int main(void)
{
	return kept(tests);
}
