/* SPDX-License-Identifier: Apache-2.0 */
/* What a proxy may dial although the cage refuses it, and what is closed to all. Called by egretd
 * with what the configuration and the job's policy name. */
#include "egretd/kernel.h"
#include "egretd/kernel_pin.h"
#include "egretd/kernel_trie.h"

#include <bpf/bpf.h>
#include <errno.h>

static int set(struct kernel *k, uint64_t proxy_cgroup, const struct kernel_dial *d, size_t n)
{
	struct trie_owner o = { .fd = kernel_map_fd(k, KERNEL_CAGE), .n = sizeof(proxy_cgroup) };
	cleanup_free struct block *list = mem_new((n + 1) * sizeof(*list));

	memcpy(o.bytes, &proxy_cgroup, sizeof(proxy_cgroup));
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct block){ .prefix = d[i].prefix,
					  .port_lo = d[i].port_lo,
					  .port_hi = d[i].port_hi,
					  .flags = d[i].flags };
		memcpy(list[i].addr, d[i].addr, 16);
	}
	return kernel_trie_set(&o, list, n);
}

int kernel_cage_set(struct kernel *k, uint64_t proxy_cgroup, const struct kernel_dial *d, size_t n)
{
	return proxy_cgroup == EGRET_CAGE_ALL ? -EINVAL : set(k, proxy_cgroup, d, n);
}

int kernel_cage_close(struct kernel *k, const struct kernel_dial *d, size_t n)
{
	return set(k, EGRET_CAGE_ALL, d, n);
}

int kernel_cage_del(struct kernel *k, uint64_t proxy_cgroup)
{
	return kernel_cage_set(k, proxy_cgroup, NULL, 0);
}

int kernel_dialler_set(struct kernel *k, uint64_t proxy_cgroup, uint64_t job, uint64_t host)
{
	const struct egret_dialler v = { .job = job, .host = host };

	return bpf_map_update_elem(kernel_map_fd(k, KERNEL_DIALLER), &proxy_cgroup, &v, BPF_ANY);
}

int kernel_dialler_del(struct kernel *k, uint64_t proxy_cgroup)
{
	int r = bpf_map_delete_elem(kernel_map_fd(k, KERNEL_DIALLER), &proxy_cgroup);

	return r == -ENOENT ? 0 : r;
}
