/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another store key and what is sealed beside the secrets, the journal of leases and the root's
 * file: killed before each system call of the change, and with what a crash leaves of a file that
 * was being written, cut at each byte. Both keys together open all of it at any time; asked again
 * the change is made, and then the old key opens nothing. (The secrets' own files: test_store.c.)
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/broker.h"
#include "broker/seal.h"
#include "unit/broker/killed.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RECORDS 3
#define JOURNAL_TEMP ".leases.new"
#define ROOT ".ca-root"
#define ROOT_TEMP ".ca-root.new"

static char dir[] = "/tmp/egret-test-rekey-XXXXXX";
static int dir_fd = -1;
/* Plain: the arena is wiped in a child. */
static uint8_t plain[2][SEAL_KEY] = { "the old key, thirty-two bytes...",
				      "the new key, thirty-two bytes..." };

enum which { OLD, NEW, NONE };

static struct secret key_of(enum which w)
{
	struct secret s = { 0 };

	if (w != NONE && secret_dup(plain[w], SEAL_KEY, &s) < 0)
		fail_msg("no locked memory");
	return s;
}

static void write_file(const char *name, const void *p, size_t n)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static size_t read_file(const char *name, uint8_t *to, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY);
	ssize_t n = read(fd, to, size);

	assert_true(n > 0 && (size_t)n < size);
	close(fd);
	return (size_t)n;
}

static bool is_there(const char *name)
{
	return faccessat(dir_fd, name, F_OK, 0) == 0;
}

/* ---- the journal ---- */

static unsigned seen;

static void count(void *owner, const struct msg_in *m)
{
	struct str id;

	assert_int_equal(msg_get(m, TAG_LEASE, &id), 0);
	assert_int_equal(id.n, ++seen);
}

static int append(struct journal *j, unsigned length)
{
	struct msg_out m;

	msg_begin(&m, JOURNAL_LEASE, 0);
	msg_put(&m, TAG_LEASE, "LLLLLLLLLLLLLLLL", length);
	return journal_append(j, &m);
}

static int write_all(void *owner, struct journal *to)
{
	int r = 0;

	for (unsigned i = 1; i <= *(const unsigned *)owner && r == 0; i++)
		r = append(to, i);
	return r;
}

static enum journal_found open_journal(struct journal *j, enum which key, enum which old)
{
	enum journal_found found = JOURNAL_GOOD;
	char why[256];

	*j = (struct journal){ .dir = dir_fd, .fd = -1, .key = key_of(key), .old = key_of(old) };
	seen = 0;
	assert_int_equal(journal_open(j, count, NULL, &found, why, sizeof(why)), 0);
	return found;
}

/* One that has them all, under this key. */
static void new_journal(enum which key)
{
	struct journal j;

	unlinkat(dir_fd, JOURNAL_NAME, 0);
	unlinkat(dir_fd, JOURNAL_TEMP, 0);
	assert_int_equal(open_journal(&j, key, NONE), JOURNAL_GOOD);
	for (unsigned i = 1; i <= RECORDS; i++)
		assert_int_equal(append(&j, i), 0);
	assert_int_equal(journal_sync(&j), 0);
	journal_done(&j);
}

/* As rekey.c has it: one lease more was written under the new key, behind those of the old. */
static int change_journal(void *unused)
{
	struct journal j = { .dir = dir_fd, .fd = -1 };
	enum journal_found found;
	unsigned n = RECORDS + 1;
	char why[256];

	if (secret_dup(plain[NEW], SEAL_KEY, &j.key) < 0 ||
	    secret_dup(plain[OLD], SEAL_KEY, &j.old) < 0 ||
	    journal_open(&j, count, NULL, &found, why, sizeof(why)) < 0 || found != JOURNAL_GOOD)
		return -1;
	return append(&j, n) || journal_sync(&j) || journal_rewrite(&j, write_all, &n);
}

static unsigned by(enum which key, enum which old)
{
	uint8_t bytes[8192];
	size_t n = read_file(JOURNAL_NAME, bytes, sizeof(bytes));
	struct journal j;

	(void)open_journal(&j, key, old);
	journal_done(&j);
	write_file(JOURNAL_NAME, bytes, n); /* what looks damaged by one key is put aside */
	unlinkat(dir_fd, JOURNAL_DAMAGED, 0);
	return seen;
}

