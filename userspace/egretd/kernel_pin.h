/* SPDX-License-Identifier: Apache-2.0 */
/* The pin folder of an instance, /sys/fs/bpf/egret/INSTANCE/v2, and what the kernel*.c share: their
 * own room, used by nobody else. */
#ifndef EGRET_EGRETD_KERNEL_PIN_H
#define EGRET_EGRETD_KERNEL_PIN_H

#include "base/bytes.h"

#define KERNEL_PIN_MAX 256

struct bpf_object;
struct bpf_program;
struct kernel;

/* Mounts bpffs when it is not there, makes the folder (0700), says whether it holds pins already.
 * dir: KERNEL_PIN_MAX bytes. */
int kernel_pin_dir(const char *instance, char *dir, bool *ret_reused, char *why,
		   size_t size) MUST_CHECK;
int kernel_pin_path(const char *dir, const char *name, char *ret) MUST_CHECK;
int kernel_pin_parent(const char *instance,
		      char *ret) MUST_CHECK; /* .../INSTANCE: the folders of all versions */
/* Attaches prog to the cgroup with a pinned link; a pinned link to the same cgroup, in dir or in an
 * older folder ("": there is none), gets the program in place of its old one. -EBUSY: it stands at
 * another cgroup. */
int kernel_pin_link(const char *dir, const char *older, struct bpf_program *prog,
		    int cgroup) MUST_CHECK;
int kernel_pin_check(const char *dir, struct bpf_program *prog, int cgroup) MUST_CHECK; /* -EBUSY */
/* A new descriptor of a pinned map. */
int kernel_pin_get(const char *dir, const char *name, bool read_only, int *ret) MUST_CHECK;

/* Attaches prog to its tracepoint or LSM hook with a pinned link. Such a link takes no other
 * program: an older one that is pinned goes when the new one stands. */
int kernel_pin_tracing(const char *dir, struct bpf_program *prog) MUST_CHECK;

/* kernel.c: the maps that kernel_cage.c, kernel_hold.c and kernel_member.c write. */
enum kernel_map {
	KERNEL_CGROUPS,
	KERNEL_LISTENERS,
	KERNEL_CAGE,
	KERNEL_MEMBERS,
	KERNEL_PUBLISHED,
	KERNEL_HOLDS,
	KERNEL_BEAT,
	KERNEL_HELD,
	KERNEL_DIRECT,
	KERNEL_LINKS,
	KERNEL_OWN,
	KERNEL_SPOKEN,
	KERNEL_CONTROL,
	KERNEL_HOSTADDRS,
	KERNEL_DIALLER,
};
int kernel_map_fd(struct kernel *k, enum kernel_map which); /* borrowed */
int kernel_link_prog(struct kernel *k);			    /* egret_link; borrowed */
/* kernel_member.c: all keys of a hash, of `key` bytes each. The caller frees. */
int kernel_keys(int fd, size_t key, uint8_t **ret, size_t *ret_n) MUST_CHECK;

/* kernel_change.c: a change of a table by which the walls judge packets stands between begin and
 * end; CHANGES(k) is that for the rest of a function. kernel_change_open waits where another is at
 * it; kernel_change_mend, each second: what a killed writer left is made good. */
struct kernel_change;
int kernel_change_open(int fd, struct kernel_change **ret) MUST_CHECK;
void kernel_change_close(struct kernel_change *c); /* accepts NULL */
void kernel_change_begin(struct kernel_change *c);
void kernel_change_end(struct kernel_change **c);
bool kernel_change_mend(struct kernel_change *c); /* false: under way, or not known yet */
struct kernel_change *kernel_change_of(struct kernel *k);
#define CHANGES(k)                                                                       \
	__attribute__((cleanup(kernel_change_end))) struct kernel_change *change_of_k_ = \
		kernel_change_of(k);                                                     \
	kernel_change_begin(change_of_k_)

/* kernel_hold.c: the reader of the ring of held tasks. */
struct kernel_hold;
int kernel_hold_open(struct kernel *k, struct kernel_hold **ret) MUST_CHECK;
void kernel_hold_close(struct kernel_hold *h); /* accepts NULL */
struct kernel_hold *kernel_hold_of(struct kernel *k);

/* kernel_guard.c: the LSM programs of an object. */
int kernel_guard_probe(char *why, size_t size) MUST_CHECK; /* 0, or -ENOTSUP with the sentence */
/* Before the load: which are loaded. lacking: the hooks that this kernel does not have. */
int kernel_guard_choose(struct bpf_object *o, bool on, char *lacking, size_t size) MUST_CHECK;
/* One of them is named, in quotes, in what libbpf said. */
bool kernel_guard_is(const struct bpf_object *o, const char *text);
struct kernel_watch;
int kernel_guard_attach(struct kernel_watch *w, const char *dir, const struct bpf_object *o,
			char *why, size_t size) MUST_CHECK;

#endif
