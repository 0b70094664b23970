/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for a trie in which only the longest prefix is found: held against asking every block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/blocks.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct block four(unsigned last, unsigned prefix, uint16_t lo, uint16_t hi)
{
	struct block b = { .addr = { [10] = 0xff, [11] = 0xff, 10, 0, 5, (uint8_t)last },
			   .prefix = (uint8_t)(96 + prefix),
			   .port_lo = lo,
			   .port_hi = hi };

	return b;
}

static bool in_block(const uint8_t addr[16], const uint8_t block[16], unsigned prefix)
{
	for (unsigned i = 0; i < prefix; i++)
		if ((addr[i / 8] ^ block[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

/* As the kernel asks: the first row that holds the address, since the longest come first. */
static bool by_rows(const struct block_row *rows, size_t n, const uint8_t addr[16], unsigned port,
		    bool udp)
{
	for (size_t i = 0; i < n; i++) {
		if (!in_block(addr, rows[i].addr, rows[i].prefix))
			continue;
		for (size_t k = 0; k < BLOCK_RANGES; k++)
			if (rows[i].range[k].hi && port >= rows[i].range[k].lo &&
			    port <= rows[i].range[k].hi && (rows[i].range[k].flags & 1) == udp)
				return true;
		return false;
	}
	return false;
}

static bool by_blocks(const struct block *all, size_t n, const uint8_t addr[16], unsigned port,
		      bool udp)
{
	bool allow = false;

	for (size_t i = 0; i < n; i++) {
		if (!in_block(addr, all[i].addr, all[i].prefix) || port < all[i].port_lo ||
		    port > all[i].port_hi || (all[i].flags & 1) != udp)
			continue;
		if (all[i].deny)
			return false;
		allow = true;
	}
	return allow;
}

/* What is compared is the same in each round; the sanitizers look at memory, and take ten times as
 * long. */
#ifdef EGRET_ASAN
#define ROUNDS 100
#else
#define ROUNDS 3000
#endif

static void test_against_all(void **state)
{
	unsigned held = 0, wide = 0;
	(void)state;

	srandom(5);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct block all[12], *list = all;
		struct block_row *rows = NULL;
		size_t n = 1 + (size_t)random() % 12, nrows = 0, at = 99;
		int r;

		for (size_t i = 0; i < n; i++) {
			uint16_t lo = (uint16_t)(1 + random() % 20);

			all[i] = four((unsigned)random() % 16, 26 + (unsigned)random() % 7, lo,
				      (uint16_t)(lo + random() % 8));
			all[i].deny = random() % 3 == 0;
			all[i].flags = random() % 4 == 0;
		}
		r = block_rows(list, n, &rows, &nrows, &at);
		if (r == -E2BIG) {
			assert_true(at < n);
			wide++;
			continue;
		}
		assert_int_equal(r, 0);
		for (size_t i = 1; i < nrows; i++)
			assert_true(block_row_cmp(&rows[i - 1], &rows[i]) < 0);
		for (unsigned last = 0; last < 70; last++) {
			struct block a = four(last, 32, 1, 1);

			for (unsigned port = 0; port < 32; port++) {
				for (unsigned udp = 0; udp < 2; udp++) {
					bool want = by_blocks(all, n, a.addr, port, udp);

					assert_int_equal(by_rows(rows, nrows, a.addr, port, udp),
							 want);
					held += want;
				}
			}
		}
		free(rows);
	}
	printf("# %u allowed, %u lists too wide\n", held, wide);
	assert_true(held > 30 * ROUNDS);
}

/* What stands where. */
static void test_rows(void **state)
{
	struct block list[] = { four(0, 24, 5000, 6000), four(9, 32, 443, 443),
				four(9, 32, 5432, 5432), four(8, 29, 6001, 6010),
				four(77, 32, 1, 2) };
	struct block_row *rows = NULL;
	size_t n = 0, at = 0;
	(void)state;

	list[2].deny = true;
	list[4].deny = true;
	list[4].addr[12] = 11; /* nothing allows it: no row */
	assert_int_equal(block_rows(list, 5, &rows, &n, &at), 0);
	assert_int_equal(n, 3);
	assert_int_equal(rows[0].prefix, 128);
	assert_int_equal(rows[1].prefix, 125);
	assert_int_equal(rows[2].prefix, 120);
	assert_int_equal(rows[0].range[0].lo, 443);
	assert_int_equal(rows[0].range[0].hi, 443);
	assert_int_equal(rows[0].range[1].lo, 5000);
	assert_int_equal(rows[0].range[1].hi, 5431);
	assert_int_equal(rows[0].range[2].lo, 5433);
	assert_int_equal(rows[0].range[2].hi, 6010); /* joined with its neighbour */
	assert_int_equal(rows[0].range[3].hi, 0);
	assert_int_equal(rows[2].range[0].hi, 6000);
	free(rows);
	/* Unlike flags stay apart. */
	list[0] = four(0, 24, 80, 90);
	list[1] = four(0, 24, 85, 95);
	list[1].flags = 2;
	assert_int_equal(block_rows(list, 2, &rows, &n, &at), 0);
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].range[0].hi, 90);
	assert_int_equal(rows[0].range[1].flags, 2);
	free(rows);
	rows = NULL;
	assert_int_equal(block_rows(NULL, 0, &rows, &n, &at), 0);
	assert_int_equal(n, 0);
	free(rows);
}

static void test_bounds(void **state)
{
	struct block many[9], bad = four(1, 32, 5, 4);
	struct block_row *rows = NULL;
	size_t n = 7, at = 7;
	(void)state;

	assert_int_equal(block_rows(&bad, 1, &rows, &n, &at), -EINVAL);
	bad = four(1, 32, 0, 0);
	assert_int_equal(block_rows(&bad, 1, &rows, &n, &at), -EINVAL);
	bad = four(1, 33, 1, 1);
	assert_int_equal(block_rows(&bad, 1, &rows, &n, &at), -EINVAL);
	for (unsigned i = 0; i < 9; i++)
		many[i] = four(i < 8 ? 0 : 3, i < 8 ? 24 : 32, (uint16_t)(10 + 2 * i),
			       (uint16_t)(10 + 2 * i));
	assert_int_equal(block_rows(many, 9, &rows, &n, &at), -E2BIG);
	assert_int_equal(at, 8);
	assert_true(n == 7 && !rows);
	assert_int_equal(block_rows(many, 8, &rows, &n, &at), 0);
	free(rows);
	/* To the last port, and all of them. */
	many[0] = four(0, 24, 1, 65535);
	many[1] = four(0, 32, 65535, 65535);
	many[1].deny = true;
	assert_int_equal(block_rows(many, 2, &rows, &n, &at), 0);
	assert_int_equal(rows[0].range[0].hi, 65534);
	assert_int_equal(rows[0].range[1].hi, 0);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_against_all),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, NULL, NULL);
}
