/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables by which the members of a job reach each other, the host's addresses, and the walks
 * over what the kernel knows of jobs: for the sweep after a restart and for a job that is over.
 * Called by egretd, with numbers and addresses that the kernel or egretd itself made.
 */
#include "egretd/kernel.h"
#include "addr.h"
#include "egretd/kernel_pin.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#define KEY_MAX 32
#define KEYS_MAX 131072 /* twice what the largest table holds */

static int gone(int r)
{
	return r == -ENOENT ? 0 : r;
}

int kernel_member_set(struct kernel *k, uint64_t job, const uint8_t addr[16])
{
	struct egret_member_key key = { .job = job };
	uint32_t w[4];
	uint8_t one = 1;

	memcpy(key.addr, addr, sizeof(key.addr));
	memcpy(w, addr, sizeof(w));
	CHANGES(k);

	if (!job)
		return -EINVAL;
	switch (addr_class(w)) {
	case ADDR_UNSPECIFIED:
	case ADDR_LOOPBACK:
	case ADDR_LINK_LOCAL:
	case ADDR_MULTICAST:
	case ADDR_METADATA:
		return -EINVAL;
	default:
		return bpf_map_update_elem(kernel_map_fd(k, KERNEL_MEMBERS), &key, &one, BPF_ANY);
	}
}

int kernel_member_del(struct kernel *k, uint64_t job, const uint8_t addr[16])
{
	struct egret_member_key key = { .job = job };

	memcpy(key.addr, addr, sizeof(key.addr));
	CHANGES(k);

	return gone(bpf_map_delete_elem(kernel_map_fd(k, KERNEL_MEMBERS), &key));
}

int kernel_hostaddr_set(struct kernel *k, const uint8_t (*addrs)[16], size_t n)
{
	int fd = kernel_map_fd(k, KERNEL_HOSTADDRS);
	uint8_t key[16], next[16], one = 1;
	const void *at = NULL;
	int r;
	CHANGES(k);

	for (size_t i = 0; i < n; i++) {
		r = bpf_map_update_elem(fd, addrs[i], &one, BPF_ANY);
		if (r)
			return r;
	}
	/* New ones are in: what is not among them goes. */
	while (bpf_map_get_next_key(fd, at, next) == 0) {
		bool keep = false;

		for (size_t i = 0; i < n && !keep; i++)
			keep = memcmp(addrs[i], next, sizeof(next)) == 0;
		if (!keep) {
			r = gone(bpf_map_delete_elem(fd, next));
			if (r)
				return r;
			at = NULL; /* the walk starts anew: its place is gone */
			continue;
		}
		memcpy(key, next, sizeof(key));
		at = key;
	}
	return 0;
}

int kernel_published_set(struct kernel *k, uint64_t job, uint16_t port, uint8_t ways)
{
	struct egret_published_key key = { .job = job, .port = port };

	if (!job || !port || !ways)
		return -EINVAL;
	return bpf_map_update_elem(kernel_map_fd(k, KERNEL_PUBLISHED), &key, &ways, BPF_ANY);
}

int kernel_published_del(struct kernel *k, uint64_t job, uint16_t port)
{
	struct egret_published_key key = { .job = job, .port = port };

	return gone(bpf_map_delete_elem(kernel_map_fd(k, KERNEL_PUBLISHED), &key));
}

/* All keys of a hash, of `key` bytes each: walking while entries go would begin anew without end.
 * Only egretd writes most of these maps, so nothing is missed; what the kernel itself adds and
 * drives out (egret_spoken) may come twice, and ends at a bound. The caller frees. */
int kernel_keys(int fd, size_t key, uint8_t **ret, size_t *ret_n)
{
	uint8_t next[KEY_MAX], *all = NULL;
	size_t n = 0, room = 0;
	const void *at = NULL;
	int r;

	while ((r = bpf_map_get_next_key(fd, at, next)) == 0 && n < KEYS_MAX) {
		if (n == room) {
			room = room ? room * 2 : 64;
			all = reallocarray(all, room, key);
			if (!all)
				die("out of memory");
		}
		memcpy(all + n * key, next, key);
		at = all + n * key;
		n++;
	}
	if (r && r != -ENOENT) {
		free(all);
		return r;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

int kernel_cgroup_each(struct kernel *k,
		       void (*fn)(void *owner, uint64_t cgroup, const struct egret_cgroup *c),
		       void *owner)
{
	int fd = kernel_map_fd(k, KERNEL_CGROUPS), r;
	cleanup_free uint8_t *keys = NULL;
	size_t n = 0;

	r = kernel_keys(fd, sizeof(uint64_t), &keys, &n);
	for (size_t i = 0; i < n; i++) {
		struct egret_cgroup c;
		uint64_t id;

		memcpy(&id, keys + i * sizeof(id), sizeof(id));
		if (bpf_map_lookup_elem(fd, &id, &c) == 0)
			fn(owner, id, &c);
	}
	return r;
}

/* Deletes the entries whose key begins with this job. */
static int job_delete(int fd, size_t key, uint64_t job)
{
	cleanup_free uint8_t *keys = NULL;
	size_t n = 0;
	int r = kernel_keys(fd, key, &keys, &n);

	for (size_t i = 0; i < n && !r; i++)
		if (memcmp(keys + i * key, &job, sizeof(job)) == 0)
			r = gone(bpf_map_delete_elem(fd, keys + i * key));
	return r;
}

int kernel_job_forget(struct kernel *k, uint64_t job)
{
	cleanup_free uint8_t *keys = NULL;
	struct egret_listener_key l;
	size_t n = 0;
	int r;
	CHANGES(k);

	_Static_assert(offsetof(struct egret_member_key, job) == 0, "key begins with the job");
	_Static_assert(offsetof(struct egret_published_key, job) == 0, "key begins with the job");
	_Static_assert(offsetof(struct egret_spoken_key, job) == 0, "key begins with the job");
	_Static_assert(sizeof(struct egret_member_key) <= KEY_MAX &&
			       sizeof(struct egret_spoken_key) <= KEY_MAX,
		       "keys fit");
	r = job_delete(kernel_map_fd(k, KERNEL_MEMBERS), sizeof(struct egret_member_key), job);
	if (!r)
		r = job_delete(kernel_map_fd(k, KERNEL_PUBLISHED),
			       sizeof(struct egret_published_key), job);
	if (!r)
		r = job_delete(kernel_map_fd(k, KERNEL_SPOKEN), sizeof(struct egret_spoken_key),
			       job);
	if (!r)
		r = kernel_keys(kernel_map_fd(k, KERNEL_LISTENERS), sizeof(l), &keys, &n);
	for (size_t i = 0; i < n && !r; i++) {
		memcpy(&l, keys + i * sizeof(l), sizeof(l));
		if (l.job == job)
			r = kernel_listener_del(k, job, l.netns);
	}
	return r;
}
