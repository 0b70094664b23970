// SPDX-License-Identifier: Apache-2.0
/*
 * What most cases need: addresses, patient connects, DNS questions, the colluder. Used inside the
 * job; nothing here judges.
 */
#include "case.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

socklen_t sa_make(int family, const char *addr, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *s4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)ret;
	char mapped[64];

	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET) {
		s4->sin_family = AF_INET;
		s4->sin_port = htons(port);
		return inet_pton(AF_INET, addr, &s4->sin_addr) == 1 ? sizeof(*s4) : 0;
	}
	s6->sin6_family = AF_INET6;
	s6->sin6_port = htons(port);
	if (!strchr(addr, ':')) {
		snprintf(mapped, sizeof(mapped), "::ffff:%s", addr);
		addr = mapped;
	}
	return inet_pton(AF_INET6, addr, &s6->sin6_addr) == 1 ? sizeof(*s6) : 0;
}

bool failed(struct attempt *a, const char *what)
{
	a->err = errno ? errno : EIO;
	snprintf(a->said, sizeof(a->said), "%s", what);
	return false;
}

bool lacking(struct attempt *a, const char *what)
{
	failed(a, what);
	switch (a->err) {
	case EAFNOSUPPORT:
	case EPFNOSUPPORT:
	case EPROTONOSUPPORT:
	case ESOCKTNOSUPPORT:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case ENOSYS:
	case ENODEV:
	case ENXIO:
		a->absent = true;
	}
	return false;
}

int wait_connected(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int err = 0;
	socklen_t n = sizeof(err);

	if (poll(&p, 1, ms) != 1)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n))
		return errno;
	return err;
}

int dial(struct attempt *a, int family, int type, int proto, const char *addr, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(family, addr, port, &ss);
	int fd, err;

	if (!n) {
		errno = EINVAL;
		failed(a, "address");
		return -1;
	}
	fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
	if (fd < 0) {
		lacking(a, "socket");
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS) {
		failed(a, "connect");
		close(fd);
		return -1;
	}
	err = wait_connected(fd, 400);
	if (err) {
		errno = err;
		failed(a, "connect");
		close(fd);
		return -1;
	}
	return fd;
}

void dial_and_tell(const struct target *t, struct attempt *a, int type, int proto, const char *addr,
		   uint16_t port)
{
	struct pollfd p = { .events = POLLIN };
	int family = strchr(addr, ':') ? AF_INET6 : t->family;
	int fd = dial(a, family, type, proto, addr, port);

	if (fd < 0)
		return;
	if (send(fd, t->token, strlen(t->token), MSG_NOSIGNAL) < 0)
		failed(a, "send");
	p.fd = fd;
	(void)poll(&p, 1, 300);
	close(fd);
}

bool send_token(const struct target *t, struct attempt *a, int fd, const char *addr, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, addr, port, &ss);

	if (sendto(fd, t->token, strlen(t->token), MSG_NOSIGNAL, (struct sockaddr *)&ss, n) < 0)
		return failed(a, "sendto");
	return true;
}

void token_group(const struct target *t, struct sockaddr_storage *ret)
{
	uint32_t hash = 2166136261u;
	char text[64];

	for (const char *p = t->token; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	if (t->family == AF_INET)
		snprintf(text, sizeof(text), "239.%u.%u.%u", hash >> 16 & 255, hash >> 8 & 255,
			 hash & 255);
	else
		snprintf(text, sizeof(text), "ff15::77:ef%02x:%04x", hash >> 16 & 255,
			 hash & 0xffff);
	sa_make(t->family, text, 0, ret);
}

size_t dns_question(uint8_t *to, size_t room, const char *name, uint16_t type)
{
	/* id, recursion desired, one question */
	static const uint8_t head[12] = { 0x77, 0x77, 1, 0, 0, 1 };
	size_t n = sizeof(head), label;

	if (room < sizeof(head) + strlen(name) + 6)
		return 0;
	memcpy(to, head, sizeof(head));
	while (*name) {
		label = strcspn(name, ".");
		to[n++] = (uint8_t)label;
		memcpy(to + n, name, label);
		n += label;
		name += label + (name[label] == '.');
	}
	to[n++] = 0;
	to[n++] = (uint8_t)(type >> 8);
	to[n++] = (uint8_t)type;
	to[n++] = 0;
	to[n++] = 1;
	return n;
}

const char *job_resolver(const struct target *t, int *family)
{
	static char addr[64];
	char line[256];
	FILE *f = fopen("/etc/resolv.conf", "re");

	addr[0] = '\0';
	while (f && !addr[0] && fgets(line, sizeof(line), f))
		(void)sscanf(line, "nameserver %63[0-9a-fA-F.:]", addr);
	if (f)
		fclose(f);
	if (!addr[0])
		snprintf(addr, sizeof(addr), "%s", t->other);
	*family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	return addr;
}

void dns_tell(const struct target *t, struct attempt *a, int type, const char *server,
	      uint16_t port, const char *name, uint16_t rrtype)
{
	struct pollfd p = { .events = POLLIN };
	int family = strchr(server, ':') ? AF_INET6 : AF_INET, fd;
	uint8_t q[514];
	char full[256];
	size_t n, at = 0;

	snprintf(full, sizeof(full), "%.*s%s%s", (int)strcspn(name, "%"), name, t->token,
		 name + strcspn(name, "%") + 2);
	n = dns_question(q + 2, sizeof(q) - 2, full, rrtype);
	q[0] = (uint8_t)(n >> 8);
	q[1] = (uint8_t)n;
	fd = dial(a, family, type, 0, server, port);
	if (fd < 0)
		return;
	if (type == SOCK_DGRAM)
		at = 2;
	if (send(fd, q + at, n + 2 - at, MSG_NOSIGNAL) < 0)
		failed(a, "send");
	p.fd = fd;
	(void)poll(&p, 1, 200);
	close(fd);
}

void resolver_tell(const struct target *t, struct attempt *a, const char *name, uint16_t rrtype)
{
	int family;
	const char *server = job_resolver(t, &family);

	dns_tell(t, a, SOCK_DGRAM, server, 53, name, rrtype);
}

size_t local_ports(const char *name, const char *begins, uint16_t *ret, size_t max)
{
	char path[64], line[512], addr[40];
	unsigned port, state;
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/net/%s", name);
	f = fopen(path, "re");
	while (f && n < max && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*d: %39[0-9A-F]:%X %*[0-9A-F]:%*X %X", addr, &port, &state) !=
		    3)
			continue;
		if (!strncmp(addr, begins, strlen(begins)) && (*name != 't' || state == 10))
			ret[n++] = (uint16_t)port;
	}
	if (f)
		fclose(f);
	return n;
}

