/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets from another process: in the order of the questions, given up or not, many at once, and
 * what is told when the source fails, ends, or is closed. The source of the first tests is the real
 * one, in a child; that of the others is the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/msg.h"
#include "base/proto.h"
#include "proxy/sockets.h"
#include "unit/proxy/pairs.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define NETNS 7
#define MANY 100

static struct proxy px;
static int theirs = -1;
static pid_t source;
static struct said {
	int n, fd;
} said[MANY];

static void on_socket(void *owner, int fd)
{
	struct said *s = owner;

	s->n++;
	s->fd = fd;
}

static int open_with(bool real)
{
	int pair[2];

	memset(said, 0, sizeof(said));
	px.loop = loop_new();
	assert_int_equal(msg_pair(pair), 0);
	theirs = pair[1];
	source = real ? fork() : 0;
	if (real && !source) {
		close(pair[0]);
		_exit(source_serve(pair[1]));
	}
	if (real) {
		close(theirs);
		theirs = -1;
	}
	return sockets_add(&px, NETNS, pair[0]);
}

static int open_real(void **state)
{
	return open_with(true);
}

static int open_fake(void **state)
{
	return open_with(false);
}

static int done(void **state)
{
	int st = 0;

	sockets_close(NETNS);
	loop_free(px.loop);
	if (theirs >= 0)
		close(theirs);
	if (source > 0) {
		assert_int_equal(waitpid(source, &st, 0), source);
		/* It ends by itself with the proxy's end. */
		assert_true(WIFEXITED(st) && !WEXITSTATUS(st));
	}
	return 0;
}

static void until(const struct said *s)
{
	for (int i = 0; i < 5000 && !s->n; i++)
		turns(px.loop, 1);
	assert_int_equal(s->n, 1);
}

static int family_of(int fd)
{
	int family = 0;
	socklen_t n = sizeof(family);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n), 0);
	return family;
}

static void test_real(void **state)
{
	int linger = 0;
	socklen_t n = sizeof(linger);

	assert_true(sockets_from(NETNS) == NETNS);
	assert_true(sockets_from(NETNS + 1) == 0);
	for (int i = 0; i < MANY; i++)
		sockets_get(&px, NETNS, i % 2 ? AF_INET6 : AF_INET, on_socket, &said[i]);
	until(&said[MANY - 1]);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(said[i].n, 1);
		assert_int_equal(family_of(said[i].fd), i % 2 ? AF_INET6 : AF_INET);
		assert_true(fcntl(said[i].fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(said[i].fd, F_GETFD) & FD_CLOEXEC);
	}
	/* Long enough that the other side's FIN is answered by a whole socket. */
	assert_int_equal(getsockopt(said[0].fd, IPPROTO_TCP, TCP_LINGER2, &linger, &n), 0);
	assert_true(linger > 60);
	for (int i = 0; i < MANY; i++)
		close(said[i].fd);
	sockets_get(&px, NETNS, AF_UNIX, on_socket, memset(&said[0], 0, sizeof(said[0])));
	until(&said[0]);
	assert_int_equal(said[0].fd, -EAFNOSUPPORT);
}

static void test_given_up(void **state)
{
	struct socket_ask *list[MANY];

	/* Those under way and those that wait, each second one. */
	for (int i = 0; i < MANY; i++)
		list[i] = sockets_get(&px, NETNS, i % 2 ? AF_INET6 : AF_INET, on_socket, &said[i]);
	for (int i = 0; i < MANY; i += 2)
		sockets_cancel(list[i]);
	until(&said[MANY - 1]);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(said[i].n, i % 2);
		if (i % 2) {
			assert_int_equal(family_of(said[i].fd), AF_INET6);
			close(said[i].fd);
		}
	}
	sockets_cancel(NULL);
}

static void answer(uint16_t type, int fd)
{
	struct msg_out m;

	msg_begin(&m, type, 0);
	if (fd >= 0)
		msg_put_fd(&m, TAG_FD_DIAL, fd);
	assert_int_equal(msg_send(theirs, &m), 0);
}

static void test_strange_answers(void **state)
{
	sockets_get(&px, NETNS, AF_INET, on_socket, &said[0]);
	sockets_get(&px, NETNS, AF_INET, on_socket, &said[1]);
	answer(MSG_OK, -1);
	until(&said[0]);
	assert_true(said[0].fd < 0);
	answer(MSG_FAILED, -1);
	until(&said[1]);
	assert_int_equal(said[1].fd, -EIO);
}

/* What nobody asked for ends it, and the loop a moment later: another proxy has another source. */
static void test_unasked(void **state)
{
	answer(MSG_OK, theirs);
	turns(px.loop, 3);
	assert_true(sockets_from(NETNS) == NETNS); /* never the host's in its place */
	sockets_get(&px, NETNS, AF_INET, on_socket, &said[0]);
	until(&said[0]);
	assert_int_equal(said[0].fd, -ENETDOWN);
	assert_int_equal(loop_run(px.loop), 1);
}

static void test_ends(void **state)
{
	struct socket_ask *gone;

	sockets_get(&px, NETNS, AF_INET, on_socket, &said[0]);
	sockets_cancel(sockets_get(&px, NETNS, AF_INET, on_socket, &said[1]));
	close(theirs);
	theirs = -1;
	until(&said[0]);
	assert_int_equal(said[0].fd, -ENETDOWN);
	gone = sockets_get(&px, NETNS, AF_INET, on_socket, &said[2]);
	sockets_cancel(gone);
	turns(px.loop, 3);
	assert_int_equal(said[1].n + said[2].n, 0);
	assert_int_equal(loop_run(px.loop), 1);
}

/* The namespace left the job: no reason to end. */
static void test_closed(void **state)
{
	sockets_get(&px, NETNS, AF_INET, on_socket, &said[0]);
	sockets_close(NETNS);
	assert_true(sockets_from(NETNS) == 0);
	until(&said[0]);
	assert_int_equal(said[0].fd, -ENETDOWN);
	sockets_get(&px, NETNS, AF_INET, on_socket, &said[1]);
	until(&said[1]);
	assert_int_equal(said[1].fd, -ENETDOWN);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_real, open_real, done),
		cmocka_unit_test_setup_teardown(test_given_up, open_real, done),
		cmocka_unit_test_setup_teardown(test_strange_answers, open_fake, done),
		cmocka_unit_test_setup_teardown(test_unasked, open_fake, done),
		cmocka_unit_test_setup_teardown(test_ends, open_fake, done),
		cmocka_unit_test_setup_teardown(test_closed, open_fake, done),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, NULL, NULL);
}
