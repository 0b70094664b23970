/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of leases: cut at every byte it loses nothing that was used, damaged at any byte it
 * is refused and put aside, and records cannot be taken out, exchanged or brought from another
 * file.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/proto.h"
#include "broker/journal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORDS 6

static char dir[] = "/tmp/egret-test-journal-XXXXXX";
static int dir_fd = -1;
static uint8_t whole[65536];
static size_t whole_n, ends[RECORDS + 1]; /* of the head, of each record */
static unsigned seen;

static void count(void *owner, const struct msg_in *m)
{
	struct str id;

	assert_int_equal(m->type, JOURNAL_LEASE);
	assert_int_equal(msg_get(m, TAG_LEASE, &id), 0);
	assert_int_equal(id.n, seen + 1);
	seen++;
}

static int key_of(struct journal *j)
{
	j->dir = dir_fd;
	j->fd = -1;
	return secret_dup("0123456789abcdef0123456789abcdef", 32, &j->key);
}

static void put_file(const void *p, size_t n)
{
	int fd = openat(dir_fd, JOURNAL_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static size_t get_file(uint8_t *to, size_t size)
{
	int fd = openat(dir_fd, JOURNAL_NAME, O_RDONLY);
	ssize_t n = read(fd, to, size);

	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static int append(struct journal *j, unsigned length)
{
	struct msg_out m;

	msg_begin(&m, JOURNAL_LEASE, 0);
	msg_put(&m, TAG_LEASE, "LLLLLLLLLLLLLLLL", length);
	return journal_append(j, &m);
}

static enum journal_found reopen(struct journal *j)
{
	enum journal_found found = JOURNAL_GOOD;
	char why[256];

	*j = (struct journal){ 0 };
	assert_int_equal(key_of(j), 0);
	seen = 0;
	assert_int_equal(journal_open(j, count, NULL, &found, why, sizeof(why)), 0);
	return found;
}

static int set_up(void **state)
{
	struct journal j = { 0 };
	struct stat st;

	if (!mkdtemp(dir) || secret_arena_init(1 << 20) < 0)
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (reopen(&j) != JOURNAL_GOOD)
		return -1;
	for (unsigned i = 0; i < RECORDS; i++) {
		assert_int_equal(append(&j, i + 1), 0);
		assert_int_equal(fstat(j.fd, &st), 0);
		if (i == 0)
			ends[0] = 24;
		ends[i + 1] = (size_t)st.st_size;
	}
	assert_int_equal(journal_sync(&j), 0);
	journal_done(&j);
	whole_n = get_file(whole, sizeof(whole));
	return whole_n == ends[RECORDS] ? 0 : -1;
}

static int tear_down(void **state)
{
	unlinkat(dir_fd, JOURNAL_NAME, 0);
	unlinkat(dir_fd, JOURNAL_DAMAGED, 0);
	close(dir_fd);
	return rmdir(dir);
}

static unsigned whole_records(size_t n)
{
	unsigned r = 0;

	while (r < RECORDS && ends[r + 1] <= n)
		r++;
	return r;
}

/* A crash leaves any part of what was written last; also with nothing but zeros behind it. */
static void test_cut(void **state)
{
	uint8_t bytes[sizeof(whole)];
	struct journal j;

	for (size_t cut = 0; cut <= whole_n; cut++) {
		for (unsigned zeros = 0; zeros <= 96; zeros += 48) {
			size_t good = cut;
			unsigned want;
			bool at_end;

			/* What was cut off may have been zeros. */
			while (good < cut + zeros && good < whole_n && !whole[good])
				good++;
			want = whole_records(good);
			at_end = cut + zeros == ends[want] && cut + zeros >= ends[0];
			memcpy(bytes, whole, cut);
			memset(bytes + cut, 0, zeros);
			put_file(bytes, cut + zeros);
			if (reopen(&j) != (at_end ? JOURNAL_GOOD : JOURNAL_TORN))
				fail_msg("cut at %zu, %u zeros", cut, zeros);
			assert_int_equal(seen, want);
			/* And goes on there. */
			assert_int_equal(append(&j, want + 1), 0);
			journal_done(&j);
			assert_int_equal(reopen(&j), JOURNAL_GOOD);
			assert_int_equal(seen, want + 1);
			journal_done(&j);
		}
	}
}

/* One bit anywhere: what stands before it counts, and never more. */
static void test_damage(void **state)
{
	uint8_t bytes[sizeof(whole)];
	struct journal j;
	struct stat st;

	for (size_t at = 0; at < whole_n; at++) {
		unsigned before = whole_records(at);
		enum journal_found found;

		memcpy(bytes, whole, whole_n);
		bytes[at] ^= 1;
		put_file(bytes, whole_n);
		unlinkat(dir_fd, JOURNAL_DAMAGED, 0);
		found = reopen(&j);
		/* The file's own number is bound to the first record. */
		if (at >= ends[0])
			assert_int_equal(seen, before);
		else
			assert_int_equal(seen, 0);
		/* Of the last record it cannot be told from one that was not written whole. */
		if (at < ends[RECORDS - 1]) {
			if (found != JOURNAL_BAD)
				fail_msg("byte %zu", at);
			assert_int_equal(fstatat(dir_fd, JOURNAL_DAMAGED, &st, 0), 0);
			assert_int_equal(st.st_size, whole_n);
			assert_int_not_equal(fstatat(dir_fd, JOURNAL_NAME, &st, 0), 0);
		}
		journal_done(&j);
	}
}

/* Records taken out of the middle, exchanged, said twice. */
static void test_moved(void **state)
{
	uint8_t bytes[sizeof(whole)];
	struct journal j;
	size_t n = ends[1];

	memcpy(bytes, whole, n);
	memcpy(bytes + n, whole + ends[2], whole_n - ends[2]);
	put_file(bytes, whole_n - (ends[2] - ends[1]));
	assert_int_equal(reopen(&j), JOURNAL_BAD);
	assert_int_equal(seen, 1);
	journal_done(&j);
	memcpy(bytes + n, whole + ends[0], ends[1] - ends[0]);
	memcpy(bytes + n + ends[1] - ends[0], whole + ends[1], whole_n - ends[1]);
	put_file(bytes, whole_n + ends[1] - ends[0]);
	assert_int_equal(reopen(&j), JOURNAL_BAD);
	assert_int_equal(seen, 1);
	journal_done(&j);
}

static int write_two(void *owner, struct journal *to)
{
	int r = append(to, 1);

	return r < 0 ? r : append(to, 2);
}

static int write_none(void *owner, struct journal *to)
{
	return append(to, 1) < 0 ? -EIO : -ENOSPC;
}

static void test_rewrite(void **state)
{
	uint8_t bytes[sizeof(whole)];
	struct journal j;
	size_t n;

	put_file(whole, whole_n);
	assert_int_equal(reopen(&j), JOURNAL_GOOD);
	assert_int_equal(journal_rewrite(&j, write_none, NULL), -ENOSPC);
	assert_int_equal(append(&j, RECORDS + 1), 0); /* to the old one, which counts */
	journal_done(&j);
	assert_int_equal(reopen(&j), JOURNAL_GOOD);
	assert_int_equal(seen, RECORDS + 1);
	assert_int_equal(journal_rewrite(&j, write_two, NULL), 0);
	assert_int_equal(append(&j, 3), 0);
	journal_done(&j);
	assert_int_equal(reopen(&j), JOURNAL_GOOD);
	assert_int_equal(seen, 3);
	journal_done(&j);
	/* A record of the older file is none of this one's, though its number fits. */
	n = get_file(bytes, sizeof(bytes));
	memcpy(bytes + n, whole + ends[3], whole_n - ends[3]);
	put_file(bytes, n + whole_n - ends[3]);
	assert_int_equal(reopen(&j), JOURNAL_BAD);
	assert_int_equal(seen, 3);
	journal_done(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_rewrite),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("journal", tests, set_up, tear_down);
}
