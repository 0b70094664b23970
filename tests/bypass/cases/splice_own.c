// SPDX-License-Identifier: Apache-2.0
/* No send at all: a file and a pipe flow into connected sockets (sendfile, vmsplice and splice). */
#include "../wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

static bool flow(const struct target *t, struct attempt *a, int fd)
{
	struct iovec iov = { (void *)t->token, strlen(t->token) };
	int file = memfd_create("token", MFD_CLOEXEC), tube[2];
	off_t at = 0;
	bool any = false;

	if (file >= 0 && write(file, iov.iov_base, iov.iov_len) == (ssize_t)iov.iov_len)
		any = sendfile(fd, file, &at, iov.iov_len) > 0 || failed(a, "sendfile");
	if (file >= 0)
		close(file);
	if (pipe2(tube, O_CLOEXEC))
		return any;
	if (vmsplice(tube[1], &iov, 1, 0) > 0)
		any |= splice(tube[0], NULL, fd, NULL, iov.iov_len, 0) > 0 || failed(a, "splice");
	close(tube[0]);
	close(tube[1]);
	return any;
}

static void attempt(const struct target *t, struct attempt *a)
{
	struct pollfd p = { .events = POLLIN };
	bool any = false;

	for (int i = 0; i < 2; i++) {
		p.fd = dial(a, t->family, i ? SOCK_DGRAM : SOCK_STREAM, 0, t->addr, t->port);
		if (p.fd < 0)
			continue;
		any |= flow(t, a, p.fd);
		(void)poll(&p, 1, 200);
		close(p.fd);
	}
	if (any)
		a->err = 0;
}

CASE(splice_own) = { .title = "sendfile, vmsplice and splice into TCP and UDP",
		     .source = "field C30; bpf.md 5: sendpage has no LSM hook",
		     .group = "tcp",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .attempt = attempt };
