/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading checks of what egret needs from this host, each with one sentence: for `egret doctor`,
 * and for egretd before it loads anything. Loads nothing, changes nothing; reads /proc and /sys,
 * and trusts them.
 */
#include "egretd/probe.h"
#include "egretd/cgroup.h"
#include "egretd/share.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

#define SAY(p, ...) snprintf((p)->sentence, sizeof((p)->sentence), __VA_ARGS__)

static int check_kernel(struct probe *p)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		SAY(p, "the kernel's version cannot be told");
		return -ENOSYS;
	}
	if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR)) {
		SAY(p, "Linux %s is too old: boot 6.1 or newer (Debian 12's own, or later)",
		    u.release);
		return -ENOSYS;
	}
	SAY(p, "Linux %s", u.release);
	return 0;
}

static int check_root(struct probe *p)
{
	if (geteuid() != 0) {
		SAY(p, "egret loads kernel programs: run it as root");
		return -EPERM;
	}
	SAY(p, "running as root");
	return 0;
}

static int check_btf(struct probe *p)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0) {
		SAY(p, "this kernel has no type information (/sys/kernel/btf/vmlinux): boot one "
		       "built with CONFIG_DEBUG_INFO_BTF, e.g. Debian's, and mount sysfs on /sys");
		return -ENOENT;
	}
	SAY(p, "type information is there");
	return 0;
}

static int check_cgroup2(struct probe *p)
{
	struct cgroup_mount *m = mem_new(sizeof(*m));
	char why[PROBE_TEXT_MAX];
	int r = cgroup_mount_find(m, why, sizeof(why));

	if (r)
		SAY(p, "%s", why);
	else
		SAY(p, "cgroup2 is at %.200s%s", m->path,
		    m->hybrid ? " (hybrid: version 1 hierarchies beside it)" : "");
	free(m);
	return r;
}

static int check_cgroupns(struct probe *p)
{
	char ns[64] = "";

	if (readlink("/proc/self/ns/cgroup", ns, sizeof(ns) - 1) < 0 ||
	    strcmp(ns, "cgroup:[4026531835]") != 0) {
		SAY(p, "this is a cgroup namespace of its own: start egretd in the host's");
		return -EXDEV;
	}
	SAY(p, "in the host's cgroup namespace");
	return 0;
}

static int check_bpffs(struct probe *p)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) < 0) {
		SAY(p, "/sys/fs/bpf is not there: mount sysfs on /sys, with a kernel built with "
		       "CONFIG_BPF_SYSCALL");
		return -ENOENT;
	}
	if (fs.f_type == BPF_FS_MAGIC)
		SAY(p, "bpffs is mounted on /sys/fs/bpf");
	else
		SAY(p, "bpffs is not mounted on /sys/fs/bpf; egretd mounts it");
	return 0;
}

/* What base/jail.c puts the broker and the audit process in: neither starts without. */
static int check_landlock(struct probe *p)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (version < 1) {
		SAY(p,
		    "Landlock is not there (%s), and egret-broker and egret-audit need it: boot "
		    "with landlock in lsm=",
		    strerror(errno));
		return -EOPNOTSUPP;
	}
	SAY(p, "Landlock version %ld%s", version,
	    version < 6 ? "; from 6 on (Linux 6.12) it also closes abstract sockets and signals"
			: "");
	return 0;
}

/* Who floods a proxy pays for it alone only where these are. */
static int check_shares(struct probe *p)
{
	const unsigned all = SHARE_CPU | SHARE_PIDS | SHARE_MEMORY;
	struct cgroup_mount *m = mem_new(sizeof(*m));
	cleanup_close int dir = -1;
	char text[SHARES_TEXT_MAX], path[200];
	unsigned bits = 0;

	if (!cgroup_mount_find(m, p->sentence, sizeof(p->sentence)))
		dir = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		bits = shares_given(dir);
	shares_text(all & ~bits, text);
	snprintf(path, sizeof(path), "%s", m->path);
	if (bits == all)
		SAY(p, "each proxy has its own weight of the processors and a bound of processes "
		       "and memory");
	else if (m->hybrid)
		SAY(p,
		    "proxies are not bounded in: %s: this hybrid layout has controllers in "
		    "version 1; boot with systemd.unified_cgroup_hierarchy=1",
		    text);
	else
		SAY(p,
		    "proxies are not bounded in: %s: CPUWeight= and the like in egretd.slice "
		    "make systemd give them, or echo them (+cpu +pids +memory) to "
		    "%s/cgroup.subtree_control",
		    text, path);
	free(m);
	return bits == all ? 0 : -EOPNOTSUPP;
}

static int check_capabilities(struct probe *p)
{
	static const struct {
		unsigned bit;
		const char *name;
	} need[] = {
		{ CAP_BPF, "CAP_BPF" },
		{ CAP_PERFMON, "CAP_PERFMON" },
		{ CAP_NET_ADMIN, "CAP_NET_ADMIN" },
		{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
		{ CAP_KILL, "CAP_KILL" },
		{ CAP_SETUID, "CAP_SETUID" },
		{ CAP_SETGID, "CAP_SETGID" },
		{ CAP_SETPCAP, "CAP_SETPCAP" },
		{ CAP_CHOWN, "CAP_CHOWN" },
		{ CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE" },
	};
	char missing[PROBE_TEXT_MAX - 100] = "", *text = mem_new(8192), *at;
	unsigned long long have = 0;
	size_t n = 0;

	cleanup_close int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, 8191);

	at = got > 0 ? strstr(text, "\nCapEff:") : NULL;
	if (at)
		have = strtoull(at + 8, NULL, 16);
	free(text);
	for (size_t i = 0; i < ARRAY_SIZE(need); i++)
		if (!(have >> need[i].bit & 1))
			n += (size_t)snprintf(missing + n, sizeof(missing) - n, " %s",
					      need[i].name);
	if (n) {
		SAY(p, "capabilities missing:%s; give them to egretd's unit or container", missing);
		return -EPERM;
	}
	SAY(p, "all capabilities that egretd uses are there");
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct probe *p);
	bool required;
} checks[] = {
	{ "kernel", check_kernel, true },
	{ "root", check_root, true },
	{ "capabilities", check_capabilities, true },
	{ "btf", check_btf, true },
	{ "cgroup2", check_cgroup2, true },
	{ "cgroup-namespace", check_cgroupns, true },
	{ "bpffs", check_bpffs, true },
	{ "landlock", check_landlock, true },
	{ "shares", check_shares, false },
};

static int check(size_t i, struct probe *p)
{
	int r;

	*p = (struct probe){ .name = checks[i].name, .required = checks[i].required };
	r = checks[i].fn(p);
	p->ok = r == 0;
	return r;
}

size_t probe_all(struct probe to[PROBES_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (check(i, &to[i]) < 0)
			continue;
	return ARRAY_SIZE(checks);
}

int probe_required(char *why, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct probe p;
		int r = checks[i].required ? check(i, &p) : 0;

		if (r) {
			snprintf(why, size, "%s", p.sentence);
			return r;
		}
	}
	return 0;
}
