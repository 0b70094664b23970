/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail, raised in order: no dumps and no core, no new privileges, no capabilities, Landlock,
 * seccomp. Called by main() of every process that will read bytes which are not egret's own; it
 * reads none itself. Landlock says where files may be touched, by descriptors that were opened
 * before; the list of system calls is in jail_calls.c.
 */
#include "base/jail.h"

#include "base/jail_calls.h"
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h of the oldest build machine knows two versions; these are the kernel's own
 * numbers. */
struct ll_ruleset {
	uint64_t fs, net, scoped;
};
struct ll_path {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

#define LL_RULE_PATH 1
#define LL_VERSION 1u
#define LL_EXECUTE (1u << 0)
#define LL_WRITE_FILE (1u << 1)
#define LL_READ_FILE (1u << 2)
#define LL_READ_DIR (1u << 3)
#define LL_REMOVE_FILE (1u << 5)
#define LL_MAKE_REG (1u << 8)
#define LL_TRUNCATE (1u << 14)
#define LL_SCOPE_ALL 3u /* abstract sockets, signals */

/* Every right over files that version n of Landlock knows. */
static uint64_t rights_of(int version)
{
	uint64_t all = (1u << 13) - 1;

	if (version >= 2)
		all |= 1u << 13; /* REFER */
	if (version >= 3)
		all |= LL_TRUNCATE;
	if (version >= 5)
		all |= 1u << 15; /* IOCTL_DEV */
	return all;
}

static int ll_allow(int ruleset, int dir, uint64_t rights)
{
	struct ll_path rule = { .allowed = rights, .parent_fd = dir };

	return syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH, &rule, 0) < 0 ? -errno : 0;
}

static int ll_version(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LL_VERSION);
}

static int ll_allow_path(int ruleset, const char *path, uint64_t rights)
{
	cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : ll_allow(ruleset, fd, rights);
}

static int landlock(const struct jail *j, char *why, size_t size)
{
	int version = ll_version();
	struct ll_ruleset attr = { 0 };
	cleanup_close int ruleset = -1;
	size_t attr_n = sizeof(attr.fs);
	uint64_t rights;
	int r = 0;

	if (version < 1) {
		/* Where no file may be opened, seccomp alone refuses every open. */
		if (!(j->may & (JAIL_MAY_FILES | JAIL_MAY_READ_RESOLV | JAIL_MAY_EXEC)))
			return 0;
		snprintf(why, size, "this kernel has no Landlock: boot one with lsm=landlock,...");
		return -EOPNOTSUPP;
	}
	rights = rights_of(version);
	attr.fs = rights;
	if (version >= 6) {
		attr.scoped = LL_SCOPE_ALL;
		attr_n = sizeof(attr);
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_n, 0);
	if (ruleset < 0) {
		r = -errno;
		snprintf(why, size, "Landlock: no ruleset: %s", strerror(-r));
		return r;
	}
	for (unsigned i = 0; i < j->ndirs && (j->may & JAIL_MAY_FILES) && r == 0; i++)
		r = ll_allow(ruleset, j->dirs[i],
			     rights & (LL_READ_FILE | LL_READ_DIR | LL_WRITE_FILE | LL_REMOVE_FILE |
				       LL_MAKE_REG | LL_TRUNCATE));
	if (r == 0 && (j->may & JAIL_MAY_READ_RESOLV))
		r = ll_allow_path(ruleset, "/etc", LL_READ_FILE | LL_READ_DIR);
	if (r == 0 && (j->may & JAIL_MAY_EXEC))
		r = ll_allow_path(ruleset, "/", LL_EXECUTE | LL_READ_FILE | LL_READ_DIR);
	if (r == 0 && (j->may & JAIL_MAY_EXEC))
		r = ll_allow_path(ruleset, "/dev/null", rights & (LL_WRITE_FILE | LL_TRUNCATE));
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	if (r < 0)
		snprintf(why, size, "Landlock: %s", strerror(-r));
	return r;
}

static int drop_capabilities(char *why, size_t size)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	capng_clear(CAPNG_SELECT_BOTH);
	/* The bounding set can be emptied only with CAP_SETPCAP; without new privileges it opens
	 * nothing. What counts is read back. */
	(void)!capng_apply(CAPNG_SELECT_BOTH);
	if (capng_get_caps_process() == 0 &&
	    capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	snprintf(why, size, "capabilities could not be dropped");
	return -EPERM;
}

int jail_early(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int jail_enter(const struct jail *j, char *why, size_t size)
{
	int r = jail_early();

	tzset(); /* gmtime_r() and timegm() read /etc/localtime at their first use: now */
	if (r < 0) {
		snprintf(why, size, "no_new_privs or no core: %s", strerror(-r));
		return r;
	}
	r = drop_capabilities(why, size);
	if (r == 0)
		r = landlock(j, why, size);
	if (r < 0)
		return r;
	r = j->may & JAIL_MAY_EXEC ? jail_calls_exec() : jail_calls(j->may);
	if (r < 0)
		snprintf(why, size, "seccomp: %s", strerror(-r));
	return r;
}

int jail_program(void)
{
	return jail_calls_program(ll_version() >= 6);
}
