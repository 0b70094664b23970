// SPDX-License-Identifier: Apache-2.0
/*
 * UNIX sockets are ways to processes outside the job. /run, where most lie, is replaced (world.c);
 * here every other socket that has a path at this moment is covered by /dev/null, and abstract
 * names of a shared network namespace are closed by Landlock. Names in /proc/net/unix were chosen
 * by whoever bound them: they are only used as targets of mounts in the job's own mount namespace.
 */
#include "init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOCKETS_MAX 65536 /* lines looked at */
#define COVERED_MAX 4096

/* linux/landlock.h of ABI 6 (Linux 6.12); older headers do not know the last field. */
struct landlock_scopes {
	uint64_t handled_access_fs, handled_access_net, scoped;
};
#define SCOPE_ABSTRACT_UNIX_SOCKET 1u

static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* To be called while the process is still in the host's network namespace, and after /run is the
 * job's own. */
int sockets_cover(FILE *list, char *why, size_t n)
{
	unsigned lines = 0, covered = 0;
	char line[512];

	/* Num RefCount Protocol Flags Type St Inode Path */
	while (list && fgets(line, sizeof(line), list)) {
		char *path = strstr(line, " /");

		if (++lines > SOCKETS_MAX || covered == COVERED_MAX) {
			snprintf(why, n, "more than %d UNIX sockets have paths on this host",
				 COVERED_MAX);
			return -E2BIG;
		}
		if (!path)
			continue;
		path++;
		path[strcspn(path, "\n")] = 0;
		if (!is_socket(path))
			continue;
		if (mount("/dev/null", path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT) {
			int r = -errno;

			snprintf(why, n, "the UNIX socket %s cannot be hidden: %s", path,
				 strerror(-r));
			return r;
		}
		covered++;
	}
	return 0;
}

int sockets_scope(char *why, size_t n)
{
	const struct landlock_scopes attr = { .scoped = SCOPE_ABSTRACT_UNIX_SOCKET };
	cleanup_close int ruleset = -1;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 6)
		return 0; /* such a job was called cooperative by egretd */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		int r = -errno;

		snprintf(why, n, "abstract UNIX sockets cannot be closed by Landlock: %s",
			 strerror(-r));
		return r;
	}
	return 0;
}
