// SPDX-License-Identifier: Apache-2.0
/*
 * The colluder on the host, outside the job: takes tokens by UNIX sockets and by servers on the
 * host's own addresses, and passes sockets that it made to whoever asks.
 */
#include "outside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GIVEN 16
static int given[GIVEN]; /* the colluder's own ends; the oldest is closed for the next */
static unsigned n_given;

static void pass(int to, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { "here\n", 5 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	(void)sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void give(int to, const char *what)
{
	size_t n = strlen(what);
	bool six = n && what[n - 1] == '6';
	const struct target *t = six ? &O.six.target : &O.four.target;
	struct sockaddr_storage ss;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct linger away = { 1, 0 };
	int family = six ? AF_INET6 : AF_INET, fd = -1, one = 1;
	struct attempted *a = now_trying();

	if (a)
		a->excused = true;
	if (!strncmp(what, "tcp", 3)) {
		fd = socket_in(O.host_ns, family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &away, sizeof(away));
		if (connect(fd, (struct sockaddr *)&ss, sa_make(family, t->addr, t->port, &ss)))
			die("the colluder cannot reach the sink");
	} else if (!strncmp(what, "udp", 3)) {
		fd = socket_in(O.host_ns, family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	} else if (!strncmp(what, "raw", 3)) {
		fd = socket_in(O.host_ns, family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	} else if (!strncmp(what, "packet", 6)) {
		fd = socket_in(O.host_ns, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	} else if (!strncmp(what, "listen", 6)) {
		fd = socket_in(O.host_ns, family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (struct sockaddr *)&ss,
			 sa_make(family, t->host, (uint16_t)(t->host_port + 1), &ss)) ||
		    listen(fd, 8))
			fprintf(stderr, "# the colluder cannot listen: %s\n", strerror(errno));
	} else if (!strncmp(what, "unix", 4)) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", t->friend_);
		if (connect(fd, (struct sockaddr *)&un, sizeof(un)))
			die("the colluder cannot reach itself");
	}
	if (fd < 0)
		return;
	pass(to, fd);
	if (n_given >= GIVEN)
		close(given[n_given % GIVEN]);
	given[n_given++ % GIVEN] = fd;
}

static bool read_unix(int fd, void *arg)
{
	char line[1024], *nl;
	ssize_t n = recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT);

	(void)arg;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		close(fd);
		return false;
	}
	line[n] = '\0';
	if (seen(line, (size_t)n, BY_FRIEND))
		(void)send(fd, "seen\n", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
	nl = strchr(line, '\n');
	if (nl)
		*nl = '\0';
	if (!strncmp(line, "give ", 5))
		give(fd, line + 5);
	return true;
}

static bool accept_unix(int fd, void *arg)
{
	int one = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)arg;
	if (one >= 0)
		watch(one, read_unix, NULL);
	return true;
}

static bool read_dgram(int fd, void *arg)
{
	char line[1024];
	ssize_t n = recv(fd, line, sizeof(line), MSG_DONTWAIT);

	(void)arg;
	if (n > 0)
		(void)seen(line, (size_t)n, BY_FRIEND);
	return true;
}

static void unix_server(const char *path, bool abstract, int type)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char name[sizeof(un.sun_path)];
	size_t n;
	/* An abstract name is of the network namespace that its socket was made in. */
	int fd = socket_in(O.host_ns, AF_UNIX, type | SOCK_CLOEXEC, 0);

	n = (size_t)snprintf(name, sizeof(name), "%s%s", path, type == SOCK_DGRAM ? ".d" : "");

	if (!n || n > sizeof(un.sun_path) - 2)
		die("a UNIX socket's name is missing or too long");
	memcpy(un.sun_path + abstract, name, n);
	if (!abstract)
		unlink(name);
	if (bind(fd, (struct sockaddr *)&un,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1)) ||
	    (type == SOCK_STREAM && listen(fd, 64)) || (!abstract && chmod(name, 0777)))
		die(name);
	watch(fd, type == SOCK_STREAM ? accept_unix : read_dgram, NULL);
}

void friend_start(void)
{
	const struct target *t = &O.four.target;

	unix_server(t->friend_, false, SOCK_STREAM);
	unix_server(t->friend_, false, SOCK_DGRAM);
	unix_server(t->abstract, true, SOCK_STREAM);
	unix_server(t->abstract, true, SOCK_DGRAM);
	if (*O.run_at) {
		unix_server(O.run_at, false, SOCK_STREAM);
		unix_server(O.run_at, false, SOCK_DGRAM);
	}
	sink_serve(O.host_ns, t->host_port, BY_HOST, BY_HOST);
	/* The stub of a resolver. */
	sink_serve(O.host_ns, 53, BY_HOST, BY_HOST);
}

void friend_late(void)
{
	unix_server(O.four.target.late, false, SOCK_STREAM);
	unix_server(O.four.target.late, false, SOCK_DGRAM);
}

int friend_take(int family, uint16_t port)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	struct sockaddr_storage ss;
	socklen_t n = sa_make(family, family == AF_INET ? "127.0.0.1" : "::1", port, &ss);
	int err = 0, had = 0;

	for (int i = 0; i < 2; i++) {
		int fd = socket_in(O.host_ns, family, types[i] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (bind(fd, (struct sockaddr *)&ss, n) ||
		    (types[i] == SOCK_STREAM && listen(fd, 8))) {
			err = errno;
			close(fd);
			continue;
		}
		sink_on(fd, types[i], BY_HOST);
		had++;
	}
	return had ? 0 : err;
}

void friend_stop(void)
{
	const char *const paths[] = { O.four.target.friend_, O.four.target.late, O.run_at };
	char name[300];

	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s.d", paths[i]);
		unlink(paths[i]);
		unlink(name);
	}
}
