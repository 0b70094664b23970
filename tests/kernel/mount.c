/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-mount as egretd starts it, on containers made here: a mount namespace with a root of its
 * own (pivot_root), files, symbolic links that point out of it, folders that are not writable. What
 * the container sees is asked from inside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/msg.h"
#include "base/proto.h"
#include "trust/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEM(x) "-----BEGIN CERTIFICATE-----\n" x "\n-----END CERTIFICATE-----\n"
#define OWN PEM("MAcwAAQDYWJj")
#define CA PEM("MAcwAAQDeHl6")
#define ROOTS PEM("MAcwAAQDcm9v")
#define DEBIAN "/etc/ssl/certs/ca-certificates.crt"
#define ALPINE "/etc/ssl/cert.pem"
#define FEDORA "/etc/pki/tls/certs/ca-bundle.crt"
#define FEDORA_REAL "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
#define SUSE "/etc/ssl/ca-bundle.pem"
#define JAVA "/etc/ssl/certs/java/cacerts"

static char program[PATH_MAX];
static int propagation = MS_REC | MS_SLAVE; /* as engines do */

struct container {
	pid_t pid;
	char root[PATH_MAX]; /* /proc/PID/root */
	int mntns, fd;
};

static void folders(const char *path)
{
	char whole[PATH_MAX], *at;

	snprintf(whole, sizeof(whole), "%s", path + 1);
	for (at = whole; (at = strchr(at, '/')); at++) {
		*at = 0;
		mkdir(whole, 0755);
		*at = '/';
	}
}

/* In the new root, before it is one. */
static void put(const char *path, const char *text)
{
	int fd;

	folders(path);
	fd = open(path + 1, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(90);
	close(fd);
}

static void point(const char *path, const char *to)
{
	folders(path);
	if (symlink(to, path + 1) < 0)
		_exit(91);
}

/* A container: `fill` works in its root; `later` when it is the root. */
static struct container container(void (*fill)(void), void (*later)(void))
{
	struct container c;
	int ready[2];
	char path[64], ok;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	c.pid = fork();
	if (c.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, (unsigned long)propagation, NULL) < 0 ||
		    mount("root", "/mnt", "tmpfs", 0, NULL) < 0 || chdir("/mnt") < 0)
			_exit(1);
		fill();
		mkdir("old", 0700);
		if (syscall(SYS_pivot_root, ".", "old") < 0 || chdir("/") < 0 ||
		    umount2("/old", MNT_DETACH) < 0)
			_exit(2);
		if (later)
			later();
		if (write(ready[1], "k", 1) != 1)
			_exit(3);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &ok, 1), 1);
	close(ready[0]);
	snprintf(c.root, sizeof(c.root), "/proc/%d/root", (int)c.pid);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)c.pid);
	c.mntns = open(path, O_RDONLY | O_CLOEXEC);
	c.fd = open(c.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(c.mntns >= 0 && c.fd >= 0);
	return c;
}

static void container_end(struct container *c)
{
	close(c->mntns);
	close(c->fd);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
}

static int file_of(const char *text)
{
	int fd = (int)syscall(SYS_memfd_create, "test", 1);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

/* 0 with the count, or what it said. */
static char said[PROTO_TEXT_MAX];
static int ask(int mntns, int root, uint64_t *ret_n, uint64_t *ret_flags)
{
	int pair[2], ca = file_of(CA), bundle = file_of(ROOTS CA), p12 = file_of("P12"), r;
	struct pollfd p;
	struct msg_out out;
	struct msg_in in;
	struct str text;
	pid_t pid;

	assert_int_equal(msg_pair(pair), 0);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		dup2(pair[1], PROTO_SOCKET_FD);
		close_range(PROTO_SOCKET_FD + 1, ~0u, 0);
		execl(program, "egret-mount", NULL);
		_exit(127);
	}
	close(pair[1]);
	msg_begin(&out, MSG_MOUNT, 7);
	msg_put_fd(&out, TAG_FD_MNTNS, mntns);
	msg_put_fd(&out, TAG_FD_ROOT, root);
	msg_put_fd(&out, TAG_FD_CA, ca);
	msg_put_fd(&out, TAG_FD_BUNDLE, bundle);
	msg_put_fd(&out, TAG_FD_P12, p12);
	msg_put_u64(&out, TAG_UID, 64321);
	assert_int_equal(msg_send(pair[0], &out), 0);
	p = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 20000), 1);
	r = msg_recv(pair[0], &in);
	assert_int_equal(r, 0);
	assert_int_equal(in.id, 7);
	said[0] = 0;
	if (in.type == MSG_OK) {
		assert_int_equal(msg_get_u64(&in, TAG_INDEX, ret_n), 0);
		assert_int_equal(msg_get_u64(&in, TAG_FLAGS, ret_flags), 0);
	} else {
		r = -1;
		assert_int_equal(msg_get_str(&in, TAG_TEXT, PROTO_TEXT_MAX, &text), 0);
		snprintf(said, sizeof(said), "%.*s", STR_ARG(text));
	}
	msg_in_done(&in);
	close(pair[0]);
	close(ca);
	close(bundle);
	close(p12);
	waitpid(pid, NULL, 0);
	return r;
}

