/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pin folders of other versions (EGRET_ABI), below /sys/fs/bpf/egret/INSTANCE: v2, v3... The lowest
 * one that holds maps is in force; a higher one beside it was made by an upgrade that did not come
 * to its end, and counts for nothing. The older folder is taken away, in one rename, when the new
 * egretd serves: until then the old one, or any of its version, can go on with it. Used by kernel.c
 * only.
 */
#ifndef EGRET_EGRETD_KERNEL_OLDER_H
#define EGRET_EGRETD_KERNEL_OLDER_H

#include "egretd/kernel_pin.h"

struct bpf_map;
struct kernel_words;

/* Which folder stands. older: its path, or "" when it is this version's own or there is none
 * (KERNEL_PIN_MAX bytes). What an upgrade left half-made is removed. -EPROTO with a sentence: what
 * stands is of a newer version. */
int kernel_older_find(const char *instance, char *older, char *why, size_t size) MUST_CHECK;
/* The map of the older folder in place of a new one, if its shape is the same: 1; 0: it is to be
 * made anew (or is there already); -errno with a sentence: it cannot be replaced while jobs run. */
int kernel_older_map(const char *older, struct bpf_map *m, struct kernel_words *words, char *why,
		     size_t size) MUST_CHECK;
/* Keys of the older table of cgroups. */
int kernel_older_cgroups(const char *older, void (*fn)(void *owner, uint64_t cgroup),
			 void *owner) MUST_CHECK;
/* The folder's pins go: what this version has no use for is detached by it. "" in path then. */
int kernel_older_remove(char *path, char *why, size_t size) MUST_CHECK;
/* Everything in the folder, then the folder. */
int kernel_folder_remove(const char *path) MUST_CHECK;

#endif
