/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real egret-broker under test, with the test in egretd's place: started on a store of its own,
 * asked, ended. For the tests of this folder; each includes it once.
 */
#ifndef EGRET_TESTS_UNIT_BROKER_RIG_H
#define EGRET_TESTS_UNIT_BROKER_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/msg.h"
#include "base/proto.h"
#include "event/event.h"
#include "policy/compile.h"
#include "policy/credential.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOTS "/etc/ssl/certs/ca-certificates.crt"

static char dir[] = "/tmp/egret-test-broker-XXXXXX";
static char program[4096];
static int store_fd = -1, key_fd = -1;
static const char secret_value[] = "s3cr3t-canary-4b1d9c77e0";

static struct broker {
	pid_t pid;
	int sock;
} broker;

static inline int memfd_of(const void *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	return fd;
}

static inline bool recv_ms(int sock, struct msg_in *m, int ms)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && msg_recv(sock, m) == 0;
}

static inline void ask(int sock, struct msg_out *q, struct msg_in *ret)
{
	assert_int_equal(msg_send(sock, q), 0);
	assert_true(recv_ms(sock, ret, 5000));
}

static inline pid_t spawn(int sock)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		const struct rlimit memlock = { 8 << 20, 8 << 20 };
		char *argv[] = { (char *)"egret-broker", NULL }, *envp[] = { NULL };
		int high = fcntl(sock, F_DUPFD_CLOEXEC, 10),
		    exe = open(program, O_PATH | O_CLOEXEC);

		setrlimit(RLIMIT_MEMLOCK, &memlock);
		if (dup2(high, PROTO_SOCKET_FD) < 0)
			_exit(125);
		/* As egretd does; where the test is not root, the same uid serves. */
		if (geteuid() == 0 &&
		    (setresgid(65601, 65601, 65601) < 0 || setresuid(65601, 65601, 65601) < 0))
			_exit(126);
		syscall(SYS_execveat, exe, "", argv, envp, AT_EMPTY_PATH);
		_exit(127);
	}
	return pid;
}

/* The type of the broker's answer. */
static inline int broker_try(bool with_roots, uint64_t flags)
{
	struct msg_out q;
	struct msg_in m;
	int pair[2], type, roots = with_roots ? open(ROOTS, O_RDONLY | O_CLOEXEC) : -1;

	assert_int_equal(msg_pair(pair), 0);
	broker.pid = spawn(pair[1]);
	close(pair[1]);
	broker.sock = pair[0];
	msg_begin(&q, MSG_BROKER_START, 1);
	msg_put_fd(&q, TAG_FD_STORE_DIR, store_fd);
	msg_put_fd(&q, TAG_FD_STORE_KEY, key_fd);
	if (roots >= 0)
		msg_put_fd(&q, TAG_FD_ROOTS, roots);
	if (flags)
		msg_put_u64(&q, TAG_FLAGS, flags);
	ask(broker.sock, &q, &m);
	type = m.type;
	msg_in_done(&m);
	if (roots >= 0)
		close(roots);
	return type;
}

static inline void broker_up(bool with_roots)
{
	assert_int_equal(broker_try(with_roots, 0), MSG_OK);
}

/* Ends it as asked; the exit status must be 0 (the sanitizers speak there as well). */
static inline void broker_down(void)
{
	struct msg_out q;
	int status;

	msg_begin(&q, MSG_STOP, 0);
	assert_int_equal(msg_send(broker.sock, &q), 0);
	assert_int_equal(waitpid(broker.pid, &status, 0), broker.pid);
	assert_int_equal(status, 0);
	close(broker.sock);
	broker.pid = 0;
}

static inline void broker_kill(void)
{
	kill(broker.pid, SIGKILL);
	waitpid(broker.pid, NULL, 0);
	close(broker.sock);
	broker.pid = 0;
}

static inline int secret_set(const char *name, const char *value, size_t n, char *text, size_t size)
{
	struct msg_out q;
	struct msg_in m;
	struct str why;
	int fd = memfd_of(value, n), type;

	msg_begin(&q, MSG_SECRET_SET, 7);
	msg_put_str(&q, TAG_NAME, str_of(name));
	msg_put_fd(&q, TAG_FD_VALUE, fd);
	ask(broker.sock, &q, &m);
	close(fd);
	assert_int_equal(m.id, 7);
	type = m.type;
	if (text && msg_get_str(&m, TAG_TEXT, 512, &why) == 0)
		snprintf(text, size, "%.*s", STR_ARG(why));
	msg_in_done(&m);
	return type;
}

/* Two credentials of the store, as egret-compile writes them: one whose secret is there, one whose
 * is not. */