/* Of the connection or association that fd is: where the kernel's table says it leads. */
static uint16_t really_to(int family, const char *proto, int fd)
{
	char path[64], line[512];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	unsigned own = 0, here, there;
	uint16_t found = 0;
	FILE *f;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		own = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	snprintf(path, sizeof(path), "/proc/net/%s%s", proto, family == AF_INET ? "" : "6");
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*d: %*[0-9A-F]:%X %*[0-9A-F]:%X", &here, &there) == 2 &&
		    here == own)
			found = (uint16_t)there;
	}
	if (f)
		fclose(f);
	return found;
}

uint16_t turned_port(const struct target *t, int type)
{
	bool tcp = type == SOCK_STREAM;
	uint16_t asked = tcp ? t->port : 53, to = 0;
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, asked, &ss);
	int fd = socket(t->family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	if (connect(fd, (struct sockaddr *)&ss, n) == 0 || errno == EINPROGRESS)
		to = really_to(t->family, tcp ? "tcp" : "udp", fd);
	close(fd);
	return to == asked ? 0 : to;
}

bool outside_does(const char *what, char *ret, size_t room)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	size_t n = 0;

	fflush(stdout);
	dprintf(1, "{\"want\":\"%s\"}\n", what);
	while (n + 1 < room && poll(&p, 1, CASE_LIMIT_MS) == 1 && read(0, ret + n, 1) == 1) {
		if (ret[n] == '\n') {
			ret[n] = '\0';
			return true;
		}
		n++;
	}
	return false;
}

static int friend_connect(struct attempt *a, const char *name, bool abstract)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	int fd;

	if (!n || n > sizeof(un.sun_path) - 2) {
		errno = ENOENT;
		failed(a, "no such socket here");
		return -1;
	}
	memcpy(un.sun_path + abstract, name, n);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		failed(a, "socket(AF_UNIX)");
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&un,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1))) {
		failed(a, "connect(AF_UNIX)");
		close(fd);
		return -1;
	}
	return fd;
}

int friend_open(struct attempt *a, const char *path)
{
	return friend_connect(a, path, false);
}

int friend_any(const struct target *t, struct attempt *a)
{
	const char *const paths[] = { t->friend_, t->late, t->run };
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < 3; i++)
		fd = friend_open(a, paths[i]);
	if (fd < 0)
		fd = friend_abstract(a, t->abstract);
	if (fd >= 0)
		a->err = 0, a->said[0] = '\0';
	return fd;
}

int friend_abstract(struct attempt *a, const char *name)
{
	return friend_connect(a, name, true);
}

bool friend_tell(const struct target *t, struct attempt *a, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char line[80];

	snprintf(line, sizeof(line), "token %s\n", t->token);
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		return failed(a, "send to the colluder");
	(void)poll(&p, 1, 500);
	return true;
}

int friend_give(const struct target *t, struct attempt *a, int fd, const char *what)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char line[64], answer[64];
	struct iovec iov = { answer, sizeof(answer) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct cmsghdr *c;
	int got = -1;

	snprintf(line, sizeof(line), "give %s%c\n", what, t->family == AF_INET ? '4' : '6');
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) {
		failed(a, "send to the colluder");
		return -1;
	}
	if (poll(&p, 1, 2000) != 1 || recvmsg(fd, &m, MSG_CMSG_CLOEXEC) <= 0) {
		failed(a, "recvmsg");
		return -1;
	}
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&got, CMSG_DATA(c), sizeof(got));
	if (got < 0) {
		errno = EACCES;
		failed(a, m.msg_flags & MSG_CTRUNC ? "recvmsg: the kernel kept the descriptor"
						   : "the colluder gave nothing");
	}
	return got;
}
