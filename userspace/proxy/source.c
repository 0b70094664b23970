// SPDX-License-Identifier: Apache-2.0
/*
 * `egret-proxy --sockets`: makes TCP sockets in the network namespace that egretd started it in,
 * for the proxy of the same job: see sockets.h. Jailed like the proxy, and able to do less.
 */
#include "proxy/sockets.h"

#include "base/log.h"
#include "base/msg.h"
#include "base/proto.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* So long, less the minute of TIME_WAIT, does a socket that we closed wait for the other side's FIN
 * as a whole socket: what a mere remnant of it answers has no socket, and is dropped at the link.
 */
#define LINGER_S 90

static int make(uint64_t family, int *ret)
{
	cleanup_close int fd = -1;
	int linger = LINGER_S;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	fd = socket((int)family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &linger, sizeof(linger)))
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static void on_control(struct watch *w, uint32_t events)
{
	cleanup_close int fd = -1;
	uint64_t family;
	struct msg_out out;
	struct msg_in m;
	int r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r) {
		loop_stop(w->loop, r == -ECONNRESET ? 0 : 1);
		return;
	}
	r = m.type == MSG_SOCKET_GET ? msg_get_u64(&m, TAG_INDEX, &family) : -EBADMSG;
	msg_in_done(&m);
	if (!r)
		r = make(family, &fd);
	msg_begin(&out, r ? MSG_FAILED : MSG_OK, 0);
	if (r)
		msg_put_u64(&out, TAG_CODE, (uint64_t)-r);
	else
		msg_put_fd(&out, TAG_FD_DIAL, fd);
	/* The proxy asks for no more at once than the socket holds. */
	if (msg_send(w->fd, &out))
		loop_stop(w->loop, 1);
	msg_out_done(&out);
}

int source_serve(int control)
{
	struct loop *l = loop_new();
	struct watch w = { 0 };
	int r;

	if (!l || watch_add(l, &w, control, EPOLLIN, on_control, NULL))
		return 1;
	r = loop_run(l);
	return r < 0 ? 1 : r;
}
