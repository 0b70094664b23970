/* SPDX-License-Identifier: Apache-2.0 */
/* Connected TCP sockets on loopback, non-blocking, for tests of what happens between two ends. */
#ifndef TESTS_PROXY_PAIRS_H
#define TESTS_PROXY_PAIRS_H

#include "base/loop.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int listen_tcp(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = sizeof(a);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)&a, &n))
		abort();
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static inline void pair_tcp(int *ret_client, int *ret_server)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint16_t port;
	int listener = listen_tcp(&port), on = 1;

	a.sin_port = htons(port);
	*ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(*ret_client, (struct sockaddr *)&a, sizeof(a)))
		abort();
	*ret_server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (*ret_server < 0 || fcntl(*ret_client, F_SETFL, O_NONBLOCK))
		abort();
	(void)setsockopt(*ret_client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(*ret_server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(listener);
}

static inline void pair_reset(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

static inline void turns(struct loop *l, int n)
{
	for (int i = 0; i < n; i++)
		if (loop_turn(l, 1) < 0)
			abort();
}

#endif