static void test_journal_killed(void **state)
{
	unsigned n, mixed = 0, done = 0, now;
	struct journal j;
	bool killed;

	for (n = 0; n < 400; n++) {
		new_journal(OLD);
		assert_int_equal(by(NEW, NONE), 0);
		seen = 0;
		killed = killed_before(n, change_journal, NULL);
		/* The next broker has both: nothing that was made sure of is lost or cut off. */
		assert_int_equal(open_journal(&j, NEW, OLD), JOURNAL_GOOD);
		now = seen;
		assert_true(now == RECORDS || now == RECORDS + 1);
		assert_true(killed || now == RECORDS + 1);
		mixed += now > RECORDS && by(NEW, NONE) == 0;
		done += by(NEW, NONE) == RECORDS + 1;
		/* And makes the change. */
		assert_int_equal(journal_rewrite(&j, write_all, &now), 0);
		journal_done(&j);
		assert_false(is_there(JOURNAL_TEMP));
		assert_int_equal(by(NEW, NONE), now);
		assert_int_equal(by(OLD, NONE), 0);
		if (!killed)
			break;
	}
	print_message("# killed before each of %u calls: %u times under both keys, %u under the "
		      "new one\n",
		      n, mixed, done);
	assert_true(n > 10 && n < 400 && mixed > 3 && done > 1);
}

/* Records of both keys in one file, cut at each byte: what was whole counts. */
static void test_journal_cut(void **state)
{
	uint8_t bytes[8192];
	size_t n, first;
	struct journal j;

	new_journal(OLD);
	first = read_file(JOURNAL_NAME, bytes, sizeof(bytes));
	assert_int_equal(open_journal(&j, NEW, OLD), JOURNAL_GOOD);
	assert_int_equal(append(&j, RECORDS + 1), 0);
	journal_done(&j);
	n = read_file(JOURNAL_NAME, bytes, sizeof(bytes));
	for (size_t cut = first; cut <= n; cut++) {
		write_file(JOURNAL_NAME, bytes, cut);
		assert_int_equal(open_journal(&j, NEW, OLD),
				 cut == first || cut == n ? JOURNAL_GOOD : JOURNAL_TORN);
		assert_int_equal(seen, RECORDS + (cut == n));
		journal_done(&j);
	}
}

/* What a crash left of the new file beside the old one, which counts. */
static void test_journal_half_written(void **state)
{
	uint8_t bytes[8192];
	unsigned records = RECORDS;
	struct journal j;
	size_t n;

	new_journal(NEW);
	n = read_file(JOURNAL_NAME, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= n; cut++) {
		new_journal(OLD);
		write_file(JOURNAL_TEMP, bytes, cut);
		assert_int_equal(open_journal(&j, NEW, OLD), JOURNAL_GOOD);
		assert_int_equal(seen, RECORDS);
		assert_int_equal(journal_rewrite(&j, write_all, &records), 0);
		journal_done(&j);
		assert_false(is_there(JOURNAL_TEMP));
		assert_int_equal(by(NEW, NONE), RECORDS);
	}
}

/* ---- the root's file ---- */

static struct buf root_der; /* of the one that images carry */

/* Opens it with these keys: is it that root? make: as for a job, where there is none. */
static int root_by(enum which key, enum which old, bool make)
{
	struct broker b = { .store.dir = dir_fd, .ca_key = key_of(key), .ca_old = key_of(old) };
	char why[512] = "";
	int r = root_ready(&b, make, why, sizeof(why));

	assert_true(r == 0 || strstr(why, ROOT));
	if (r == 0 && !str_eq(buf_str(&b.root.cert), buf_str(&root_der)))
		r = -ESTALE;
	ca_done(&b.root);
	secret_done(&b.ca_key);
	secret_done(&b.ca_old);
	return r;
}

static void old_root(const uint8_t *bytes, size_t n)
{
	unlinkat(dir_fd, ROOT_TEMP, 0);
	write_file(ROOT, bytes, n);
}

