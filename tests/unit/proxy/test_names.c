// SPDX-License-Identifier: Apache-2.0
/* Synthetic addresses: one name one address for ever, also over a restart, and nothing is guessed.
 */
#include "proxy/names.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static struct names *make(const char *v4, size_t max, int fd)
{
	struct address_block b4, b6;
	struct names *n;

	assert_int_equal(address_block_parse(str_of(v4), &b4), 0);
	assert_int_equal(address_block_parse(STR("fd5e:9e7::/64"), &b6), 0);
	assert_int_equal(names_new(&b4, &b6, max, fd, &n), 0);
	return n;
}

static void addr4(const struct names *n, uint32_t slot, uint8_t ret[16])
{
	memcpy(ret, mapped, 12);
	names_addr4(n, slot, ret + 12);
}

static void round_trip(void **state)
{
	struct names *n = make("198.18.0.0/15", 131072, -1);
	uint8_t a[16], b[16];
	uint32_t slot, again;
	struct str back;
	char name[64];
	bool fresh;

	for (int i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "h%d.shop.test", i);
		assert_int_equal(names_add(n, str_of(name), &slot, &fresh), 0);
		assert_true(fresh);
		assert_int_equal(slot, i);
		addr4(n, slot, a);
		assert_true(names_owns(n, a));
		assert_true(a[15] != 0 && a[15] != 255);
		assert_false(a[13] == 18 && a[14] == 0);
		assert_int_equal(names_of(n, a, &back), 0);
		assert_true(str_is(back, name));
		names_addr6(n, slot, b);
		assert_true(names_owns(n, b));
		assert_int_equal(names_of(n, b, &back), 0);
		assert_true(str_is(back, name));
	}
	assert_int_equal(names_add(n, STR("h7.shop.test"), &again, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(again, 7);
	/* Never handed out: next slot, the edges of the range, the odd v6. */
	addr4(n, 30000, a);
	assert_int_equal(names_of(n, a, &back), -ENOENT);
	memcpy(a + 12, "\xc6\x12\0\1", 4);
	assert_int_equal(names_of(n, a, &back), -ENOENT);
	memcpy(a + 12, "\xc6\x12\1\0", 4);
	assert_int_equal(names_of(n, a, &back), -ENOENT);
	memcpy(a + 12, "\xc6\x12\1\xff", 4);
	assert_int_equal(names_of(n, a, &back), -ENOENT);
	memcpy(a + 12, "\xc6\x13\xff\xfe", 4);
	assert_int_equal(names_of(n, a, &back), -ENOENT);
	names_addr6(n, 5, b);
	b[11] = 1;
	assert_true(names_owns(n, b));
	assert_int_equal(names_of(n, b, &back), -ENOENT);
	memset(b + 8, 0, 8);
	b[15] = 1;
	assert_int_equal(names_of(n, b, &back), -ENOENT);
	memcpy(a + 12, "\xc6\x33\x64\7", 4);
	assert_false(names_owns(n, a));
	names_free(n);
}

static void bounds(void **state)
{
	struct names *n = make("198.18.0.0/15", 2, -1);
	struct address_block b4, b6;
	uint32_t slot;
	bool fresh;

	assert_int_equal(names_add(n, STR("a.test"), &slot, &fresh), 0);
	assert_int_equal(names_add(n, STR("b.test"), &slot, &fresh), 0);
	assert_int_equal(names_add(n, STR("c.test"), &slot, &fresh), -ENOSPC);
	assert_int_equal(names_add(n, STR("a.test"), &slot, &fresh), 0);
	names_free(n);
	/* A /24 has 254 places. */
	n = make("198.18.7.0/24", 1000, -1);
	for (int i = 0; i < 254; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d.test", i);
		assert_int_equal(names_add(n, str_of(name), &slot, &fresh), 0);
	}
	assert_int_equal(names_add(n, STR("c.test"), &slot, &fresh), -ENOSPC);
	names_free(n);
	assert_int_equal(address_block_parse(STR("198.18.0.0/25"), &b4), 0);
	assert_int_equal(address_block_parse(STR("fd5e:9e7::/64"), &b6), 0);
	assert_int_equal(names_new(&b4, &b6, 10, -1, &n), -EINVAL);
}

static void restart(void **state)
{
	int fd = memfd_create("names", MFD_CLOEXEC);
	struct names *n = make("198.18.0.0/15", 100, dup(fd));
	uint8_t a[16], torn[256] = { 0 };
	uint32_t slot;
	struct str back;
	bool fresh;

	assert_int_equal(names_add(n, STR("a.test"), &slot, &fresh), 0);
	assert_int_equal(names_add(n, STR("b.test"), &slot, &fresh), 0);
	names_free(n);
	/* Half an entry, as a killed writer could leave it, and a hostile one: both keep their slot
	 * and name nothing. */
	torn[0] = 200;
	assert_int_equal(pwrite(fd, torn, 256, 512), 256);
	memcpy(torn, "\6A.TEST", 7);
	assert_int_equal(pwrite(fd, torn, 256, 768), 256);
	memcpy(torn, "\6a.test", 7); /* a name that was already given */
	assert_int_equal(pwrite(fd, torn, 256, 1024), 256);
	assert_int_equal(pwrite(fd, "\6c.t", 4, 1280), 4);

	n = make("198.18.0.0/15", 100, dup(fd));
	assert_int_equal(names_add(n, STR("b.test"), &slot, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(slot, 1);
	for (uint32_t i = 2; i < 6; i++) {
		addr4(n, i, a);
		assert_int_equal(names_of(n, a, &back), -ENOENT);
	}
	assert_int_equal(names_add(n, STR("d.test"), &slot, &fresh), 0);
	assert_int_equal(slot, 6);
	names_free(n);
	n = make("198.18.0.0/15", 100, dup(fd));
	addr4(n, 6, a);
	assert_int_equal(names_of(n, a, &back), 0);
	assert_true(str_is(back, "d.test"));
	names_free(n);
	/* What cannot be written down is not handed out. */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), -1); /* made without sealing */
	close(fd);
	fd = memfd_create("names", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	n = make("198.18.0.0/15", 100, fd);
	assert_true(names_add(n, STR("e.test"), &slot, &fresh) < 0);
	assert_int_equal(names_find(n, STR("e.test"), &slot), -ENOENT);
	names_free(n);
}

static void marks(void **state)
{
	struct names *n = make("198.18.0.0/15", 10, -1);
	uint32_t slot;
	bool fresh;

	assert_int_equal(names_add(n, STR("a.test"), &slot, &fresh), 0);
	assert_false(names_marked(n, slot));
	names_mark(n, slot);
	assert_true(names_marked(n, slot));
	assert_false(names_marked(n, 7));
	names_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(round_trip), cmocka_unit_test(bounds),
					    cmocka_unit_test(restart), cmocka_unit_test(marks) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
