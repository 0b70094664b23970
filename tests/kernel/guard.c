/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LSM tier: socket families, sockets from outside, UNIX sockets of others. Each act first goes
 * through for a task that egret does not govern, then is refused to one that it does.
 */
#include "kernel/guard.h"
#include <linux/netlink.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include <sys/utsname.h>

static void test_families(void **state)
{
	static struct family list[] = {
		{ AF_UNIX, SOCK_STREAM, 0, true },
		{ AF_UNIX, SOCK_DGRAM, 0, true },
		{ AF_INET, SOCK_STREAM, 0, true },
		{ AF_INET6, SOCK_STREAM, IPPROTO_TCP, true },
		{ AF_INET, SOCK_STREAM, IPPROTO_MPTCP, true },
		{ AF_INET6, SOCK_DGRAM, 0, true },
		{ AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, true },
		{ AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, true },
		{ AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK, false },
		{ AF_PACKET, SOCK_RAW, 0, false },
		{ AF_PACKET, SOCK_DGRAM, 0, false },
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP, false },
		{ AF_INET6, SOCK_RAW, IPPROTO_RAW, false },
		{ AF_VSOCK, SOCK_STREAM, 0, false },
		{ AF_XDP, SOCK_RAW, 0, false },
		{ AF_ALG, SOCK_SEQPACKET, 0, false },
		{ AF_SMC, SOCK_STREAM, 0, false },
	};
	unsigned shown = 0;
	(void)state;

	flags_a(READY);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct family *f = &list[i];
		int outside = task_run(-1, -1, family_fn, f);

		if (outside == 0 && f->may) {
			allowed_in(W.a_fd, family_fn, f);
		} else if (outside == 0) {
			refused_in(W.a_fd, family_fn, f, EGRET_R_FAMILY);
			shown += f->family == AF_PACKET;
		} else {
			assert_false(f->may);
			/* Not in this kernel: the wall says so before the kernel does. */
			assert_int_equal(task_run(W.a_fd, -1, family_fn, f), EPERM);
		}
	}
	assert_int_equal(shown, 2);
}

/* Nobody's task has UNIX and netlink sockets; where the attach point is others' too, all of them.
 */
static void test_unregistered(void **state)
{
	static struct family packet = { AF_PACKET, SOCK_RAW, 0, false };
	static struct family local = { AF_UNIX, SOCK_STREAM, 0, true };
	static struct family tcp = { AF_INET, SOCK_STREAM, 0, false };
	struct kernel_where at = where(&W);
	char why[256] = "";
	(void)state;

	refused_in(W.none_fd, family_fn, &packet, EGRET_R_UNREGISTERED);
	refused_in(W.none_fd, family_fn, &tcp, EGRET_R_UNREGISTERED);
	allowed_in(W.none_fd, family_fn, &local);
	W.k = kernel_free(W.k);
	at.unknown_pass = true;
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	allowed_in(W.none_fd, family_fn, &packet);
	refused_in(W.a_fd, family_fn, &packet, EGRET_R_FAMILY);
	/* Somebody's once: refused there too. */
	need(kernel_cgroup_set(W.k, W.none, 0, 0), "set");
	refused_in(W.none_fd, family_fn, &packet, EGRET_R_UNREGISTERED);
	need(kernel_cgroup_del(W.k, W.none), "del");
	W.k = kernel_free(W.k);
	at.unknown_pass = false;
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
}

/* ---- sockets from outside ---- */

static int sock_type;
static int pass[2], passing;

/* A socket made by the task, sent to the test. */
static int give_fn(void *arg)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)"x", 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fd = arg ? *(int *)arg : socket(AF_INET, sock_type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	return ok(sendmsg(pass[0], &m, 0));
}

static int received;

static int take_fn(void *arg)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	(void)arg;

	if (recvmsg(pass[1], &m, MSG_DONTWAIT) < 0)
		return errno;
	if (m.msg_flags & MSG_CTRUNC)
		return EPERM;
	if (!CMSG_FIRSTHDR(&m))
		return EBADMSG;
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return 0;
}

/* The kernel hands it over from the descriptors of another process. */
static int getfd_fn(void *arg)
{
	int pidfd = (int)syscall(SYS_pidfd_open, *(pid_t *)arg, 0);

	return pidfd < 0 ? errno : ok(syscall(SYS_pidfd_getfd, pidfd, passing, 0));
}