/* What a process of the container reads. */
static const char *inside(const struct container *c, const char *path)
{
	static char text[8192];
	struct stat st;
	ssize_t n = -1;
	int pipes[2];
	pid_t pid;

	(void)st;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (setns(c->mntns, CLONE_NEWNS) < 0 || setresuid(1000, 1000, 1000) < 0)
			_exit(1);
		fd = open(path, O_RDONLY);
		n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		_exit(write(pipes[1], text, (size_t)n) != n);
	}
	close(pipes[1]);
	n = read(pipes[0], text, sizeof(text) - 1);
	close(pipes[0]);
	waitpid(pid, NULL, 0);
	text[n > 0 ? n : 0] = 0;
	return text;
}

/* errno of root of the container when it writes, removes or renames over it. */
static int write_inside(const struct container *c, const char *path)
{
	int st = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setns(c->mntns, CLONE_NEWNS) < 0)
			_exit(1);
		if (open(path, O_WRONLY) >= 0)
			_exit(2);
		if (errno == EROFS && unlink(path) == 0)
			_exit(3);
		_exit(errno == EBUSY || errno == EROFS ? 99 : 4);
	}
	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static void debian(void)
{
	put(DEBIAN, "# text between\n" OWN);
	point(ALPINE, "certs/ca-certificates.crt");
	put(JAVA, "old");
	mkdir("run", 0755);
	mkdir("run/egret", 0755);
}

static void test_covers(void **state)
{
	struct container c = container(debian, NULL);
	uint64_t n = 0, flags = 0;
	struct stat st;
	(void)state;

	assert_int_equal(ask(c.mntns, c.fd, &n, &flags), 0);
	assert_int_equal(n, 2); /* the link is the same file */
	assert_int_equal(flags, MOUNT_DIR);
	assert_string_equal(inside(&c, DEBIAN), OWN CA);
	assert_string_equal(inside(&c, ALPINE), OWN CA);
	assert_string_equal(inside(&c, JAVA), "P12");
	assert_string_equal(inside(&c, TRUST_CA), CA);
	assert_string_equal(inside(&c, TRUST_BUNDLE), ROOTS CA);
	assert_string_equal(inside(&c, TRUST_P12), "P12");
	assert_int_equal(write_inside(&c, DEBIAN), 99);
	assert_int_equal(write_inside(&c, JAVA), 99);
	assert_int_equal(write_inside(&c, TRUST_BUNDLE), 99);
	assert_int_equal(stat(DEBIAN, &st) == 0 && st.st_size == (off_t)strlen(OWN CA), 0);
	container_end(&c);
}

static void hostile(void)
{
	put("/etc/shadow.pem", OWN);
	put("/secret", "x");
	/* Out of the root, absolute, by .., in a circle, by a magic link, a folder, a pipe. */
	point(DEBIAN, "/etc/shadow.pem");
	point(FEDORA, "../../../../../../../../../etc/hostname");
	point(ALPINE, "cert.pem");
	point(SUSE, "/proc/self/root/etc/passwd");
	mkdir("etc/pki/tls/cacert.pem", 0755);
	folders(JAVA);
	if (mkfifo(&JAVA[1], 0644) < 0)
		_exit(92);
	point("/run", "/etc");
}

static void test_links_stay_inside(void **state)
{
	struct container c = container(hostile, NULL);
	uint64_t n = 0, flags = 0;
	char before[4096] = "", after[4096] = "";
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct stat st;
	(void)state;

	assert_true(read(fd, before, sizeof(before) - 1) > 0);
	close(fd);
	assert_int_equal(ask(c.mntns, c.fd, &n, &flags), 0);
	assert_int_equal(n, 1); /* only the container's own /etc/shadow.pem */
	assert_int_equal(flags, 0);
	assert_string_equal(inside(&c, "/etc/shadow.pem"), OWN CA);
	assert_int_not_equal(stat("/etc/shadow.pem", &st), 0);
	fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, after, sizeof(after) - 1) > 0);
	close(fd);
	assert_string_equal(before, after);
	container_end(&c);
}

