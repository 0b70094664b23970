/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed store against crashes and hands that touched the disk: killed at every system call of
 * a change, cut at every byte, each byte flipped, files swapped, another key.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/seal.h"
#include "broker/store.h"
#include "unit/broker/killed.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/egret-test-store-XXXXXX";
static struct store store;
static const char old_value[] = "the old value", new_value[] = "the new value, longer";

#define NAME STR("key")
#define FILE_NAME "key.sealed"

static void put(struct str name, const char *value)
{
	char why[256] = "";

	assert_int_equal(store_put(&store, name, value, strlen(value), why, sizeof(why)), 0);
}

static bool holds(struct str name, const char *value)
{
	struct secret s;
	char why[256] = "";
	bool same;

	if (store_get(&store, name, &s, why, sizeof(why)) < 0)
		return false;
	same = str_is((struct str){ (char *)s.p, s.n }, value);
	secret_done(&s);
	return same;
}

static size_t slurp(char *to, size_t size)
{
	int fd = openat(store.dir, FILE_NAME, O_RDONLY);
	ssize_t n = read(fd, to, size);

	close(fd);
	assert_true(n > 0);
	return (size_t)n;
}

static void spill(const char *p, size_t n)
{
	int fd = openat(store.dir, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static void test_names(void **state)
{
	static const struct {
		struct str name;
		bool ok;
	} cases[] = {
		{ STR("a"), true },	    { STR("github-app.key_2"), true },
		{ STR(""), false },	    { STR("."), false },
		{ STR(".a"), false },	    { STR("a/b"), false },
		{ STR("a b"), false },	    { STR("a\0b"), false },
		{ STR("\xc3\xa9"), false }, { STR(".."), false },
	};
	char longest[129];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(store_name_ok(cases[i].name), cases[i].ok);
	memset(longest, 'x', sizeof(longest));
	assert_true(store_name_ok((struct str){ longest, 128 }));
	assert_false(store_name_ok((struct str){ longest, 129 }));
}

static void test_round(void **state)
{
	char why[256] = "", big[STORE_VALUE_MAX + 1];
	struct secret s;

	put(NAME, old_value);
	assert_true(holds(NAME, old_value));
	put(NAME, new_value);
	assert_true(holds(NAME, new_value));
	memset(big, 'b', sizeof(big));
	assert_int_equal(store_put(&store, NAME, big, sizeof(big), why, sizeof(why)), -EMSGSIZE);
	assert_int_equal(store_put(&store, NAME, big, STORE_VALUE_MAX, why, sizeof(why)), 0);
	assert_int_equal(store_get(&store, NAME, &s, why, sizeof(why)), 0);
	assert_int_equal(s.n, STORE_VALUE_MAX);
	secret_done(&s);
	assert_int_equal(store_put(&store, NAME, "", 0, why, sizeof(why)), -EINVAL);
	assert_int_equal(store_remove(&store, NAME, why, sizeof(why)), 0);
	assert_int_equal(store_remove(&store, NAME, why, sizeof(why)), -ENOENT);
	assert_int_equal(store_get(&store, NAME, &s, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "store: no secret named key: run egret secret set key");
}

/* Two times the same value: not a byte of the sealed part repeats in its place by more than chance.
 */
static void test_fresh_keys(void **state)
{
	char a[4096], b[4096];
	unsigned same = 0;
	size_t n;

	put(NAME, old_value);
	n = slurp(a, sizeof(a));
	put(NAME, old_value);
	assert_int_equal(slurp(b, sizeof(b)), n);
	for (size_t i = 24; i < n; i++)
		same += a[i] == b[i];
	assert_true(same < 10);
}

static void test_cut_at_each_byte(void **state)
{
	char bytes[4096], why[256];
	struct secret s;
	size_t n;

	put(NAME, old_value);
	n = slurp(bytes, sizeof(bytes));
	for (size_t cut = 0; cut < n; cut++) {
		spill(bytes, cut);
		why[0] = '\0';
		assert_int_equal(store_get(&store, NAME, &s, why, sizeof(why)), -EBADMSG);
		assert_non_null(strstr(why, "egret secret set key"));
	}
	spill(bytes, n);
	assert_true(holds(NAME, old_value));
}

static void test_each_bit_counts(void **state)
{
	char bytes[4096], why[256];
	struct secret s;
	size_t n;

	put(NAME, old_value);
	n = slurp(bytes, sizeof(bytes));
	for (size_t i = 0; i < n; i++) {
		bytes[i] ^= 1;
		spill(bytes, n);
		assert_int_equal(store_get(&store, NAME, &s, why, sizeof(why)), -EBADMSG);
		bytes[i] ^= 1;
	}
	bytes[n] = 0;
	spill(bytes, n + 1);
	assert_int_equal(store_get(&store, NAME, &s, why, sizeof(why)), -EBADMSG);
}

static void test_bound_to_name(void **state)
{
	char why[256];
	struct secret s;

	put(NAME, old_value);
	assert_int_equal(renameat(store.dir, FILE_NAME, store.dir, "other.sealed"), 0);
	assert_int_equal(store_get(&store, STR("other"), &s, why, sizeof(why)), -EBADMSG);
	assert_int_equal(unlinkat(store.dir, "other.sealed", 0), 0);
}

static void test_other_key(void **state)
{
	char why[256];
	struct secret s;

	put(NAME, old_value);
	store.key.p[0] ^= 1;
	assert_int_equal(store_get(&store, NAME, &s, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "another key"));
	store.key.p[0] ^= 1;
	assert_true(holds(NAME, old_value));
}

/* A link or a folder in the place of a secret is not followed. */
static void test_other_kinds(void **state)
{
	char why[256];
	struct secret s;

	unlinkat(store.dir, FILE_NAME, 0);
	assert_int_equal(symlinkat("/etc/hostname", store.dir, FILE_NAME), 0);
	assert_true(store_get(&store, NAME, &s, why, sizeof(why)) < 0);
	assert_int_equal(unlinkat(store.dir, FILE_NAME, 0), 0);
	assert_int_equal(mkdirat(store.dir, FILE_NAME, 0700), 0);
	assert_true(store_get(&store, NAME, &s, why, sizeof(why)) < 0);
	assert_int_equal(unlinkat(store.dir, FILE_NAME, AT_REMOVEDIR), 0);
	assert_int_equal(mkfifoat(store.dir, FILE_NAME, 0600), 0);
	assert_int_equal(store_get(&store, NAME, &s, why, sizeof(why)), -EBADMSG);
	assert_int_equal(unlinkat(store.dir, FILE_NAME, 0), 0);
}

/* The arena is wiped in a child: the key comes in plain memory. */
static int change(void *key)
{
	const struct secret *k = key;
	struct store s = { .dir = store.dir };
	char why[256];

	if (secret_dup(k->p, k->n, &s.key) < 0)
		return -1;
	return store_put(&s, NAME, new_value, strlen(new_value), why, sizeof(why));
}

static void test_killed_between_steps(void **state)
{
	uint8_t plain[SEAL_KEY];
	struct secret key = { plain, sizeof(plain) };
	unsigned kept = 0, changed = 0;

	memcpy(plain, store.key.p, sizeof(plain));
	for (unsigned n = 0; n < 200; n++) {
		bool killed;

		put(NAME, old_value);
		killed = killed_before(n, change, &key);
		if (holds(NAME, old_value))
			kept++;
		else if (holds(NAME, new_value))
			changed++;
		else
			fail_msg("killed before call %u: neither the old value nor the new", n);
		/* And the next change goes through, whatever was left. */
		put(NAME, new_value);
		assert_true(holds(NAME, new_value));
		if (!killed)
			break;
		assert_true(n < 199);
	}
	print_message("# killed before each call: %u times the old value, %u times the new\n", kept,
		      changed);
	assert_true(kept > 3 && changed > 1);
}

#define REKEY_NAMES 3
static const char *const rekey_names[REKEY_NAMES] = { "a", "b", "key" };

static bool all_hold(struct secret *key, struct secret *old)
{
	struct secret was = store.key;
	bool good = true;

	store.key = *key;
	store.old = old ? *old : (struct secret){ 0 };
	for (unsigned i = 0; i < REKEY_NAMES; i++)
		good &= holds(str_of(rekey_names[i]), old_value);
	store.key = was;
	store.old = (struct secret){ 0 };
	return good;
}

static int rewrap_all(struct store *s)
{
	char why[256];
	int r = 0;

	for (unsigned i = 0; i < REKEY_NAMES && r >= 0; i++)
		r = store_rewrap(s, str_of(rekey_names[i]), why, sizeof(why));
	return r;
}

static int rewrap_by(void *keys)
{
	const struct secret *k = keys; /* the new one, the old one */
	struct store s = { .dir = store.dir };

	if (secret_dup(k[0].p, k[0].n, &s.key) < 0 || secret_dup(k[1].p, k[1].n, &s.old) < 0)
		return -1;
	return rewrap_all(&s) == 1 ? 0 : -1;
}

/* Killed before each system call of a rekey: both keys together open all, and asked again it is
 * done: then the new key opens all, and the old one none. */
static void test_rekey_killed(void **state)
{
	uint8_t plain_old[SEAL_KEY], plain_new[SEAL_KEY];
	struct secret keys[] = { { plain_new, SEAL_KEY }, { plain_old, SEAL_KEY } };
	struct secret *const new = &keys[0], *const old = &keys[1];
	unsigned mixed = 0, n;

	memcpy(plain_old, store.key.p, SEAL_KEY);
	memset(plain_new, 9, SEAL_KEY);
	for (n = 0; n < 400; n++) {
		struct store s = { .dir = store.dir };
		bool killed;

		for (unsigned i = 0; i < REKEY_NAMES; i++)
			put(str_of(rekey_names[i]), old_value);
		assert_false(all_hold(new, NULL));
		killed = killed_before(n, rewrap_by, keys);
		assert_true(all_hold(new, old));
		mixed += !all_hold(new, NULL) && !all_hold(old, NULL);
		s.key = *new;
		s.old = *old;
		assert_true(rewrap_all(&s) >= 0);
		assert_true(all_hold(new, NULL));
		assert_false(all_hold(old, NULL));
		s.old = (struct secret){ 0 };
		assert_int_equal(rewrap_all(&s), 0); /* all are in its wrap */
		if (!killed)
			break;
	}
	assert_true(n > 20 && n < 400);
	assert_true(mixed > 5);
	print_message("# killed before each of %u calls: %u times between the keys\n", n, mixed);
}

static int change_key(void *state_dir)
{
	char why[256];
	int fd;

	return storekey_next(state_dir, true, &fd, why, sizeof(why)) ||
	       storekey_commit(state_dir, why, sizeof(why));
}

/* The key's own files: whenever it is killed, the old key and the new are there, or the new alone.
 */
static void test_key_files_killed(void **state)
{
	char state_dir[] = "/tmp/egret-test-keys-XXXXXX", why[256], path[300], *keys;
	struct dirent *de;
	DIR *d;
	unsigned n, before = 0, after = 0;

	if (geteuid() != 0)
		skip(); /* keys are root's */
	assert_non_null(mkdtemp(state_dir));
	for (n = 0; n < 400; n++) {
		char was[65], now[65], next[65] = "";
		int fd = -1, fd2 = -1, r;
		bool killed;

		assert_int_equal(storekey_open(state_dir, &fd, why, sizeof(why)), 0);
		assert_int_equal(read(fd, was, 64), 64);
		close(fd);
		killed = killed_before(n, change_key, state_dir);
		assert_int_equal(storekey_open(state_dir, &fd, why, sizeof(why)), 0);
		assert_int_equal(read(fd, now, 64), 64);
		close(fd);
		r = storekey_next(state_dir, false, &fd2, why, sizeof(why));
		assert_true(r == 0 || r == -ENOENT);
		if (r == 0) { /* not over: the old one is in its place, the new beside it, whole */
			assert_int_equal(read(fd2, next, 64), 64);
			close(fd2);
			assert_memory_equal(was, now, 64);
			assert_memory_not_equal(next, was, 64);
			before++;
		} else {
			after += memcmp(was, now, 64) != 0;
		}
		if (!killed)
			break;
	}
	assert_true(n > 10 && n < 400 && before > 2 && after > 0);
	snprintf(path, sizeof(path), "%s/keys/store.key", state_dir);
	assert_int_equal(unlink(path), 0);
	keys = strrchr(path, '/');
	*keys = 0;
	assert_non_null(d = opendir(path)); /* what killed ones left half written */
	while ((de = readdir(d)))
		unlinkat(dirfd(d), de->d_name, 0);
	closedir(d);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(state_dir), 0);
}

static void test_list(void **state)
{
	struct store_entry *list;
	char why[256];
	size_t n;

	put(STR("b"), "x");
	put(STR("a"), "xyz");
	assert_int_equal(store_list(&store, &list, &n, why, sizeof(why)), 0);
	assert_true(n >= 2);
	assert_string_equal(list[0].name, "a");
	assert_int_equal(list[0].size, 3);
	assert_true(list[0].time_us > 0);
	assert_string_equal(list[1].name, "b");
	free(list);
}

static int set_up(void **state)
{
	seal_init();
	if (secret_arena_init(1 << 20) < 0 || !mkdtemp(dir))
		return -1;
	store.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store.dir < 0 || secret_new(SEAL_KEY, &store.key) < 0)
		return -1;
	memset(store.key.p, 7, store.key.n);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const files[] = { FILE_NAME, "a.sealed", "b.sealed", ".new",
					     "other.sealed" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(store.dir, files[i], 0);
	store_done(&store);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_fresh_keys),
		cmocka_unit_test(test_cut_at_each_byte),
		cmocka_unit_test(test_each_bit_counts),
		cmocka_unit_test(test_bound_to_name),
		cmocka_unit_test(test_other_key),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_killed_between_steps),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_rekey_killed),
		cmocka_unit_test(test_key_files_killed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("store", tests, set_up, tear_down);
}
