/* SPDX-License-Identifier: Apache-2.0 */
/* The queue towards egretd: order and descriptors survive a full socket, the bound holds, losses
 * are counted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/proto.h"
#include "broker/outbox.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_one(struct outbox *o, uint32_t id, size_t n, int fd)
{
	static char big[60000];
	struct msg_out m;

	msg_begin(&m, MSG_OK, id);
	msg_put(&m, TAG_TEXT, big, n);
	if (fd >= 0)
		msg_put_fd(&m, TAG_FD_CA, fd);
	outbox_send(o, &m);
}

static void test_order_through_full_socket(void **state)
{
	int before = open_fds(), pair[2], fd;
	struct loop *l = loop_new();
	struct watch w = { 0 };
	struct outbox o;
	struct msg_in m;

	assert_int_equal(msg_pair(pair), 0);
	outbox_init(&o, pair[0]);
	assert_int_equal(watch_add(l, &w, pair[0], EPOLLIN, NULL, NULL), 0);
	o.watch = &w;
	for (uint32_t i = 1; i <= 30; i++) {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		send_one(&o, i, 50000, fd);
		close(fd); /* what waits has its own */
	}
	assert_true(o.count > 0 && o.count < 30);
	assert_true(w.events & EPOLLOUT);
	assert_false(outbox_flush(&o));
	for (uint32_t i = 1; i <= 30; i++) {
		assert_int_equal(msg_recv(pair[1], &m), 0);
		assert_int_equal(m.id, i);
		assert_int_equal(msg_take_fd(&m, TAG_FD_CA, &fd), 0);
		close(fd);
		msg_in_done(&m);
		outbox_flush(&o);
	}
	assert_int_equal(o.count, 0);
	assert_int_equal(o.lost, 0);
	watch_del(&w);
	outbox_done(&o);
	loop_free(l);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(open_fds(), before);
}

static void test_bound_and_loss(void **state)
{
	int pair[2];
	struct outbox o;

	assert_int_equal(msg_pair(pair), 0);
	outbox_init(&o, pair[0]);
	while (!o.count)
		send_one(&o, 1, 50000, -1);
	while (o.count < OUTBOX_MAX)
		send_one(&o, 2, 8, -1);
	assert_int_equal(o.lost, 0);
	send_one(&o, 3, 8, -1);
	assert_int_equal(o.lost, 1);
	assert_int_equal(o.count, OUTBOX_MAX);
	close(pair[1]); /* egretd dies */
	assert_true(outbox_flush(&o));
	assert_int_equal(o.lost, OUTBOX_MAX + 1);
	outbox_done(&o);
	send_one(&o, 4, 8, -1);
	assert_int_equal(o.lost, OUTBOX_MAX + 2);
	close(pair[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_through_full_socket),
		cmocka_unit_test(test_bound_and_loss),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
