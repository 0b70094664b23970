// SPDX-License-Identifier: Apache-2.0
/* To the machine itself, by no network at all. The address is the loopback one: nobody's hypervisor
 * is bothered. */
#include "../wire.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#ifndef VMADDR_CID_LOCAL
#define VMADDR_CID_LOCAL 1
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK,
				  .svm_cid = VMADDR_CID_LOCAL,
				  .svm_port = t->host_port };
	int fd = sock_open(a, AF_VSOCK, SOCK_STREAM, 0, "socket(AF_VSOCK)");

	if (fd < 0)
		return;
	/* Without its loopback the machine's hypervisor would be asked. */
	if (access("/sys/module/vsock_loopback", F_OK)) {
		errno = ENODEV;
		lacking(a, "socket(AF_VSOCK) opened, no loopback of it");
	} else if (connect(fd, (struct sockaddr *)&vm, sizeof(vm)) &&
		   (errno = wait_connected(fd, 200))) {
		failed(a, "connect");
	} else {
		tell(t, a, fd, 0);
	}
	close(fd);
}

CASE(vsock_connect) = { .title = "AF_VSOCK",
			.source = "bpf.md 0 (7) and 5: reaches the hypervisor",
			.group = "sockets",
			.families = FOUR,
			.settings = EVERYWHERE,
			.expect = IMPOSSIBLE,
			.attempt = attempt };
