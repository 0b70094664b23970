/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: round trips with descriptors, bounds, and frames that a hostile peer could send. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/msg.h"
#include "base/proto.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2];

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_round(void **state)
{
	struct msg_out out;
	struct msg_in in;
	struct str s, item;
	size_t at = 0;
	uint64_t v;
	int fd = -1, before = open_fds();

	msg_begin(&out, MSG_JOB_OPEN, 77);
	msg_put_u64(&out, TAG_JOB, 0x1122334455667788u);
	msg_put_str(&out, TAG_JOB_NAME, STR("j-1"));
	msg_put_str(&out, TAG_FACT, STR("a=1"));
	msg_put_str(&out, TAG_FACT, STR(""));
	msg_put_str(&out, TAG_TEXT, STR("nul\0inside"));
	msg_put_fd(&out, TAG_FD_PEER, 2);
	msg_put_fd(&out, TAG_FD_ROOTS, 1);
	msg_put_fd(&out, TAG_FD_ROOTS, 0);
	assert_int_equal(msg_send(pair[0], &out), 0);
	assert_int_equal(msg_recv(pair[1], &in), 0);
	assert_int_equal(in.type, MSG_JOB_OPEN);
	assert_int_equal(in.id, 77);
	assert_int_equal(in.fields, 8);
	assert_int_equal(in.nfds, 3);
	assert_int_equal(msg_get_u64(&in, TAG_JOB, &v), 0);
	assert_true(v == 0x1122334455667788u);
	assert_int_equal(msg_get_str(&in, TAG_JOB_NAME, 3, &s), 0);
	assert_true(str_is(s, "j-1"));
	assert_int_equal(msg_get_str(&in, TAG_JOB_NAME, 2, &s), -EBADMSG);
	assert_int_equal(msg_get_str(&in, TAG_TEXT, 100, &s), -EBADMSG);
	assert_int_equal(msg_get(&in, TAG_TEXT, &s), 0);
	assert_int_equal(s.n, 10);
	assert_int_equal(msg_get(&in, TAG_FACT, &s), -EBADMSG); /* two: a list */
	assert_int_equal(msg_get(&in, TAG_CODE, &s), -ENOENT);
	assert_int_equal(msg_get_u64(&in, TAG_JOB_NAME, &v), -EBADMSG);
	assert_true(msg_each(&in, TAG_FACT, &at, &item) && str_is(item, "a=1"));
	assert_true(msg_each(&in, TAG_FACT, &at, &item) && item.n == 0);
	assert_false(msg_each(&in, TAG_FACT, &at, &item));
	assert_int_equal(msg_take_fd(&in, TAG_FD_PEER, &fd), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(msg_take_fd(&in, TAG_FD_PEER, &fd), -EBADMSG); /* taken */
	assert_int_equal(msg_take_fd(&in, TAG_FD_ROOTS, &fd), -EBADMSG);
	at = 0;
	assert_true(msg_each(&in, TAG_FD_ROOTS, &at, &item));
	assert_int_equal(msg_take_fd_of(&in, item, &fd), 0);
	close(fd);
	msg_in_done(&in); /* closes the third */
	assert_int_equal(open_fds(), before);
}

static void test_bounds(void **state)
{
	static char big[MSG_SIZE_MAX];
	struct msg_out out;
	struct msg_in in;

	msg_begin(&out, MSG_OK, 1);
	for (int i = 0; i < MSG_FIELDS_MAX; i++)
		msg_put_str(&out, TAG_TEXT, STR("x"));
	assert_false(out.failed);
	msg_put_str(&out, TAG_TEXT, STR("x"));
	assert_int_equal(msg_send(pair[0], &out), -EMSGSIZE);
	msg_begin(&out, MSG_OK, 1);
	msg_put(&out, TAG_TEXT, big, MSG_SIZE_MAX - 12);
	assert_int_equal(msg_send(pair[0], &out), 0);
	assert_int_equal(msg_recv(pair[1], &in), 0);
	assert_int_equal(in.body_n, MSG_SIZE_MAX - 8);
	msg_in_done(&in);
	msg_begin(&out, MSG_OK, 1);
	msg_put(&out, TAG_TEXT, big, MSG_SIZE_MAX - 11);
	assert_int_equal(msg_send(pair[0], &out), -EMSGSIZE);
	msg_begin(&out, MSG_OK, 1);
	for (int i = 0; i <= MSG_FDS_MAX; i++)
		msg_put_fd(&out, TAG_FD_ROOTS, 2);
	assert_int_equal(msg_send(pair[0], &out), -EMSGSIZE);
	msg_begin(&out, MSG_OK, 1);
	msg_put_fd(&out, TAG_FD_ROOTS, -1);
	assert_int_equal(msg_send(pair[0], &out), -EMSGSIZE);
	assert_int_equal(msg_recv(pair[1], &in), -EAGAIN);
}

/* Sent raw, with nfds duplicates of descriptor 2 beside it. */
static int raw(const void *p, size_t n, unsigned nfds)
{
	char control[CMSG_SPACE(sizeof(int) * 64)] = { 0 };
	struct iovec iov = { (void *)p, n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct msg_in in;
	int r;

	if (nfds) {
		struct cmsghdr *c;

		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		for (unsigned i = 0; i < nfds; i++)
			((int *)(void *)CMSG_DATA(c))[i] = 2;
	}
	assert_int_equal(sendmsg(pair[0], &mh, 0), (ssize_t)n);
	r = msg_recv(pair[1], &in);
	if (r == 0)
		msg_in_done(&in);
	return r;
}

static void test_hostile(void **state)
{
	static char big[MSG_SIZE_MAX + 1];
	static const struct {
		const char *what;
		struct str frame;
		unsigned nfds;
		int err;
	} cases[] = {
		{ "empty body", STR("\1\0\0\0\0\0\0\0"), 0, 0 },
		{ "one field", STR("\1\0\1\0\0\0\0\0\1\0\1\0x"), 0, 0 },
		{ "short head", STR("\1\0\0\0\0\0\0"), 0, -EBADMSG },
		{ "type zero", STR("\0\0\0\0\0\0\0\0"), 0, -EBADMSG },
		{ "count too high", STR("\1\0\2\0\0\0\0\0\1\0\1\0x"), 0, -EBADMSG },
		{ "count too low", STR("\1\0\0\0\0\0\0\0\1\0\1\0x"), 0, -EBADMSG },
		{ "length past the end", STR("\1\0\1\0\0\0\0\0\1\0\2\0x"), 0, -EBADMSG },
		{ "length 65535", STR("\1\0\1\0\0\0\0\0\1\0\xff\xffx"), 0, -EBADMSG },
		{ "half a field head", STR("\1\0\1\0\0\0\0\0\1\0\1"), 0, -EBADMSG },
		{ "descriptor named, none there", STR("\1\0\1\0\0\0\0\0\0\1\1\0\0"), 0, -EBADMSG },
		{ "descriptor there and named", STR("\1\0\1\0\0\0\0\0\0\1\1\0\0"), 1, 0 },
		{ "descriptor there, none named", STR("\1\0\0\0\0\0\0\0"), 1, -EBADMSG },
		{ "index past the last", STR("\1\0\1\0\0\0\0\0\0\1\1\0\1"), 1, -EBADMSG },
		{ "index 255", STR("\1\0\1\0\0\0\0\0\0\1\1\0\xff"), 1, -EBADMSG },
		{ "named twice", STR("\1\0\2\0\0\0\0\0\0\1\1\0\0\1\1\1\0\0"), 1, -EBADMSG },
		{ "descriptor field of two bytes", STR("\1\0\1\0\0\0\0\0\0\1\2\0\0\0"), 1,
		  -EBADMSG },
		{ "more descriptors than a frame has", STR("\1\0\0\0\0\0\0\0"), 40, -EBADMSG },
	};
	int before = open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = raw(cases[i].frame.p, cases[i].frame.n, cases[i].nfds);

		if (r != cases[i].err)
			fail_msg("%s: %d", cases[i].what, r);
		assert_int_equal(open_fds(), before);
	}
	big[0] = 1;
	assert_int_equal(raw(big, sizeof(big), 0), -EBADMSG);
	assert_int_equal(raw("\1\0\0\0\0\0\0\0", 8, 0), 0); /* the stream goes on whole */
}

static void test_full_and_closed(void **state)
{
	static char big[60000];
	struct msg_out out;
	struct msg_in in;
	int own[2], sent = 0, r;

	assert_int_equal(msg_pair(own), 0);
	for (;;) {
		msg_begin(&out, MSG_OK, (uint32_t)sent);
		msg_put(&out, TAG_TEXT, big, sizeof(big));
		r = msg_send(own[0], &out);
		if (r < 0)
			break;
		sent++;
	}
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 0 && out.bytes.n > sizeof(big)); /* kept for another try */
	assert_int_equal(msg_recv(own[1], &in), 0);
	msg_in_done(&in);
	assert_int_equal(msg_send(own[0], &out), 0);
	assert_null(out.bytes.p);
	while (sent--) {
		assert_int_equal(msg_recv(own[1], &in), 0);
		msg_in_done(&in);
	}
	assert_int_equal(msg_recv(own[1], &in), -EAGAIN);
	close(own[0]);
	assert_int_equal(msg_recv(own[1], &in), -ECONNRESET);
	msg_begin(&out, MSG_OK, 1);
	assert_int_equal(msg_send(own[1], &out), -EPIPE);
	close(own[1]);
}

static int set_up(void **state)
{
	return msg_pair(pair);
}

static int tear_down(void **state)
{
	close(pair[0]);
	close(pair[1]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_full_and_closed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("msg", tests, set_up, tear_down);
}