static void given_by(int cgroup, void *arg)
{
	assert_int_equal(task_run(cgroup, cgroup == W.a_fd ? W.ns.netns : -1, give_fn, arg), 0);
}

static void test_passed(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	static int local[2];
	pid_t self = getpid();
	uint64_t before;
	(void)state;

	flags_a(READY);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pass), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		sock_type = types[i];
		given_by(-1, NULL);
		assert_int_equal(task_run(-1, -1, take_fn, NULL), 0);
		before = refused(EGRET_R_FOREIGN_FILE);
		given_by(-1, NULL);
		assert_int_equal(task_run(W.a_fd, -1, take_fn, NULL), EPERM);
		/* Another job's is as foreign; one's own comes back. */
		given_by(W.b_fd, NULL);
		assert_int_equal(task_run(W.a_fd, -1, take_fn, NULL), EPERM);
		assert_int_equal(refused(EGRET_R_FOREIGN_FILE), before + 2);
		given_by(W.a_fd, NULL);
		allowed_in(W.a_fd, take_fn, NULL);
		passing = socket(AF_INET, types[i] | SOCK_CLOEXEC, 0);
		refused_in(W.a_fd, getfd_fn, &self, EGRET_R_FOREIGN_FILE);
		refused_in(W.none_fd, getfd_fn, &self, EGRET_R_UNREGISTERED);
		close(passing);
	}
	given_by(-1, &local[0]);
	allowed_in(W.a_fd, take_fn, NULL);
	close(local[0]);
	close(local[1]);
}

enum use { SEND, SENDTO, WRITE, SENDMMSG, CONNECT, UNSPEC, SPLICED };
static int foreign; /* UDP, outside, speaks to itself */
static struct sockaddr_in foreign_at;

static int use_fn(void *arg)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct iovec iov = { (void *)"x", 1 };
	struct mmsghdr mm = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
	int file;

	switch (*(enum use *)arg) {
	case SEND:
		return ok(send(foreign, "x", 1, MSG_DONTWAIT));
	case SENDTO:
		return ok(sendto(foreign, "x", 1, MSG_DONTWAIT, (void *)&foreign_at,
				 sizeof(foreign_at)));
	case WRITE:
		return ok(write(foreign, "x", 1));
	case SENDMMSG:
		return ok(sendmmsg(foreign, &mm, 1, MSG_DONTWAIT));
	case CONNECT:
		return ok(connect(foreign, (void *)&foreign_at, sizeof(foreign_at)));
	case UNSPEC:
		return ok(connect(foreign, &none, sizeof(none)));
	case SPLICED:
		file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		return file < 0 ? errno : ok(sendfile(foreign, file, NULL, 1));
	}
	return EINVAL;
}

