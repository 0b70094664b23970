/* SPDX-License-Identifier: Apache-2.0 */
/* What egretd holds of its own links and maps besides their pins, and how it finds that one was
 * taken away: kernel.c's room, asked by links.c through kernel_links_check(). */
#ifndef EGRET_EGRETD_KERNEL_WATCH_H
#define EGRET_EGRETD_KERNEL_WATCH_H

#include "base/bytes.h"
#include "egretd/kernel.h"

struct bpf_program;
struct kernel_watch;

struct kernel_watch *kernel_watch_new(void);
struct kernel_watch *kernel_watch_free(struct kernel_watch *w); /* NULL; accepts NULL */
/* The pinned link of this program, attached at this cgroup (-1: at no cgroup; then only its
 * descriptor and its pin are kept). Free the watch before the program. */
int kernel_watch_link(struct kernel_watch *w, const char *dir, struct bpf_program *prog,
		      int cgroup) MUST_CHECK;
/* A map pinned as `name`; fd stays the caller's. */
int kernel_watch_map(struct kernel_watch *w, const char *name, int fd) MUST_CHECK;
/* Descriptors of the links, the watch's own: how many, at most max. */
unsigned kernel_watch_links(const struct kernel_watch *w, int *to, unsigned max);
struct kernel_change;
/* A link that is put back is a change: its program was not there to count any. */
int kernel_watch_check(struct kernel_watch *w, const char *instance, const char *dir,
		       struct kernel_change *change, kernel_lost_fn fn, void *owner) MUST_CHECK;

#endif
