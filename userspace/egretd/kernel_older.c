/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_older.h. Names in the folder are root's own: it has mode 0700. */
#include "egretd/kernel_older.h"
#include "egretd/kernel_words.h"
#include "abi.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GONE_PREFIX "gone-" /* an older folder that has served its time */

/* What sockets, proxies and the audit process hold by descriptor: nobody could fill a new one. */
static const char *const kept[] = { "egret_origin", "egret_accepted", "egret_flows", "egret_events",
				    "egret_lost" };

int kernel_folder_remove(const char *path)
{
	DIR *d = opendir(path);
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT)
			r = -errno;
	closedir(d);
	if (!r && rmdir(path) < 0)
		r = -errno;
	return r;
}

/* "v2": 2; anything else: 0. */
static unsigned version_of(const char *name)
{
	uint64_t v = 0;

	return name[0] == 'v' && str_u64(str_of(name + 1), &v) == 0 && v <= 1000000 ? (unsigned)v
										    : 0;
}

static bool holds_maps(const char *parent, unsigned v)
{
	char path[KERNEL_PIN_MAX];

	return snprintf(path, sizeof(path), "%s/v%u/egret_cgroups", parent, v) <
		       (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

/* Folders above the one in force, and what is left of older ones. */
static int sweep(const char *parent, unsigned in_force)
{
	DIR *d = opendir(parent);
	char path[KERNEL_PIN_MAX];
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; (e = readdir(d)) && !r;) {
		bool left = !strncmp(e->d_name, GONE_PREFIX, strlen(GONE_PREFIX));

		if ((left || (in_force && version_of(e->d_name) > in_force)) &&
		    !kernel_pin_path(parent, e->d_name, path))
			r = kernel_folder_remove(path);
	}
	closedir(d);
	return r;
}

int kernel_older_find(const char *instance, char *older, char *why, size_t size)
{
	char parent[KERNEL_PIN_MAX];
	unsigned lowest = 0;
	DIR *d;
	int r = kernel_pin_parent(instance, parent);

	older[0] = 0;
	if (r) {
		snprintf(why, size, "the instance name cannot name a folder");
		return r;
	}
	d = opendir(parent);
	if (!d)
		return 0; /* nothing stands yet */
	for (struct dirent *e; (e = readdir(d));) {
		unsigned v = version_of(e->d_name);

		if (v && (!lowest || v < lowest) && holds_maps(parent, v))
			lowest = v;
	}
	closedir(d);
	if (lowest > EGRET_ABI) {
		snprintf(why, size,
			 "the kernel programs that stand are a newer egret's (%s/v%u; this one "
			 "makes v%d): start that version again, or end its jobs and remove the "
			 "folder",
			 parent, lowest, EGRET_ABI);
		return -EPROTO;
	}
	r = sweep(parent, lowest);
	if (r) {
		snprintf(why, size,
			 "what an upgrade left half-made in %s cannot be removed (%s): remove all "
			 "but v%u",
			 parent, strerror(-r), lowest);
		return r;
	}
	if (lowest && lowest < EGRET_ABI)
		snprintf(older, KERNEL_PIN_MAX, "%s/v%u", parent, lowest);
	return 0;
}

static bool same_shape(const struct bpf_map_info *have, const struct bpf_map *want)
{
	return have->type == (uint32_t)bpf_map__type(want) &&
	       have->key_size == bpf_map__key_size(want) &&
	       have->value_size == bpf_map__value_size(want) &&
	       have->max_entries == bpf_map__max_entries(want) &&
	       have->map_flags == bpf_map__map_flags(want);
}

int kernel_older_map(const char *older, struct bpf_map *m, struct kernel_words *words, char *why,
		     size_t size)
{
	const char *name = bpf_map__name(m);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	cleanup_close int fd = -1;
	int r = kernel_pin_get(older, name, false, &fd);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!r && same_shape(&info, m) && kernel_words_same(words, &info, m)) {
		r = bpf_map__reuse_fd(m, fd); /* duplicates it */
		if (!r)
			return 1;
	}
	for (size_t i = 0; !r && i < ARRAY_SIZE(kept); i++)
		if (!strcmp(name, kept[i]))
			r = -EMEDIUMTYPE;
	if (r == -EMEDIUMTYPE)
		snprintf(
			why, size,
			"the map %s in %s is of another shape, and connections of running jobs "
			"hang on it: end the jobs, stop egretd, remove the folder, and start again",
			name, older);
	else if (r)
		snprintf(why, size, "the map %s in %s cannot be taken over (%s)", name, older,
			 strerror(-r));
	return r;
}

int kernel_older_cgroups(const char *older, void (*fn)(void *owner, uint64_t cgroup), void *owner)
{
	cleanup_close int fd = -1;
	uint64_t key, next;
	const void *at = NULL;
	int r = kernel_pin_get(older, "egret_cgroups", true, &fd);

	if (r)
		return r == -ENOENT ? 0 : r;
	/* Nobody writes it any more: a walk from key to key is whole. */
	while (bpf_map_get_next_key(fd, at, &next) == 0) {
		fn(owner, next);
		key = next;
		at = &key;
	}
	return 0;
}

int kernel_older_remove(char *path, char *why, size_t size)
{
	char gone[KERNEL_PIN_MAX];
	const char *slash = strrchr(path, '/');
	int r = 0;

	if (!path[0])
		return 0;
	if (!slash || snprintf(gone, sizeof(gone), "%.*s/" GONE_PREFIX "%s", (int)(slash - path),
			       path, slash + 1) >= (int)sizeof(gone))
		return -ENAMETOOLONG;
	/* From here on the new folder is the one in force. */
	if (rename(path, gone) < 0)
		r = -errno;
	if (!r)
		r = kernel_folder_remove(gone);
	if (r)
		snprintf(why, size, "the older pins in %s cannot be removed (%s)", path,
			 strerror(-r));
	path[0] = 0;
	return r;
}