static void unusual(void)
{
	put(DEBIAN, "");
	put(FEDORA_REAL, "-----BEGIN CERTIFICATE-----\nno base64 ::\n-----END CERTIFICATE-----\n");
	put(SUSE, "no certificates at all\n");
	point(FEDORA, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem");
	mkdir("run", 0755);
}

static void read_only(void)
{
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		_exit(5);
}

/* Nothing that could be used: public roots and the CA. A read-only root, which has no TRUST_DIR and
 * gets none. */
static void test_unusable_bundles(void **state)
{
	struct container c = container(unusual, read_only);
	uint64_t n = 0, flags = 9;
	(void)state;

	assert_int_equal(ask(c.mntns, c.fd, &n, &flags), 0);
	assert_int_equal(n, 3);
	assert_int_equal(flags, 0);
	assert_string_equal(inside(&c, DEBIAN), ROOTS CA);
	assert_string_equal(inside(&c, FEDORA), ROOTS CA);
	assert_string_equal(inside(&c, SUSE), ROOTS CA);
	assert_string_equal(inside(&c, TRUST_CA), "");
	container_end(&c);
}

static void empty(void)
{
	mkdir("run", 0755);
}

static void run_tmpfs(void)
{
	if (mount("run", "/run", "tmpfs", 0, NULL) < 0)
		_exit(6);
}

static void test_nothing_there(void **state)
{
	struct container c = container(empty, NULL), own_run = container(empty, run_tmpfs);
	uint64_t n = 9, flags = 9;
	(void)state;

	assert_int_equal(ask(c.mntns, c.fd, &n, &flags), 0);
	assert_int_equal(n, 0);
	assert_int_equal(ask(own_run.mntns, own_run.fd, &n, &flags), 0);
	assert_int_equal(n, 0);
	assert_int_equal(flags, MOUNT_DIR);
	assert_string_equal(inside(&own_run, TRUST_CA), CA);
	container_end(&c);
	container_end(&own_run);
}

/* The second of two files cannot be covered (of another namespace's tree): the first is as it was.
 */
static void test_refused_whole(void **state)
{
	struct container c = container(debian, NULL), other = container(debian, NULL);
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	uint64_t n = 0, flags = 0;
	(void)state;

	assert_int_equal(ask(c.mntns, other.fd, &n, &flags), -1);
	assert_non_null(strstr(said, "not in the container's own tree"));
	assert_string_equal(inside(&c, DEBIAN), "# text between\n" OWN);
	assert_string_equal(inside(&other, DEBIAN), "# text between\n" OWN);
	assert_int_equal(ask(own, c.fd, &n, &flags), -1);
	assert_non_null(strstr(said, "host's mount namespace"));
	assert_int_equal(ask(net, c.fd, &n, &flags), -1);
	assert_non_null(strstr(said, "no mount namespace"));
	close(own);
	close(net);
	container_end(&c);
	container_end(&other);
}

/* A folder that the host shares: what is mounted in it would appear in the host. The host is this
 * test's own namespace. */
static const char *shared_dir;
static void shares(void)
{
	put(JAVA, "old");
	mkdir("etc/ssl", 0755);
	mkdir("etc/pki", 0755);
	mkdir("etc/pki/tls", 0755);
	mkdir("etc/pki/tls/certs", 0755);
	if (mount(shared_dir, "etc/pki/tls/certs", NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, "etc/pki/tls/certs", NULL, MS_SHARED, NULL) < 0)
		_exit(7);
}

/* The bind is a peer of the host's mount: what is mounted below it appears in the host. */
static void shares_with_host(void)
{
	put(DEBIAN, OWN);
	folders("/etc/pki/tls/certs/x");
	if (mount(shared_dir, "etc/pki/tls/certs", NULL, MS_BIND, NULL) < 0)
		_exit(7);
}

static void test_shared_with_host(void **state)
{
	char dir[] = "/tmp/egret-mount-XXXXXX", file[64];
	struct container c;
	uint64_t n = 0, flags = 0;
	int st = 0, fd;
	pid_t pid;
	(void)state;

	/* A host of its own, so that no propagation of the machine's is touched. */
	assert_non_null(mkdtemp(dir));
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("x", dir, "tmpfs", 0, NULL) < 0 ||
		    mount(NULL, dir, NULL, MS_SHARED, NULL) < 0)
			_exit(1);
		snprintf(file, sizeof(file), "%s/ca-bundle.crt", dir);
		fd = open(file, O_WRONLY | O_CREAT, 0644);
		if (write(fd, OWN, strlen(OWN)) < 0)
			_exit(1);
		close(fd);
		shared_dir = dir;
		/* MS_SLAVE first, as engines do; then its own group: not the host's. */
		c = container(shares, NULL);
		if (ask(c.mntns, c.fd, &n, &flags) != 0 || n != 2)
			_exit(2);
		if (strcmp(inside(&c, FEDORA), OWN CA) != 0)
			_exit(3);
		fd = open(file, O_RDONLY);
		if (read(fd, said, sizeof(said)) != (ssize_t)strlen(OWN))
			_exit(4);
		container_end(&c);
		propagation = MS_SLAVE;
		c = container(shares_with_host, NULL);
		if (ask(c.mntns, c.fd, &n, &flags) == 0 || !strstr(said, "host shares"))
			_exit(5);
		if (strcmp(inside(&c, DEBIAN), OWN) != 0 || strcmp(inside(&c, FEDORA), OWN) != 0)
			_exit(6);
		container_end(&c);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	rmdir(dir);
	assert_int_equal(WEXITSTATUS(st), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_covers),		 cmocka_unit_test(test_links_stay_inside),
		cmocka_unit_test(test_unusable_bundles), cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_refused_whole),	 cmocka_unit_test(test_shared_with_host),
	};
	char self[PATH_MAX] = "";

	(void)argc;
	(void)argv;
	if (geteuid() != 0) {
		printf("1..0 # SKIP mounts need root\n");
		return 0;
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(program, sizeof(program), "%s/../../bin/egret-mount", dirname(self));
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, NULL, NULL);
}