static int change_root(void *unused)
{
	struct broker b = { .store.dir = dir_fd };
	char why[512];

	if (secret_dup(plain[NEW], SEAL_KEY, &b.ca_key) < 0 ||
	    secret_dup(plain[OLD], SEAL_KEY, &b.ca_old) < 0)
		return -1;
	return root_rekey(&b, why, sizeof(why)) < 0;
}

static void make_root(uint8_t *to, size_t size, size_t *ret)
{
	struct broker b = { .store.dir = dir_fd, .ca_key = key_of(OLD) };
	char why[512];

	unlinkat(dir_fd, ROOT, 0);
	assert_int_equal(root_ready(&b, true, why, sizeof(why)), 0);
	buf_done(&root_der);
	buf_init(&root_der, CA_CERT_MAX);
	assert_int_equal(buf_add(&root_der, b.root.cert.p, b.root.cert.n), 0);
	ca_done(&b.root);
	secret_done(&b.ca_key);
	*ret = read_file(ROOT, to, size);
}

static void test_root_killed(void **state)
{
	uint8_t bytes[CA_SEALED_MAX + 1];
	unsigned n, before = 0, after = 0;
	size_t size;
	bool killed;

	make_root(bytes, sizeof(bytes), &size);
	for (n = 0; n < 400; n++) {
		old_root(bytes, size);
		assert_int_equal(root_by(OLD, NONE, false), 0);
		killed = killed_before(n, change_root, NULL);
		assert_int_equal(root_by(NEW, OLD, true), 0);
		if (root_by(NEW, NONE, true) == 0)
			after++;
		else
			before++;
		assert_int_equal(change_root(NULL), 0);
		assert_int_equal(change_root(NULL), 0); /* and it is under it already */
		assert_false(is_there(ROOT_TEMP));
		assert_int_equal(root_by(NEW, NONE, true), 0);
		assert_int_equal(root_by(OLD, NONE, true), -EBADMSG);
		if (!killed)
			break;
	}
	print_message("# killed before each of %u calls: %u times under the old key, %u under the "
		      "new one\n",
		      n, before, after);
	assert_true(n > 5 && n < 400 && before > 3 && after > 1);
}

static void test_root_half_written(void **state)
{
	uint8_t old[CA_SEALED_MAX + 1], new[CA_SEALED_MAX + 1];
	size_t n, size;

	make_root(old, sizeof(old), &size);
	assert_int_equal(change_root(NULL), 0);
	n = read_file(ROOT, new, sizeof(new));
	for (size_t cut = 0; cut <= n; cut++) {
		old_root(old, size);
		write_file(ROOT_TEMP, new, cut);
		assert_int_equal(root_by(NEW, OLD, true), 0);
		assert_int_equal(change_root(NULL), 0);
		assert_false(is_there(ROOT_TEMP));
		assert_int_equal(root_by(NEW, NONE, true), 0);
	}
}

/* The file itself, cut or changed at each byte: an error in words, and never another root. */
static void test_root_cut(void **state)
{
	uint8_t bytes[CA_SEALED_MAX + 1];
	size_t size;

	make_root(bytes, sizeof(bytes), &size);
	for (size_t at = 0; at < size; at++) {
		write_file(ROOT, bytes, at);
		assert_int_equal(root_by(NEW, OLD, true), -EBADMSG);
		assert_int_equal(change_root(NULL), 1); /* refused, and left as it is */
		bytes[at] ^= 1;
		write_file(ROOT, bytes, size);
		assert_int_equal(root_by(OLD, NONE, true), -EBADMSG);
		bytes[at] ^= 1;
	}
	write_file(ROOT, bytes, size);
	assert_int_equal(root_by(NEW, OLD, true), 0);
}

static int set_up(void **state)
{
	seal_init();
	if (secret_arena_init(1 << 20) < 0 || !mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	static const char *const files[] = { JOURNAL_NAME, JOURNAL_DAMAGED, JOURNAL_TEMP, ROOT,
					     ROOT_TEMP };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(dir_fd, files[i], 0);
	buf_done(&root_der);
	close(dir_fd);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal_killed),	     cmocka_unit_test(test_journal_cut),
		cmocka_unit_test(test_journal_half_written), cmocka_unit_test(test_root_killed),
		cmocka_unit_test(test_root_half_written),    cmocka_unit_test(test_root_cut),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("rekey", tests, set_up, tear_down);
}
