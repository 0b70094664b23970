/* SPDX-License-Identifier: Apache-2.0 */
/* See tier.h. */
#include "egretd/tier.h"

#include "egretd/worker.h"

#include "base/engines.h"
#include "base/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool in_group(const struct tier_user *u, gid_t gid)
{
	unsigned i;

	for (i = 0; i < u->n; i++)
		if (u->groups[i] == gid)
			return true;
	return u->gid == gid;
}

static bool owns_devices(const struct tier_user *u)
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
	struct tier_user u = { .uid = j->uid, .gid = j->gid, .n = j->ngroups };

	memcpy(u.groups, j->groups, sizeof(j->groups));
	/* uid 0 owns root's files and devices though it has no capability. */
	if (j->uid == 0)
		job_cooperative(j, "runs as root (--user names another)");
	else if (j->host_net && !abstract_closed)
		job_cooperative(j, "is on the host's network, where this kernel (before 6.12) "
				   "leaves it abstract UNIX sockets");
	else if (owns_devices(&u))
		job_cooperative(j, "is in the group of the host's disks or memory");
}

/* newgrp(1) and sg(1) give what the database says, though the process was started without. */
static void name_groups(struct tier_user *u)
{
	const struct passwd *pw = getpwuid(u->uid);
	gid_t more[JOB_GROUPS_MAX];
	int n = JOB_GROUPS_MAX;

	if (!pw)
		return;
	snprintf(u->name, sizeof(u->name), "%s", pw->pw_name);
	if (u->no_new_privileges)
		return;
	if (getgrouplist(pw->pw_name, pw->pw_gid, more, &n) < 0)
		n = JOB_GROUPS_MAX;
	for (int i = 0; i < n && u->n < ARRAY_SIZE(u->groups); i++)
		u->groups[u->n++] = more[i];
}

static int read_user(pid_t pid, struct tier_user *u)
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
	name_groups(u);
	return 0;
}

static bool may_write(const struct tier_user *u, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	return u->uid == 0 || (st.st_uid == u->uid && st.st_mode & S_IWUSR) ||
	       (in_group(u, st.st_gid) && st.st_mode & S_IWGRP) || st.st_mode & S_IWOTH;
}

/* /run/user/UID: engines without root, and a systemd of the user's own, which starts what it is
 * asked for below user.slice. Listening is enough: who may connect is the user. */
static const char *own_services(const struct tier_user *u, bool *ret_engine)
{
	static const char *const engines[] = { "docker.sock", "podman/podman.sock",
					       "containerd/containerd.sock",
					       "buildkit/buildkitd.sock" };
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(engines); i++) {
		snprintf(path, sizeof(path), "/run/user/%u/%s", (unsigned)u->uid, engines[i]);
		if (may_write(u, path)) {
			*ret_engine = true;
			return "can reach a container engine's socket";
		}
	}
	snprintf(path, sizeof(path), "/run/user/%u/systemd/private", (unsigned)u->uid);
	return may_write(u, path) ? "has a systemd of its own (user@.service)" : NULL;
}

/* Why whoever is this user could leave; NULL: not that we know. */
static const char *way_out(const struct tier_user *u, bool *ret_engine)
{
	const char *why;
	size_t i;

	*ret_engine = u->uid == 0;
	if (u->uid == 0)
		return "runs as root";
	for (i = 0; engine_sockets[i]; i++) {
		if (may_write(u, engine_sockets[i])) {
			*ret_engine = true;
			return "can reach a container engine's socket";
		}
	}
	why = own_services(u, ret_engine);
	if (why)
		return why;
	if (tier_sudo(u))
		return "may use sudo";
	if (tier_cron(u))
		return "may have cron or at start programs (cron.deny, or NoNewPrivileges= in its "
		       "unit)";
	return owns_devices(u) ? "is in the group of the host's disks or memory" : NULL;
}

void tier_of_worker(struct job *j, pid_t pid)
{
	struct tier_user u = { 0 };
	struct stat st;
	const char *why;
	bool engine;

	/* Where no step runs on the host, this user's rights are the runner's alone. */
	if (read_user(pid, &u) == 0 && u.uid != 0 && j->containers_only)
		return;
	why = way_out(&u, &engine);
	j->reaches_engine |= engine;
	if (why)
		job_cooperative(j, why);
	/* From below a folder that it may write it moves itself back, into the unit's own traffic.
	 */
	if (j->worker && (fstatat(j->worker->from, "cgroup.procs", &st, 0) < 0 || st.st_uid != 0 ||
			  st.st_mode & (S_IWGRP | S_IWOTH)))
		job_cooperative(j, "may change its unit's cgroups (Delegate=)");
}

const char *tier_of_uid(uid_t uid)
{
	struct tier_user u = { .uid = uid, .gid = uid };
	bool engine;

	name_groups(&u);
	return way_out(&u, &engine);
}

void tier_of_container(struct job *j, unsigned flags)
{
	if (flags & (INSPECT_ENGINE_SOCKET | INSPECT_ENGINE_SOCKET_FILE)) {
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