/* Inherited: the cgroup programs, which go by the maker's cgroup, do not see it at all. */
static void test_foreign(void **state)
{
	static enum use list[] = { CONNECT, SEND, SENDTO, WRITE, SENDMMSG, UNSPEC };
	enum use spliced = SPLICED, connected = CONNECT;
	socklen_t len = sizeof(foreign_at);
	unsigned major = 0, minor = 0;
	struct utsname u;
	(void)state;

	flags_a(READY);
	foreign = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	foreign_at = (struct sockaddr_in){ .sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(foreign, (void *)&foreign_at, len), 0);
	assert_int_equal(getsockname(foreign, (void *)&foreign_at, &len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		refused_in(W.a_fd, use_fn, &list[i], EGRET_R_FOREIGN_SOCKET);
	/* AF_UNSPEC let go of the port too. */
	assert_int_equal(bind(foreign, (void *)&foreign_at, len) < 0 && errno != EINVAL, 0);
	assert_int_equal(task_run(-1, -1, use_fn, &connected), 0);
	refused_in(W.none_fd, use_fn, &list[1], EGRET_R_UNREGISTERED);
	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%u.%u", &major, &minor), 2);
	/* Up to 6.4 sendfile() has a way of its own into a socket, without this hook. */
	if (major > 6 || minor > 4)
		refused_in(W.a_fd, use_fn, &spliced, EGRET_R_FOREIGN_SOCKET);
	close(foreign);
}

/* ---- UNIX sockets ---- */

struct local {
	int type, fd;
	struct sockaddr_un at;
	socklen_t len;
};

/* A listener (or a receiver) of the task's making, told to the test by descriptor. */
static int local_make(struct local *l, int type, const char *path)
{
	l->type = type;
	l->len = sizeof(l->at);
	memset(&l->at, 0, sizeof(l->at));
	l->at.sun_family = AF_UNIX;
	if (path)
		snprintf(l->at.sun_path, sizeof(l->at.sun_path), "%s", path);
	l->fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (l->fd < 0 ||
	    bind(l->fd, (void *)&l->at, path ? sizeof(l->at) : sizeof(sa_family_t)) < 0 ||
	    (type != SOCK_DGRAM && listen(l->fd, 100) < 0))
		return errno;
	return ok(getsockname(l->fd, (void *)&l->at, &l->len));
}

static int local_fn(void *arg)
{
	struct local *l = arg;
	int fd = socket(AF_UNIX, l->type | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return errno;
	r = ok(connect(fd, (void *)&l->at, l->len));
	if (r == 0 && l->type == SOCK_DGRAM)
		r = ok(send(fd, "x", 1, MSG_DONTWAIT));
	close(fd);
	return r;
}

static int datagram_fn(void *arg)
{
	struct local *l = arg;

	return ok(sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, MSG_DONTWAIT, (void *)&l->at,
			 l->len));
}

static int give_local_fn(void *arg)
{
	struct local l;
	int r = local_make(&l, *(int *)arg, NULL);

	if (r)
		return r;
	memcpy(said->text, &l.at, sizeof(l.at));
	said->n = (int)l.len;
	return give_fn(&l.fd);
}

/* A listener that a task of this cgroup made; the test holds it. */
static void local_of(int cgroup, int type, struct local *l)
{
	assert_int_equal(task_run(cgroup, -1, give_local_fn, &type), 0);
	l->type = type;
	memcpy(&l->at, said->text, sizeof(l->at));
	l->len = (socklen_t)said->n;
	assert_int_equal(take_fn(NULL), 0);
	l->fd = received;
}

static int pair_fn(void *arg)
{
	return ok(send(*(int *)arg, "x", 1, MSG_DONTWAIT));
}

static void test_unix(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	char path[64];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct local l;
		int pair[2];

		for (int named = 0; named < 2; named++) {
			snprintf(path, sizeof(path), "/tmp/egret-guard-%d", (int)getpid());
			assert_int_equal(local_make(&l, types[i], named ? path : NULL), 0);
			flags_a(CONFINED);
			refused_in(W.a_fd, local_fn, &l, EGRET_R_UNIX);
			if (types[i] == SOCK_DGRAM)
				refused_in(W.a_fd, datagram_fn, &l, EGRET_R_UNIX);
			/* A cooperative job speaks to an engine; who is of no job does too. */
			flags_a(READY);
			allowed_in(W.a_fd, local_fn, &l);
			allowed_in(W.none_fd, local_fn, &l);
			flags_a(CONFINED);
			if (types[i] != SOCK_DGRAM) {
				need(kernel_guard_control(W.k, l.fd), "control");
				allowed_in(W.a_fd, local_fn, &l);
			}
			close(l.fd);
			(void)unlink(path);
		}
		local_of(W.b_fd, types[i], &l);
		refused_in(W.a_fd, local_fn, &l, EGRET_R_UNIX);
		close(l.fd);
		local_of(W.a_fd, types[i], &l);
		allowed_in(W.a_fd, local_fn, &l);
		close(l.fd);
		/* What was inherited with its other end, as standard output can be. */
		assert_int_equal(socketpair(AF_UNIX, types[i], 0, pair), 0);
		allowed_in(W.a_fd, pair_fn, &pair[0]);
		close(pair[0]);
		close(pair[1]);
	}
}

static int all(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_families), cmocka_unit_test(test_unregistered),
		cmocka_unit_test(test_passed),	 cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_unix),
	};

	return cmocka_run_group_tests(all, world_open, world_close);
}

static int tests(void)
{
	return guarded(all);
}

int main(void)
{
	return kept(tests);
}
