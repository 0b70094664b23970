/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins: maps and links below /sys/fs/bpf/egret/INSTANCE/v2 (EGRET_ABI), so that they outlive
 * egretd. A link that is pinned already gets the new program in place of the old one, atomically;
 * one whose cgroup is gone (id 0) is made anew, one at another cgroup is left alone and refused.
 * Links that take no other program (tracepoint, LSM) are exchanged by rename: both stand for a
 * moment, never none.
 */
#include "egretd/kernel_pin.h"
#include "abi.h"
#include "egretd/cgroup.h"
#include "egretd/kernel.h"
#include "egretd/kernel_older.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define BPFFS "/sys/fs/bpf"
#define PIN_ROOT BPFFS "/egret"

static int bpffs_need(char *why, size_t size)
{
	struct statfs fs;
	int r;

	if (statfs(BPFFS, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") == 0)
		return 0;
	r = -errno;
	snprintf(why, size, "%s",
		 r == -EPERM ? "egret pins kernel programs in /sys/fs/bpf: run as root"
			     : "bpffs cannot be mounted: mount -t bpf bpf /sys/fs/bpf");
	return r;
}

int kernel_pin_parent(const char *instance, char *ret)
{
	int n = snprintf(ret, KERNEL_PIN_MAX, PIN_ROOT "/%s", instance);

	/* What is added to it must fit too. */
	if (n < 0 || n >= KERNEL_PIN_MAX - 128 || strchr(instance, '/') || instance[0] == '.')
		return -EINVAL;
	return 0;
}

static int version_path(const char *instance, char *to)
{
	int r = kernel_pin_parent(instance, to);

	if (!r)
		snprintf(to + strlen(to), 16, "/v%d", EGRET_ABI);
	return r;
}

int kernel_pin_path(const char *dir, const char *name, char *ret)
{
	int n = snprintf(ret, KERNEL_PIN_MAX, "%s/%s", dir, name);

	return n < 0 || n >= KERNEL_PIN_MAX ? -ENAMETOOLONG : 0;
}

static int folder(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	return chmod(path, 0700) < 0 ? -errno : 0;
}

int kernel_pin_dir(const char *instance, char *dir, bool *ret_reused, char *why, size_t size)
{
	char path[KERNEL_PIN_MAX], probe[KERNEL_PIN_MAX];
	int r = version_path(instance, path);

	if (r) {
		snprintf(why, size, "the instance name cannot name a folder");
		return r;
	}
	r = bpffs_need(why, size);
	if (r)
		return r;
	r = folder(PIN_ROOT);
	if (!r) {
		char *slash = strrchr(path, '/');

		*slash = 0;
		r = folder(path);
		*slash = '/';
	}
	if (!r)
		r = folder(path);
	if (!r)
		r = kernel_pin_path(path, "egret_cgroups", probe);
	if (r) {
		snprintf(why, size, "%s cannot be made (%s): run as root", path, strerror(-r));
		return r;
	}
	*ret_reused = access(probe, F_OK) == 0;
	memcpy(dir, path, KERNEL_PIN_MAX);
	return 0;
}

/* The cgroup that a link is attached to; 0 when that cgroup is gone. */
static int link_cgroup(const struct bpf_link *link, uint64_t *ret)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	int r = bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len);

	if (r)
		return r;
	*ret = info.cgroup.cgroup_id;
	return 0;
}

static int link_path(const char *dir, const struct bpf_program *prog, char *ret)
{
	char name[64];

	snprintf(name, sizeof(name), "link_%s", bpf_program__name(prog));
	return kernel_pin_path(dir, name, ret);
}

/* The pinned link of a program: 0 and *ret; *ret NULL: there is none, or its cgroup is gone. */
static int link_standing(const char *path, int cgroup, struct bpf_link **ret)
{
	struct bpf_link *link = bpf_link__open(path);
	uint64_t want = 0, has = 0;
	int r = cgroup_id(cgroup, &want);

	if (!link)
		return r ? r : errno == ENOENT ? 0 : -errno;
	if (!r)
		r = link_cgroup(link, &has);
	if (!r && has == want) {
		*ret = link;
		return 0;
	}
	bpf_link__destroy(link);
	/* What runs in a cgroup that still stands would lose its wall. */
	return !r && has && !cgroup_is_gone(cgroup, has) ? -EBUSY : r;
}

