/* SPDX-License-Identifier: Apache-2.0 */
/* Sources in one memfd: what was put in comes out, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/archive.h"
#include "policy/scan.h"

static int file_of(const char *text, size_t n)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	return fd; /* stands at its end: archive_add does not care */
}

static int add(struct archive_out *a, enum source_kind kind, const char *name, const char *text)
{
	int fd = file_of(text, strlen(text)), r = archive_add(a, kind, str_of(name), fd);

	close(fd);
	return r;
}

/* The bytes; to be freed. */
static struct str sealed(struct archive_out *a)
{
	off_t n;
	char *p;
	int fd;

	assert_int_equal(archive_seal(a, &fd), 0);
	assert_int_equal(a->fd, -1);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	n = lseek(fd, 0, SEEK_END);
	p = mem_new((size_t)n + 1);
	assert_int_equal(pread(fd, p, (size_t)n + 1, 0), n);
	close(fd);
	return (struct str){ p, (size_t)n };
}

static struct str two(void)
{
	struct archive_out a;

	assert_int_equal(archive_begin(&a), 0);
	assert_int_equal(add(&a, SOURCE_POLICY, "/p/a.json", "{ 1 }"), 0);
	assert_int_equal(add(&a, SOURCE_CREDENTIAL, "/c/b.json", ""), 0);
	return sealed(&a);
}

static int read_all(struct str bytes)
{
	/* Its own block, so that a look past its end is seen by the sanitizer. */
	char *copy = mem_new(bytes.n + !bytes.n);
	struct source *sources = NULL;
	size_t n;
	int r;

	memcpy(copy, bytes.p, bytes.n);
	r = archive_read((struct str){ copy, bytes.n }, &sources, &n);
	free(sources);
	free(copy);
	return r;
}

