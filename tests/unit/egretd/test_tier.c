/* SPDX-License-Identifier: Apache-2.0 */
/* Who a line of sudoers or doas.conf gives something to: all the forms in which one can be named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "egretd/tier.h"

static bool names(const char *text)
{
	static const struct tier_user u = {
		.uid = 61234, .gid = 61234, .groups = { 0, 61999 }, .n = 2, .name = "runner"
	};
	char line[256];

	snprintf(line, sizeof(line), "%s", text);
	return tier_sudoers_line(line, &u);
}

static void test_named(void **state)
{
	(void)state;
	assert_true(names("runner ALL=(ALL) NOPASSWD: ALL\n"));
	assert_true(names("\truner2,runner ALL = ALL"));
	assert_true(names("ALL ALL=(ALL) /usr/bin/true"));
	assert_true(names("#61234 ALL=(ALL) ALL"));
	assert_true(names("%root ALL=(ALL) ALL"));
	assert_true(names("%#61999 ALL=(ALL) ALL"));
	assert_true(names("User_Alias ADMINS = alice, runner"));
	assert_true(names("\"runner\" ALL=ALL"));
	assert_true(names("permit nopass runner as root"));
	assert_true(names("permit nopass :root"));
}

static void test_others(void **state)
{
	(void)state;
	assert_false(names("alice ALL=(ALL) NOPASSWD: ALL"));
	assert_false(names("alice ALL=(runner) NOPASSWD: ALL"));
	assert_false(names("# runner ALL=(ALL) ALL"));
	assert_false(names("#61235 ALL=(ALL) ALL"));
	assert_false(names("%#61998 ALL=(ALL) ALL"));
	assert_false(names("%nosuchgroup-x ALL=(ALL) ALL"));
	assert_false(names("Defaults:runner !requiretty"));
	assert_false(names("deny runner"));
	assert_false(names(""));
}

int main(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(test_named),
					  cmocka_unit_test(test_others) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, NULL, NULL);
}
