// SPDX-License-Identifier: Apache-2.0
/* A cgroup tree of the job's own mounting, in namespaces of its own making. */
#include "../wire.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

static void attempt(const struct target *t, struct attempt *a)
{
	char at[] = "/tmp/egret-bypass-XXXXXX", child[64], map[64];
	unsigned uid = getuid(), gid = getgid();

	if (!mkdtemp(at)) {
		failed(a, "mkdtemp");
		return;
	}
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP)) {
		failed(a, "unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP)");
		(void)rmdir(at);
		return;
	}
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	put("/proc/self/uid_map", map);
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	put("/proc/self/gid_map", map);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("cgroup2", at, "cgroup2", 0, NULL)) {
		failed(a, "mount of cgroup2");
	} else {
		snprintf(child, sizeof(child), "%s/bypass", at);
		if (mkdir(child, 0755)) {
			failed(a, "mkdir of a cgroup");
		} else if (cgroup_enter(a, child)) {
			tell_plainly(t, a);
			(void)cgroup_enter(&(struct attempt){ 0 }, at);
		}
		(void)rmdir(child);
		(void)umount2(at, MNT_DETACH);
	}
	(void)rmdir(at);
}

CASE(cgroup_anew) = { .title = "cgroup2 mounted anew in own namespaces",
		      .source = "own; bpf.md 5: job moves itself",
		      .group = "world",
		      .families = FOUR | SIX,
		      .settings = OWN | HOST,
		      .attempt = attempt };