static void comes_out(void **state)
{
	struct str bytes = two();
	struct source *s;
	size_t n;

	assert_int_equal(archive_read(bytes, &s, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(s[0].kind, SOURCE_POLICY);
	assert_true(str_is(s[0].name, "/p/a.json"));
	assert_true(str_is(s[0].text, "{ 1 }"));
	assert_int_equal(s[1].kind, SOURCE_CREDENTIAL);
	assert_true(str_is(s[1].name, "/c/b.json"));
	assert_int_equal(s[1].text.n, 0);
	free(s);
	free((char *)bytes.p);
}

static void none(void **state)
{
	struct archive_out a;
	struct source *s;
	struct str bytes;
	size_t n;

	assert_int_equal(archive_begin(&a), 0);
	bytes = sealed(&a);
	assert_int_equal(archive_read(bytes, &s, &n), 0);
	assert_int_equal(n, 0);
	free(s);
	free((char *)bytes.p);
}

static void truncated(void **state)
{
	struct str bytes = two();

	for (size_t n = 0; n < bytes.n; n++)
		assert_int_equal(read_all((struct str){ bytes.p, n }), -EBADMSG);
	/* and one byte too many */
	assert_int_equal(read_all((struct str){ bytes.p, bytes.n + 1 }), -EBADMSG);
	assert_int_equal(read_all(bytes), 0);
	free((char *)bytes.p);
}

/* Each number of the form in turn. */
static void lying(void **state)
{
	enum { MAGIC = 0, COUNT = 4, KIND = 8, NAME = 12, TEXT = 16, SECOND = 20 + 9 + 5 };
	static const struct {
		size_t at;
		uint32_t is;
	} rows[] = {
		{ MAGIC, 0 },
		{ COUNT, 0 },
		{ COUNT, 1 },
		{ COUNT, 3 },
		{ COUNT, COMPILE_SOURCES_MAX + 1 },
		{ COUNT, UINT32_MAX },
		{ KIND, SOURCE_BASELINE + 1 },
		{ KIND, UINT32_MAX },
		{ NAME, 8 },
		{ NAME, 10 },
		{ NAME, ARCHIVE_NAME_MAX + 1 },
		{ NAME, UINT32_MAX },
		{ TEXT, 4 },
		{ TEXT, 6 },
		{ TEXT, SOURCE_SIZE_MAX + 1 },
		{ TEXT, UINT32_MAX },
		{ TEXT, UINT32_MAX - 8 },
		{ SECOND + 4, 10 },
		{ SECOND + 4, UINT32_MAX },
		{ SECOND + 8, 1 },
		{ SECOND + 8, UINT32_MAX },
	};
	struct str bytes = two();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *p = (char *)bytes.p + rows[i].at;
		uint32_t was;

		memcpy(&was, p, sizeof(was));
		memcpy(p, &rows[i].is, sizeof(was));
		assert_int_equal(read_all(bytes), -EBADMSG);
		memcpy(p, &was, sizeof(was));
	}
	assert_int_equal(read_all(bytes), 0);
	free((char *)bytes.p);
}

/* More entries than the bound, though each of them is right. */
static void too_many(void **state)
{
	struct archive_out a;
	struct source *s;
	struct str bytes;
	uint32_t count = COMPILE_SOURCES_MAX + 1;
	size_t n;
	char *more;

	assert_int_equal(archive_begin(&a), 0);
	for (unsigned i = 0; i < COMPILE_SOURCES_MAX; i++)
		assert_int_equal(add(&a, SOURCE_POLICY, "", ""), 0);
	assert_int_equal(add(&a, SOURCE_POLICY, "", ""), -E2BIG);
	bytes = sealed(&a);
	assert_int_equal(archive_read(bytes, &s, &n), 0);
	assert_int_equal(n, COMPILE_SOURCES_MAX);
	free(s);
	more = mem_new(bytes.n + 12);
	memcpy(more, bytes.p, bytes.n);
	memcpy(more + 4, &count, sizeof(count));
	assert_int_equal(read_all((struct str){ more, bytes.n + 12 }), -EBADMSG);
	free(more);
	free((char *)bytes.p);
}

static void too_large(void **state)
{
	char *text = mem_new(SOURCE_SIZE_MAX + 1);
	int whole = file_of(text, SOURCE_SIZE_MAX), over = file_of(text, SOURCE_SIZE_MAX + 1);
	char name[ARCHIVE_NAME_MAX + 1];
	struct archive_out a;
	unsigned i;

	memset(name, 'n', sizeof(name));
	assert_int_equal(archive_begin(&a), 0);
	assert_int_equal(archive_add(&a, SOURCE_POLICY, STR("n"), over), -EFBIG);
	assert_int_equal(archive_add(&a, SOURCE_POLICY, (struct str){ name, sizeof(name) }, whole),
			 -ENAMETOOLONG);
	for (i = 0; i < COMPILE_BYTES_MAX / SOURCE_SIZE_MAX; i++)
		assert_int_equal(archive_add(&a, SOURCE_POLICY, STR("n"), whole), 0);
	assert_int_equal(add(&a, SOURCE_POLICY, "n", ""), 0);
	assert_int_equal(add(&a, SOURCE_POLICY, "n", "x"), -ENOSPC);
	archive_out_done(&a);
	close(whole);
	close(over);
	free(text);
}

/* The compiler says with which file it is too much. */
static void compiler_says(void **state)
{
	struct source *s = mem_new((COMPILE_SOURCES_MAX + 1) * sizeof(*s));
	char *text = mem_new(SOURCE_SIZE_MAX);
	struct compiled c;

	for (unsigned i = 0; i <= COMPILE_SOURCES_MAX; i++)
		s[i] = (struct source){ SOURCE_INCLUDE, STR("many.json"), STR("{}") };
	s[COMPILE_SOURCES_MAX].name = STR("last.json");
	assert_int_equal(policy_compile(s, COMPILE_SOURCES_MAX, 0, &c), 0);
	compiled_done(&c);
	assert_int_equal(policy_compile(s, COMPILE_SOURCES_MAX + 1, 0, &c), -EINVAL);
	assert_true(str_is(buf_str(&c.errors.text),
			   "last.json:1:1: with it there are more than 4096 policy and credential "
			   "files\n"));
	compiled_done(&c);
	for (unsigned i = 0; i < 9; i++)
		s[i].text = (struct str){ text, SOURCE_SIZE_MAX };
	s[8] = (struct source){ SOURCE_INCLUDE, STR("ninth.json"), STR("{}") };
	assert_int_equal(policy_compile(s, 9, 0, &c), -EINVAL);
	assert_true(str_is(buf_str(&c.errors.text),
			   "ninth.json:1:1: with it policies and credentials are larger than 8 MiB "
			   "in all\n"));
	compiled_done(&c);
	free(text);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_out),	 cmocka_unit_test(none),
		cmocka_unit_test(truncated),	 cmocka_unit_test(lying),
		cmocka_unit_test(too_many),	 cmocka_unit_test(too_large),
		cmocka_unit_test(compiler_says),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
