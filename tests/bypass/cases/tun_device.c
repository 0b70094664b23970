// SPDX-License-Identifier: Apache-2.0
/* A device of the job's own making, and the drivers' doors beside it. */
#include "../wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct ifreq ask = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	const char *path = "/dev/net/tun";
	uint8_t frame[WIRE_MAX];
	size_t n = wire_ether(t, frame, 0);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		/* docker leaves CAP_MKNOD. */
		path = "/tmp/egret-bypass-tun";
		(void)mknod(path, S_IFCHR | 0600, makedev(10, 200));
		fd = open(path, O_RDWR | O_CLOEXEC);
		(void)unlink(path);
	}
	if (fd < 0) {
		failed(a, "/dev/net/tun");
		return;
	}
	if (ioctl(fd, TUNSETIFF, &ask))
		failed(a, "TUNSETIFF");
	else if (write(fd, frame, n + wire_udp(t, frame + n)) < 0)
		failed(a, "write");
	close(fd);
}

CASE(tun_device) = { .title = "A TAP device",
		     .source = "bpf.md 5: TUNSETIFF",
		     .group = "world",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .expect = IMPOSSIBLE,
		     .needs_root = true,
		     .attempt = attempt };