int kernel_pin_check(const char *dir, struct bpf_program *prog, int cgroup)
{
	struct bpf_link *link = NULL;
	char path[KERNEL_PIN_MAX];
	int r = link_path(dir, prog, path);

	if (!r)
		r = link_standing(path, cgroup, &link);
	if (link)
		bpf_link__destroy(link);
	return r;
}

int kernel_pin_link(const char *dir, const char *older, struct bpf_program *prog, int cgroup)
{
	char path[KERNEL_PIN_MAX], before[KERNEL_PIN_MAX];
	struct bpf_link *link = NULL;
	bool pinned;
	int r = link_path(dir, prog, path);

	if (!r)
		r = link_standing(path, cgroup, &link);
	pinned = link;
	if (!r && !link && older[0]) {
		r = link_path(older, prog, before);
		if (!r)
			r = link_standing(before, cgroup, &link);
	}
	if (r)
		return r;
	if (link)
		r = bpf_link__update_program(link, prog);
	else
		link = bpf_program__attach_cgroup(prog, cgroup);
	if (!link)
		return -errno;
	if (!r && !pinned) {
		/* One that is there is of a cgroup that is gone. The same link may be pinned twice:
		 * the older folder's pin is left alone. */
		if (unlink(path) < 0 && errno != ENOENT)
			r = -errno;
		else if (bpf_obj_pin(bpf_link__fd(link), path) < 0)
			r = -errno;
	}
	bpf_link__destroy(link); /* the pin holds it */
	return r;
}

int kernel_pin_tracing(const char *dir, struct bpf_program *prog)
{
	char name[64], path[KERNEL_PIN_MAX], beside[KERNEL_PIN_MAX];
	struct bpf_link *link;
	int r;

	snprintf(name, sizeof(name), "link_%s", bpf_program__name(prog));
	r = kernel_pin_path(dir, name, path);
	snprintf(name, sizeof(name), "new_%s", bpf_program__name(prog));
	if (!r)
		r = kernel_pin_path(dir, name, beside);
	if (r)
		return r;
	if (unlink(beside) < 0 && errno != ENOENT) /* of a start that was interrupted */
		return -errno;
	link = bpf_program__attach(prog);
	if (!link)
		return -errno;
	r = bpf_link__pin(link, beside);
	bpf_link__destroy(link); /* the pin holds it */
	if (!r && rename(beside, path) < 0) {
		r = -errno;
		(void)unlink(beside);
	}
	return r;
}

int kernel_pin_get(const char *dir, const char *name, bool read_only, int *ret)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = read_only ? BPF_F_RDONLY : 0);
	char path[KERNEL_PIN_MAX];
	int r = kernel_pin_path(dir, name, path);

	if (r)
		return r;
	r = bpf_obj_get_opts(path, &opts);
	if (r < 0)
		return r;
	*ret = r; /* CLOEXEC: the kernel makes all bpf descriptors so */
	return 0;
}

int kernel_unpin(const char *instance, char *why, size_t size)
{
	char path[KERNEL_PIN_MAX];
	int r = version_path(instance, path);

	if (r) {
		snprintf(why, size, "the instance name cannot name a folder");
		return r;
	}
	if (access(path, F_OK) < 0)
		return 0;
	r = kernel_folder_remove(path);
	if (r) {
		snprintf(why, size, "%s cannot be removed (%s)", path, strerror(-r));
		return r;
	}
	*strrchr(path, '/') = 0;
	/* Others may be in there: another version's pins, other instances. */
	if (rmdir(path) == 0 && rmdir(PIN_ROOT) < 0 && errno != ENOTEMPTY && errno != EBUSY)
		return -errno;
	return 0;
}
