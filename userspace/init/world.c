/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job's view of the machine: called by main.c as root, before anything of the job runs. What
 * lets a process act on cgroups, kernel objects, egret itself, an engine or systemd is covered by
 * empty read-only folders. The job has no capability, and in a user namespace of its own these
 * mounts are locked, so it cannot take them off.
 */
#include "init/init.h"
#include "trust/trust.h"

#include "base/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(char *why, size_t n, const char *what, const char *where)
{
	int r = -errno;

	snprintf(why, n, "%s %s: %s", what, where, strerror(-r));
	return r;
}

int world_hide(const char *path, char *why, size_t n)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0
							   : failed(why, n, "cannot look at", path);
	if (S_ISDIR(st.st_mode)) {
		if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
			  "mode=555,size=4k") < 0)
			return failed(why, n, "cannot hide", path);
	} else if (mount("/dev/null", path, NULL, MS_BIND, NULL) < 0) {
		return failed(why, n, "cannot hide", path);
	}
	return 0;
}

/* A job that runs as uid 0 owns what root owns, also without capabilities: kernel settings become
 * read-only. */
static int lock_settings(char *why, size_t n)
{
	static const char *const settings[] = { "/proc/sys", "/proc/sysrq-trigger", "/proc/irq",
						"/proc/bus", "/sys" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		if (access(settings[i], F_OK) < 0)
			continue;
		if (mount(settings[i], settings[i], NULL, MS_BIND | MS_REC, NULL) < 0 ||
		    mount(NULL, settings[i], NULL,
			  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  NULL) < 0)
			return failed(why, n, "cannot make read-only", settings[i]);
	}
	return 0;
}

/* /run holds the sockets of engines, systemd, D-Bus, resolvers and egret: the job gets an empty one
 * of its own, with the folders that programs expect. */
static int own_run(const struct msg_in *start, char *why, size_t n)
{
	uint64_t uid = 0, gid = 0;
	char path[64];
	struct stat st;

	if (msg_get_u64(start, TAG_UID, &uid) < 0 || msg_get_u64(start, TAG_GID, &gid) < 0)
		return -EBADMSG;
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m") < 0)
		return failed(why, n, "cannot replace", "/run");
	if (mkdir("/run/lock", 0777) < 0 || chmod("/run/lock", 01777) < 0 ||
	    mkdir("/run/user", 0755) < 0 || mkdir(TRUST_DIR, 0755) < 0)
		return failed(why, n, "cannot fill", "/run");
	snprintf(path, sizeof(path), "/run/user/%llu", (unsigned long long)uid);
	if (mkdir(path, 0700) < 0 || chown(path, (uid_t)uid, (gid_t)gid) < 0)
		return failed(why, n, "cannot make", path);
	if (lstat("/var/run", &st) == 0 && S_ISDIR(st.st_mode))
		return world_hide("/var/run", why, n);
	return 0;
}

static int make_world(const struct msg_in *start, int netns, FILE *sockets, char *why, size_t n)
{
	struct str hide;
	size_t at = 0;
	int r;

	if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0)
		return failed(why, n, "cannot enter", "the job's network namespace");
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWCGROUP) < 0)
		return failed(why, n, "cannot make", "the job's namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return failed(why, n, "cannot keep mounts apart below", "/");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return failed(why, n, "cannot mount", "/proc");
	/* The network part of /sys is that of the namespace it was mounted from. Host network: the
	 * host's is the right one. */
	if (netns >= 0 &&
	    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0)
		return failed(why, n, "cannot mount", "/sys");
	r = lock_settings(why, n);
	if (r < 0)
		return r;
	while (msg_each(start, TAG_HIDE, &at, &hide)) {
		cleanup_free char *path = mem_dup(hide);

		r = world_hide(path, why, n);
		if (r < 0)
			return r;
	}
	r = own_run(start, why, n);
	return r < 0 ? r : sockets_cover(sockets, why, n);
}

int world_enter(const struct msg_in *start, int netns, char *why, size_t n)
{
	/* Of this namespace, also when it is read later. */
	FILE *sockets = fopen("/proc/net/unix", "re");
	int r;

	if (!sockets)
		return failed(why, n, "cannot read", "/proc/net/unix");
	r = make_world(start, netns, sockets, why, n);
	fclose(sockets);
	return r;
}
