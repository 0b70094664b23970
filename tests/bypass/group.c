// SPDX-License-Identifier: Apache-2.0
/*
 * See wire.h: cgroups, for the cases that leave theirs. Called by cases/ inside the job; reads
 * /proc, which the kernel wrote.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool cgroup_mount(struct attempt *a, char mount[256], char own[256])
{
	char line[1024], at[256];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	mount[0] = own[0] = '\0';
	while (f && !mount[0] && fgets(line, sizeof(line), f)) {
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %255s", at) == 1)
			snprintf(mount, 256, "%s", at);
	}
	if (f)
		fclose(f);
	f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "0::/%255s", at) == 1)
			snprintf(own, 256, "%s", at);
	}
	if (f)
		fclose(f);
	errno = ENOENT;
	return mount[0] || failed(a, "no cgroup v2 is mounted here");
}

bool cgroup_enter(struct attempt *a, const char *folder)
{
	char path[640];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(a, "open cgroup.procs");
	if (write(fd, "0", 1) < 0) {
		failed(a, "write to cgroup.procs");
		close(fd);
		return false;
	}
	close(fd);
	return true;
}

void tell_plainly(const struct target *t, struct attempt *a)
{
	int fd = udp_open(t, a);

	if (fd >= 0) {
		send_token(t, a, fd, t->addr, t->port);
		close(fd);
	}
	dial_and_tell(t, a, SOCK_STREAM, 0, t->addr, t->port);
}
