/* SPDX-License-Identifier: Apache-2.0 */
/* egret-compile as egretd runs it: one socket on descriptor 3, jailed, one question, one answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/msg.h"
#include "base/proto.h"
#include "egretd/inspect.h"
#include "policy/archive.h"
#include "policy/policy.h"

static char program[4096];

static int memfd_of(const char *text)
{
	int fd = memfd_create("source", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

/* Asks; the answer's type. Checks that the program ended well. */
static uint16_t ask_msg(struct msg_out *q, struct msg_in *ret)
{
	int pair[2], status;
	struct pollfd p;
	pid_t pid;

	assert_int_equal(msg_pair(pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (pair[1] == PROTO_SOCKET_FD)
			fcntl(PROTO_SOCKET_FD, F_SETFD, 0);
		else
			dup2(pair[1], PROTO_SOCKET_FD);
		execl(program, "egret-compile", NULL);
		_exit(127);
	}
	close(pair[1]);
	assert_int_equal(msg_send(pair[0], q), 0);
	p = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(msg_recv(pair[0], ret), 0);
	close(pair[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(ret->id, 7);
	return ret->type;
}

static uint16_t ask(const char *text, const char *kind, uint64_t flags, struct msg_in *ret)
{
	struct msg_out q;
	int fd = memfd_of(text);
	uint16_t type;

	msg_begin(&q, MSG_COMPILE, 7);
	msg_put_fd(&q, TAG_FD_SOURCE, fd);
	msg_put_str(&q, TAG_NAME, STR("f.json"));
	msg_put_str(&q, TAG_KIND, str_of(kind));
	msg_put_u64(&q, TAG_FLAGS, flags);
	type = ask_msg(&q, ret);
	close(fd);
	return type;
}

static uint16_t ask_archive(int fd, struct msg_in *ret)
{
	struct msg_out q;

	msg_begin(&q, MSG_COMPILE, 7);
	msg_put_fd(&q, TAG_FD_ARCHIVE, fd);
	return ask_msg(&q, ret);
}

static uint16_t ask_inspect(const char *config, const char *host, struct msg_in *ret)
{
	struct msg_out q;
	int fds[2] = { memfd_of(config), memfd_of(host) };
	uint16_t type;

	msg_begin(&q, MSG_INSPECT, 7);
	msg_put_fd(&q, TAG_FD_SOURCE, fds[1]); /* the order says nothing */
	msg_put_str(&q, TAG_KIND, STR("docker-host"));
	msg_put_fd(&q, TAG_FD_SOURCE, fds[0]);
	msg_put_str(&q, TAG_KIND, STR("docker-config"));
	type = ask_msg(&q, ret);
	close(fds[0]);
	close(fds[1]);
	return type;
}

static void inspects(void **state)
{
	struct inspected i;
	struct msg_in m;
	struct str text;

	assert_int_equal(
		ask_inspect("{ \"Name\": \"/c\", \"Config\": { \"Image\": \"i:1\", \"Labels\": { "
			    "\"0a1b2c\": \"\", \"com.gitlab.gitlab-runner.job.id\": \"7\" } }, "
			    "\"State\": { \"Running\": true }, \"NetworkSettings\": { "
			    "\"Ports\": { \"80/tcp\": [ { \"HostIp\": \"::\", \"HostPort\": "
			    "\"8080\" }, { \"HostIp\": \"198.51.100.1\", \"HostPort\": \"22\" } "
			    "], \"22/udp\": [ { \"HostIp\": \"0.0.0.0\", \"HostPort\": \"22\" } "
			    "] }, \"Networks\": { \"n\": { \"Aliases\": [\"a\"] } } } }",
			    "{ \"Privileged\": true, \"NetworkMode\": \"n\", \"PortBindings\": { "
			    "\"81/tcp\": [ { \"HostPort\": \"23\" } ] } }",
			    &m),
		MSG_INSPECTED);
	assert_int_equal(inspected_open(&m, &i), 0);
	msg_in_done(&m);
	assert_string_equal(i.name.p, "c");
	assert_string_equal(i.image.p, "i:1");
	assert_string_equal(inspected_label(&i, "com.gitlab.gitlab-runner.job.id"), "7");
	assert_string_equal(inspected_label(&i, "0a1b2c"), "");
	assert_null(inspected_label(&i, "0a1b2"));
	assert_string_equal(i.networks.at[0].p, "n");
	assert_string_equal(i.aliases.at[0].p, "a");
	assert_int_equal(i.nports, 1);
	assert_true(i.ports[0].six);
	assert_int_equal(i.ports[0].host, 8080);
	assert_int_equal(i.ports[0].container, 80);
	assert_int_equal(i.flags, INSPECT_PRIVILEGED);
	inspected_done(&i);

	assert_int_equal(ask_inspect("{", "{}", &m), MSG_FAILED);
	assert_int_equal(msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text), 0);
	assert_true(str_starts(text, "config.v2.json:1:1: "));
	msg_in_done(&m);
}

static void compiles(void **state)
{
	struct msg_in m;
	struct policy p;
	struct pack k;
	char bytes[8192];
	ssize_t n;
	int fd;

	assert_int_equal(ask("{ \"rules\": [ { \"allow\": \"READ https://*.x.example\" } ] }",
			     "policy", 0, &m),
			 MSG_COMPILED);
	assert_int_equal(msg_take_fd(&m, TAG_FD_POLICY, &fd), 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	n = pread(fd, bytes, sizeof(bytes), 0);
	close(fd);
	assert_true(n > 0);
	assert_int_equal(pack_open(bytes, (size_t)n, &k), 0);
	assert_int_equal(k.count, 1);
	assert_int_equal(policy_open(pack_at(&k, 0), &p), 0);
	assert_true(str_is(policy_name(&p), "f"));
	msg_in_done(&m);
}

static void says_what_is_wrong(void **state)
{
	struct msg_in m;
	struct str text;

	assert_int_equal(ask("{ \"mode\": \"block\", \"rules\": [] }", "policy", 0, &m),
			 MSG_FAILED);
	assert_int_equal(msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text), 0);
	assert_true(str_is(text,
			   "f.json:1:11: mode: unknown mode \"block\"; did you mean \"enforce\"?"));
	msg_in_done(&m);
}

/* Far more files than a message holds descriptors; the last one is broken, then mended. */
static void compiles_an_archive(void **state)
{
	enum { MANY = 300 };
	char name[64], text[128];
	struct archive_out a;
	struct msg_in m;
	struct pack k;
	struct str why;
	char *bytes;
	off_t size;
	int fd;

	for (unsigned broken = 0; broken < 2; broken++) {
		assert_int_equal(archive_begin(&a), 0);
		for (unsigned i = 0; i < MANY; i++) {
			int file;

			snprintf(name, sizeof(name), "/p/p%u.json", i);
			snprintf(text, sizeof(text),
				 "{\n \"%s\": [ { \"allow\": \"READ "
				 "https://h%u.example.net\" } ] }",
				 broken && i == MANY - 1 ? "rulse" : "rules", i);
			file = memfd_of(text);
			assert_int_equal(archive_add(&a, SOURCE_POLICY, str_of(name), file), 0);
			close(file);
		}
		assert_int_equal(archive_seal(&a, &fd), 0);
		assert_int_equal(ask_archive(fd, &m), broken ? MSG_FAILED : MSG_COMPILED);
		close(fd);
		if (broken) {
			assert_int_equal(msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &why), 0);
			assert_true(str_starts(why, "/p/p299.json:2:2: "));
			msg_in_done(&m);
			continue;
		}
		assert_int_equal(msg_take_fd(&m, TAG_FD_POLICY, &fd), 0);
		size = lseek(fd, 0, SEEK_END);
		bytes = malloc((size_t)size);
		assert_non_null(bytes);
		assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
		assert_int_equal(pack_open(bytes, (size_t)size, &k), 0);
		assert_int_equal(k.count, MANY);
		free(bytes);
		close(fd);
		msg_in_done(&m);
	}
}

static void refuses_what_is_no_archive(void **state)
{
	struct msg_in m;
	struct str text;
	int fd = memfd_of("EAR1\377\377\377\377 and so on");

	assert_int_equal(ask_archive(fd, &m), MSG_FAILED);
	assert_int_equal(msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text), 0);
	assert_true(str_is(text, "the policies' archive is not well-formed"));
	msg_in_done(&m);
	close(fd);
}

static void no_references(void **state)
{
	static const char cred[] =
		"{ \"name\": \"c\", \"provider\": \"store\", \"value\": \"s\", \"for\": \"any\", "
		"\"hosts\": [\"a.example.net\"], \"inject\": { \"basic\": \"u:{token}\" } }";
	struct msg_in m;

	assert_int_equal(ask(cred, "credential", 0, &m), MSG_COMPILED);
	msg_in_done(&m);
	assert_int_equal(ask(cred, "credential", 1, &m), MSG_FAILED);
	msg_in_done(&m);
	assert_int_equal(ask(cred, "nonsense", 0, &m), MSG_FAILED);
	msg_in_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiles),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(compiles_an_archive),
		cmocka_unit_test(refuses_what_is_no_archive),
		cmocka_unit_test(no_references),
		cmocka_unit_test(inspects),
	};
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (n <= 0)
		return 1;
	self[n] = 0;
	/* BUILD/tests/unit/compile/test_program -> BUILD/bin/egret-compile */
	for (int i = 0; i < 4; i++)
		*strrchr(self, '/') = 0;
	snprintf(program, sizeof(program), "%s/bin/egret-compile", self);
	if (access(program, X_OK) != 0) {
		printf("1..0 # SKIP %s is not built\n", program);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
