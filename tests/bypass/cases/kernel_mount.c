// SPDX-License-Identifier: Apache-2.0
/* A network file system: the kernel connects, for nobody's cgroup. */
#include "../wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const char *const kinds[] = { "nfs", "nfs4", "cifs", "9p", "ceph", "afs" };
	char source[128], data[160], at[] = "/tmp/egret-bypass-XXXXXX";

	if (!mkdtemp(at)) {
		failed(a, "mkdtemp");
		return;
	}
	snprintf(source, sizeof(source), "%s:/%s", t->addr, t->token);
	snprintf(data, sizeof(data), "trans=tcp,port=%u,addr=%s", t->port, t->addr);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (mount(source, at, kinds[i], 0, data) == 0) {
			(void)umount2(at, MNT_DETACH);
			break;
		}
		if (errno != ENODEV || !a->err)
			failed(a, "mount");
	}
	(void)rmdir(at);
}

CASE(kernel_mount) = { .title = "Mounting a network file system",
		       .source = "own; needs CAP_SYS_ADMIN",
		       .group = "world",
		       .families = FOUR,
		       .settings = EVERYWHERE,
		       .expect = IMPOSSIBLE,
		       .attempt = attempt };
