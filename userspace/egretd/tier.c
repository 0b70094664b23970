/* SPDX-License-Identifier: Apache-2.0 */
/* See tier.h. */
#include "egretd/tier.h"

#include "base/proto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[JOB_GROUPS_MAX];
	unsigned n;
	bool no_new_privileges;
};

static bool in_group(const struct user *u, gid_t gid)
{
	unsigned i;

	for (i = 0; i < u->n; i++)
		if (u->groups[i] == gid)
			return true;
	return u->gid == gid;
}

static bool owns_devices(const struct user *u)
{
	static const char *const devices[] = { "/dev/mem", "/dev/sda", "/dev/vda", "/dev/nvme0n1",
					       "/dev/xvda" };
	struct stat st;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (stat(devices[i], &st) == 0 && in_group(u, st.st_gid))
			return true;
	return false;
}

void tier_of_run(struct job *j)
{
	/* Abstract UNIX sockets of the host's network namespace are closed by Landlock from ABI 6
	 * (Linux 6.12) on. */
	const bool abstract_closed = syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 6;
	struct user u = { .uid = j->uid, .gid = j->gid, .n = j->ngroups };

	memcpy(u.groups, j->groups, sizeof(u.groups));
	/* uid 0 owns root's files and devices though it has no capability. */
	if (j->uid == 0)
		job_cooperative(j, "runs as root (--user names another)");
	else if (j->host_net && !abstract_closed)
		job_cooperative(j, "is on the host's network, where this kernel (before 6.12) "
				   "leaves it abstract UNIX sockets");
	else if (owns_devices(&u))
		job_cooperative(j, "is in the group of the host's disks or memory");
}

static int read_user(pid_t pid, struct user *u)
{
	char path[64], line[4096];
	unsigned uid, gid, flag;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	u->uid = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Uid: %u", &uid) == 1)
			u->uid = uid;
		else if (sscanf(line, "Gid: %u", &gid) == 1)
			u->gid = gid;
		else if (sscanf(line, "NoNewPrivs: %u", &flag) == 1)
			u->no_new_privileges = flag == 1;
		else if (!strncmp(line, "Groups:", 7)) {
			char *at = line + 7, *end;

			while (u->n < JOB_GROUPS_MAX) {
				unsigned long g = strtoul(at, &end, 10);

				if (end == at)
					break;
				u->groups[u->n++] = (gid_t)g;
				at = end;
			}
		}
	}
	fclose(f);
	return 0;
}

static bool may_write(const struct user *u, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	return u->uid == 0 || (st.st_uid == u->uid && st.st_mode & S_IWUSR) ||
	       (in_group(u, st.st_gid) && st.st_mode & S_IWGRP) || st.st_mode & S_IWOTH;
}

/* A line of sudoers that begins with one of these names gives it something. */
static bool sudoers_names(const char *path, const char *user, const struct user *u)
{
	char line[1024], group[256];
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		const struct group *g;
		char *at = line + strspn(line, " \t"), *end;

		end = at + strcspn(at, " \t\n");
		if (*end == 0 || *at == '#' || *at == 0)
			continue;
		*end = 0;
		if (!strcmp(at, user) || !strcmp(at, "ALL"))
			found = true;
		if (*at == '%' && strlen(at) < sizeof(group)) {
			snprintf(group, sizeof(group), "%s", at + 1);
			g = getgrnam(group);
			found = g && in_group(u, g->gr_gid);
		}
	}
	if (f)
		fclose(f);
	return found;
}

static bool may_sudo(const struct user *u)
{
	const struct passwd *pw = getpwuid(u->uid);
	char user[256], path[PATH_MAX];
	struct dirent *e;
	bool found;
	DIR *dir;

	if (u->no_new_privileges ||
	    (access("/usr/bin/sudo", X_OK) < 0 && access("/usr/bin/doas", X_OK) < 0))
		return false;
	snprintf(user, sizeof(user), "%s", pw ? pw->pw_name : "");
	if (!user[0])
		return false;
	found = sudoers_names("/etc/sudoers", user, u) || sudoers_names("/etc/doas.conf", user, u);
	dir = found ? NULL : opendir("/etc/sudoers.d");
	while (dir && !found && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/etc/sudoers.d/%s", e->d_name);
		found = sudoers_names(path, user, u);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Why whoever is this user could leave; NULL: not that we know. */
static const char *way_out(const struct user *u, bool *ret_engine)
{
	static const char *const engines[] = { "/run/docker.sock", "/var/run/docker.sock",
					       "/run/containerd/containerd.sock",
					       "/run/podman/podman.sock", "/run/crio/crio.sock" };
	size_t i;

	*ret_engine = u->uid == 0;
	if (u->uid == 0)
		return "runs as root";
	for (i = 0; i < ARRAY_SIZE(engines); i++) {
		if (may_write(u, engines[i])) {
			*ret_engine = true;
			return "can reach a container engine's socket";
		}
	}
	if (may_sudo(u))
		return "may use sudo";
	return owns_devices(u) ? "is in the group of the host's disks or memory" : NULL;
}

void tier_of_worker(struct job *j, pid_t pid)
{
	struct user u = { 0 };
	const char *why;
	bool engine;

	/* Where no step runs on the host, this user's rights are the runner's alone. */
	if (read_user(pid, &u) == 0 && u.uid != 0 && j->containers_only)
		return;
	why = way_out(&u, &engine);
	j->reaches_engine |= engine;
	if (why)
		job_cooperative(j, why);
}

const char *tier_of_uid(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);
	struct user u = { .uid = uid, .gid = uid };
	int n = JOB_GROUPS_MAX;
	bool engine;

	if (pw) {
		u.gid = pw->pw_gid;
		u.n = getgrouplist(pw->pw_name, pw->pw_gid, u.groups, &n) < 0 ? JOB_GROUPS_MAX
									      : (unsigned)n;
	}
	return way_out(&u, &engine);
}

void tier_of_container(struct job *j, unsigned flags)
{
	if (flags & INSPECT_ENGINE_SOCKET) {
		j->reaches_engine = true;
		job_cooperative(j, "has a container with an engine's socket in it");
	}
	if (flags & INSPECT_PRIVILEGED)
		job_cooperative(j, "has a privileged container");
	if (flags & INSPECT_CAPABILITIES)
		job_cooperative(j, "has a container with added capabilities");
	if (flags & INSPECT_DEVICES)
		job_cooperative(j, "has a container with the host's devices or root in it");
	if (flags & INSPECT_HOST_PID)
		job_cooperative(j, "has a container in the host's pid namespace");
}
