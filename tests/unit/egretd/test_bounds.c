/* SPDX-License-Identifier: Apache-2.0 */
/* Who could open packet sockets, by the text of /proc/PID/status; and the words of walls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "egretd/bounds.h"
#include "egretd/walls.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RAW (1ull << 13)
#define ADMIN (1ull << 12)
#define SYS (1ull << 21)
#define CHOWN 1ull

static bool loose(const char *name, const char *state, unsigned long long inh,
		  unsigned long long prm, unsigned long long bnd, int still)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "Name:\t%s\nUmask:\t0022\nState:\t%s\nCapInh:\t%016llx\nCapPrm:\t%016llx\n"
		 "CapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\nNoNewPrivs:\t%d\n",
		 name, state, inh, prm, prm, bnd, 0ull, still);
	return bounds_loose(text);
}

static void test_table(void **state)
{
	static const struct {
		unsigned long long inh, prm, bnd;
		int still;
		bool loose;
	} rows[] = {
		{ 0, 0, 0, 0, false },
		{ 0, 0, ~0ull, 0, true }, /* sudo would give it */
		{ 0, 0, RAW, 0, true },
		{ 0, 0, ADMIN, 0, true },
		{ 0, 0, SYS, 0, true },
		{ 0, 0, CHOWN, 0, false },
		{ 0, 0, ~(RAW | ADMIN | SYS), 0, false },
		{ 0, 0, ~0ull, 1, false }, /* nothing that it executes gives it anything */
		{ 0, RAW, ~0ull, 1, true },
		{ 0, RAW, 0, 1, true }, /* what it has it keeps */
		{ RAW, 0, 0, 1, true },
		{ CHOWN, CHOWN, CHOWN, 0, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(loose("sh", "S (sleeping)", rows[i].inh, rows[i].prm, rows[i].bnd,
				       rows[i].still),
				 rows[i].loose);
}

static void test_names_say_nothing(void **state)
{
	(void)state;
	/* The kernel escapes a newline in a name. */
	assert_true(loose("a\\nCapBnd:\\t0", "R (running)", 0, 0, ~0ull, 0));
	assert_true(loose("State:\tZ", "R (running)", 0, 0, ~0ull, 0));
	assert_true(loose("Z", "R (running)", 0, 0, ~0ull, 0));
	assert_false(loose("sh", "Z (zombie)", 0, ~0ull, ~0ull, 0));
	assert_true(bounds_loose(""));
	assert_true(bounds_loose("Name:\tsh\nCapBnd:\t0000000000000000\n"));
	assert_true(bounds_loose("\nCapInh:\tx\nCapPrm:\t0\nCapBnd:\t0\nNoNewPrivs:\t1\n"));
}

static void test_words(void **state)
{
	static const char *const names[WALLS] = { "turn", "sockets", "packets", "cage",
						  "tc",	  "lsm",     "unix" };
	enum wall w = WALLS;
	(void)state;

	for (int i = 0; i < WALLS; i++) {
		assert_string_equal(wall_name((enum wall)i), names[i]);
		assert_true(wall_of_name(str_of(names[i]), &w));
		assert_int_equal(w, i);
	}
	w = WALLS;
	assert_false(wall_of_name(STR("netns"), &w));
	assert_false(wall_of_name(STR(""), &w));
	assert_false(wall_of_name(STR("tcp"), &w));
	assert_int_equal(w, WALLS);
}

/* bounds_process() of one that has made these namespaces; 1: it cannot make them here. */
static int apart(int namespaces)
{
	char why[512] = "";
	int ready[2], err = 0, r;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		err = unshare(namespaces) < 0 ? errno : 0;
		if (write(ready[1], &err, sizeof(err)) != sizeof(err))
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &err, sizeof(err)), sizeof(err));
	r = bounds_process(pid, why, sizeof(why));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	return err ? 1 : r;
}

/* What a process has in a user namespace of its own counts nothing on the host's network. */
static void test_user_namespace(void **state)
{
	int r = apart(CLONE_NEWUSER);
	(void)state;

	if (r == 1)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(apart(CLONE_NEWUSER | CLONE_NEWNET), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_names_say_nothing),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_user_namespace),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
