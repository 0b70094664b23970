/* SPDX-License-Identifier: Apache-2.0 */
/* The pin folder of an instance, /sys/fs/bpf/egret/INSTANCE/v1: kernel.c's own room, used by nobody
 * else. */
#ifndef EGRET_EGRETD_KERNEL_PIN_H
#define EGRET_EGRETD_KERNEL_PIN_H

#include "base/bytes.h"

#define KERNEL_PIN_MAX 256

struct bpf_program;
struct kernel;

/* Mounts bpffs when it is not there, makes the folder (0700), says whether it holds pins already.
 * dir: KERNEL_PIN_MAX bytes. */
int kernel_pin_dir(const char *instance, char *dir, bool *ret_reused, char *why,
		   size_t size) MUST_CHECK;
int kernel_pin_path(const char *dir, const char *name, char *ret) MUST_CHECK;
/* Attaches prog to the cgroup with a pinned link; a pinned link to the same cgroup gets the program
 * in place of its old one. */
int kernel_pin_link(const char *dir, struct bpf_program *prog, int cgroup) MUST_CHECK;
/* A new descriptor of a pinned map. */
int kernel_pin_get(const char *dir, const char *name, bool read_only, int *ret) MUST_CHECK;

int kernel_cage_fd(struct kernel *k); /* kernel.c: the map that kernel_cage.c writes */

#endif
