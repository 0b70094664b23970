/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding as egretd sees it: below which cgroups, the sign of life without which nobody is stopped,
 * and the ring of those who were. The ring is pinned: what was held while egretd was started anew
 * is read by the new one.
 */
#include "egretd/kernel.h"
#include "egretd/kernel_pin.h"
#include "base/clock.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct kernel_hold {
	struct ring_buffer *rb;
	uint32_t host_mnt;
	void (*fn)(void *owner, const struct egret_held *h);
	void *owner;
};

static int on_held(void *owner, void *p, size_t n)
{
	struct kernel_hold *h = owner;
	struct egret_held held;

	if (n < sizeof(held) || !h->fn)
		return 0;
	memcpy(&held, p, sizeof(held));
	h->fn(h->owner, &held);
	return 0;
}

int kernel_hold_open(struct kernel *k, struct kernel_hold **ret)
{
	struct kernel_hold *h;
	struct stat st;
	int r;

	/* Pid 1's, not ours: a service manager may have given egretd one of its own. Ours where
	 * pid 1 cannot be looked at: in a container that plays the host. */
	if (stat("/proc/1/ns/mnt", &st) < 0 && stat("/proc/self/ns/mnt", &st) < 0)
		return -errno;
	h = mem_new(sizeof(*h));
	h->host_mnt = (uint32_t)st.st_ino;
	h->rb = ring_buffer__new(kernel_map_fd(k, KERNEL_HELD), on_held, h, NULL);
	if (!h->rb) {
		r = errno ? -errno : -EINVAL;
		free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void kernel_hold_close(struct kernel_hold *h)
{
	if (!h)
		return;
	ring_buffer__free(h->rb);
	free(h);
}

/* The number of holds and the time go together: the kernel looks at this one entry first. */
int kernel_hold_beat(struct kernel *k)
{
	struct egret_beat b = { .time_ns = clock_now_us() * 1000,
				.host_mnt = kernel_hold_of(k)->host_mnt };
	int fd = kernel_map_fd(k, KERNEL_HOLDS);
	uint64_t key, next;
	const void *at = NULL;
	uint32_t zero = 0;

	while (bpf_map_get_next_key(fd, at, &next) == 0) {
		b.holds++;
		key = next;
		at = &key;
	}
	return bpf_map_update_elem(kernel_map_fd(k, KERNEL_BEAT), &zero, &b, BPF_ANY);
}

int kernel_hold_set(struct kernel *k, uint64_t cgroup, uint32_t flags)
{
	int r;

	if (kernel_no_hold(k))
		return -EOPNOTSUPP;
	if (!cgroup)
		return -EINVAL;
	r = bpf_map_update_elem(kernel_map_fd(k, KERNEL_HOLDS), &cgroup, &flags, BPF_ANY);
	return r ? r : kernel_hold_beat(k);
}

int kernel_hold_del(struct kernel *k, uint64_t cgroup)
{
	int r = bpf_map_delete_elem(kernel_map_fd(k, KERNEL_HOLDS), &cgroup);

	if (r && r != -ENOENT)
		return r;
	return kernel_hold_beat(k);
}

int kernel_held_fd(struct kernel *k)
{
	return ring_buffer__epoll_fd(kernel_hold_of(k)->rb);
}

void kernel_held_each(struct kernel *k, void (*fn)(void *owner, const struct egret_held *h),
		      void *owner)
{
	struct kernel_hold *h = kernel_hold_of(k);

	h->fn = fn;
	h->owner = owner;
	(void)ring_buffer__consume(h->rb);
	h->fn = NULL;
}
