/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program at the host's side of a job's link (bpf/tc.bpf.c): its table, and its place there, a
 * filter of clsact's ingress with a fixed priority and handle: a second attachment replaces the
 * first in one step, so an egretd that starts anew leaves neither a gap nor a twin. Such a filter
 * needs no pin: it stands until it is taken away or the link is gone. Called by net_link.c and
 * trial_tc.c with interfaces of the caller's own network namespace.
 */
#include "egretd/kernel.h"
#include "egretd/kernel_pin.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PRIORITY 1     /* first: nobody can stand before it in clsact */
#define HANDLE 0x6567  /* other than what others take at that priority */
#define TCX_INGRESS 46 /* enum bpf_attach_type since 6.6 */
#define PROGRAM "egret_link"

int kernel_link_set(struct kernel *k, uint32_t ifindex, const struct egret_link *v)
{
	CHANGES(k);

	if (!ifindex || !v->job)
		return -EINVAL;
	return bpf_map_update_elem(kernel_map_fd(k, KERNEL_LINKS), &ifindex, v, BPF_ANY);
}

int kernel_link_del(struct kernel *k, uint32_t ifindex)
{
	CHANGES(k);
	int r = bpf_map_delete_elem(kernel_map_fd(k, KERNEL_LINKS), &ifindex);

	return r == -ENOENT ? 0 : r;
}

int kernel_link_each(struct kernel *k,
		     void (*fn)(void *owner, uint32_t ifindex, const struct egret_link *v),
		     void *owner)
{
	int fd = kernel_map_fd(k, KERNEL_LINKS), r;
	cleanup_free uint8_t *keys = NULL;
	size_t n = 0;

	r = kernel_keys(fd, sizeof(uint32_t), &keys, &n);
	for (size_t i = 0; i < n; i++) {
		struct egret_link v;
		uint32_t ifindex;

		memcpy(&ifindex, keys + i * sizeof(ifindex), sizeof(ifindex));
		if (bpf_map_lookup_elem(fd, &ifindex, &v) == 0)
			fn(owner, ifindex, &v);
	}
	return r;
}

/* Whose program is in our place there: 1 ours, of whichever egretd, 0 nobody's, -EEXIST another's.
 */
static int place_of(const struct bpf_tc_hook *hook)
{
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = HANDLE, .priority = PRIORITY);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int r = bpf_tc_query(hook, &at), fd;

	if (r)
		return r == -ENOENT || r == -EINVAL ? 0 : r; /* EINVAL: there is no clsact */
	fd = bpf_prog_get_fd_by_id(at.prog_id);
	if (fd < 0)
		return fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (r)
		return r;
	return strcmp(info.name, PROGRAM) == 0 ? 1 : -EEXIST;
}

int kernel_link_attach(struct kernel *k, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = HANDLE, .priority = PRIORITY,
		    .flags = BPF_TC_F_REPLACE, .prog_fd = kernel_link_prog(k));
	int r = bpf_tc_hook_create(&hook);

	if (r == -ENOENT) /* no such qdisc here */
		return -EOPNOTSUPP;
	if (r && r != -EEXIST)
		return r;
	r = place_of(&hook);
	if (r < 0)
		return r;
	r = bpf_tc_attach(&hook, &at);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

int kernel_link_detach(struct kernel *k, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = HANDLE, .priority = PRIORITY);
	int r = place_of(&hook);

	if (r != 1)
		return r == -ENODEV ? 0 : r;
	r = bpf_tc_detach(&hook, &at);
	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

int kernel_link_stands(struct kernel *k, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	__u32 first[1], n = ARRAY_SIZE(first);
	int r = bpf_prog_query((int)ifindex, TCX_INGRESS, 0, NULL, first, &n);

	/* Kernels before 6.6 do not know the question. */
	if ((r == 0 && n) || r == -ENOSPC)
		return -EBUSY;
	r = place_of(&hook);
	return r == -EEXIST ? 0 : r;
}