static inline int creds_fd(void)
{
#define CREDENTIAL(name, secret)                                                           \
	"{ \"name\": \"" name "\", \"provider\": \"store\", \"value\": \"store:" secret    \
	"\", \"for\": \"any\", \"hosts\": [\"api.shop.test\"], \"inject\": { \"header\": " \
	"\"Authorization\", \"format\": \"Bearer {token}\" } }"
	const struct source sources[] = {
		{ SOURCE_CREDENTIAL, STR("release.json"), STR(CREDENTIAL("release", "b-key")) },
		{ SOURCE_CREDENTIAL, STR("absent.json"), STR(CREDENTIAL("absent", "no-such")) },
	};
	struct compiled c;
	struct str images[2];
	struct credential cred;
	int fd = -1;

	assert_int_equal(policy_compile(sources, 2, 0, &c), 0);
	assert_int_equal(c.ncredentials, 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(credential_open(c.credentials[i], &cred), 0);
		images[str_is(credential_name(&cred), "release") ? 0 : 1] = c.credentials[i];
	}
	assert_int_equal(pack_write(images, 2, &fd), 0);
	compiled_done(&c);
	return fd;
}

static int (*rig_creds)(void) = creds_fd; /* of the jobs that are opened */
static uint32_t rig_wanted[8];		  /* MSG_PROVIDER_WANT that came before another answer */
static unsigned rig_nwanted;

struct opened {
	int peer, ca, bundle, p12;
	char sealed[4096];
	size_t sealed_n;
};

static void (*rig_job_more)(struct msg_out *q); /* what else comes with a job; NULL */

static inline void job_open(uint64_t id, const struct opened *before, struct opened *ret)
{
	struct msg_out q;
	struct msg_in m;
	struct str sealed;
	int pair[2], creds = rig_creds();

	assert_int_equal(msg_pair(pair), 0);
	msg_begin(&q, MSG_JOB_OPEN, 20);
	msg_put_u64(&q, TAG_JOB, id);
	msg_put_str(&q, TAG_JOB_NAME, STR("j-7f3a2c91"));
	msg_put_fd(&q, TAG_FD_PEER, pair[1]);
	msg_put_fd(&q, TAG_FD_CREDS, creds);
	if (before)
		msg_put(&q, TAG_SEALED, before->sealed, before->sealed_n);
	if (rig_job_more)
		rig_job_more(&q);
	ask(broker.sock, &q, &m);
	while (m.type == MSG_PROVIDER_WANT || m.type == MSG_PROVIDER_END || m.type == MSG_EVENT) {
		if (m.type == MSG_PROVIDER_WANT && rig_nwanted < ARRAY_SIZE(rig_wanted))
			rig_wanted[rig_nwanted++] = m.id;
		msg_in_done(&m);
		assert_true(recv_ms(broker.sock, &m, 5000));
	}
	close(pair[1]);
	close(creds);
	assert_int_equal(m.type, MSG_JOB_OPENED);
	assert_int_equal(msg_get(&m, TAG_SEALED, &sealed), 0);
	assert_true(sealed.n < sizeof(ret->sealed));
	memcpy(ret->sealed, sealed.p, sealed.n);
	ret->sealed_n = sealed.n;
	ret->peer = pair[0];
	assert_int_equal(msg_take_fd(&m, TAG_FD_CA, &ret->ca), 0);
	assert_int_equal(msg_take_fd(&m, TAG_FD_BUNDLE, &ret->bundle), 0);
	assert_int_equal(msg_take_fd(&m, TAG_FD_P12, &ret->p12), 0);
	msg_in_done(&m);
}

static inline void opened_done(struct opened *o)
{
	close(o->peer);
	close(o->ca);
	close(o->bundle);
	close(o->p12);
}

static inline int set_up(void **state)
{
	char path[4096], hex[65];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	/* build[/asan]/tests/unit/broker/test_broker -> build[/asan]/bin/egret-broker */
	if (n <= 0 || !mkdtemp(dir))
		return -1;
	program[n] = '\0';
	for (int i = 0; i < 4; i++)
		*strrchr(program, '/') = '\0';
	strncat(program, "/bin/egret-broker", sizeof(program) - strlen(program) - 1);
	if (access(program, X_OK) < 0) {
		fprintf(stderr, "# %s is missing: run make build\n", program);
		return -1;
	}
	chmod(dir, 0755);
	snprintf(path, sizeof(path), "%s/store", dir);
	if (mkdir(path, 0700) < 0 || (geteuid() == 0 && chown(path, 65601, 65601) < 0))
		return -1;
	store_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(hex, 'a', 64);
	hex[64] = '\n';
	key_fd = memfd_of(hex, 65);
	return store_fd < 0 ? -1 : 0;
}

/* Also after a failure: the broker that was left, the files. */
static inline int test_over(void **state)
{
	rig_nwanted = 0;
	if (broker.pid > 0)
		broker_kill();
	unlinkat(store_fd, "leases.journal", 0);
	return 0;
}

static inline int tear_down(void **state)
{
	DIR *d = fdopendir(dup(store_fd));
	struct dirent *de;
	char path[4096];

	while (d && (de = readdir(d)))
		unlinkat(store_fd, de->d_name, 0);
	if (d)
		closedir(d);
	close(store_fd);
	close(key_fd);
	snprintf(path, sizeof(path), "%s/store", dir);
	rmdir(path);
	return rmdir(dir);
}

#endif
