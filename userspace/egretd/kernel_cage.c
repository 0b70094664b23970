/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proxy may dial although the cage refuses it, and what is closed to all. The kernel finds
 * only the longest prefix of an address, so each prefix's entry is made to hold the port ranges of
 * every shorter one that covers it too.
 */
#include "egretd/kernel.h"
#include "egretd/kernel_pin.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

static bool covers(const struct kernel_dial *wide, const struct kernel_dial *narrow)
{
	unsigned whole = wide->prefix / 8, rest = wide->prefix % 8;

	if (wide->prefix > narrow->prefix)
		return false;
	if (memcmp(wide->addr, narrow->addr, whole) != 0)
		return false;
	return !rest || ((wide->addr[whole] ^ narrow->addr[whole]) >> (8 - rest)) == 0;
}

static void key_of(uint64_t cgroup, const struct kernel_dial *d, struct egret_cage_key *ret)
{
	*ret = (struct egret_cage_key){ .prefixlen = 64u + d->prefix };
	memcpy(ret->cgroup, &cgroup, sizeof(ret->cgroup));
	for (unsigned i = 0; i < 16; i++) {
		unsigned bits = d->prefix > i * 8 ? d->prefix - i * 8 : 0;
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);

		ret->addr[i] = d->addr[i] & mask;
	}
}

static int entry_add(struct egret_cage_entry *e, const struct kernel_dial *d)
{
	for (size_t i = 0; i < EGRET_CAGE_RANGES; i++) {
		struct egret_cage_value *v = &e->range[i];

		if (v->port_hi && v->port_lo == d->port_lo && v->port_hi == d->port_hi) {
			v->flags |= d->flags;
			return 0;
		}
		if (!v->port_hi) {
			*v = (struct egret_cage_value){ .port_lo = d->port_lo,
							.port_hi = d->port_hi,
							.flags = d->flags };
			return 0;
		}
	}
	return -E2BIG;
}

static int entry_of(const struct kernel_dial *all, size_t n, const struct kernel_dial *d,
		    struct egret_cage_entry *ret)
{
	*ret = (struct egret_cage_entry){ 0 };
	for (size_t i = 0; i < n; i++) {
		int r = covers(&all[i], d) ? entry_add(ret, &all[i]) : 0;

		if (r)
			return r;
	}
	return 0;
}

/* Removes the entries of this proxy that are not in `all`. */
static int sweep(int fd, uint64_t cgroup, const struct kernel_dial *all, size_t n)
{
	struct egret_cage_key key, next, *gone = NULL;
	size_t ngone = 0, room = 0;
	const void *at = NULL;
	int r = 0;

	while (bpf_map_get_next_key(fd, at, &next) == 0) {
		bool keep = memcmp(next.cgroup, &cgroup, sizeof(cgroup)) != 0;

		for (size_t i = 0; i < n && !keep; i++) {
			struct egret_cage_key k;

			key_of(cgroup, &all[i], &k);
			keep = k.prefixlen == next.prefixlen &&
			       memcmp(k.addr, next.addr, sizeof(k.addr)) == 0;
		}
		if (!keep) {
			if (ngone == room) {
				room = room ? room * 2 : 64;
				gone = reallocarray(gone, room, sizeof(*gone));
				if (!gone)
					die("out of memory");
			}
			gone[ngone++] = next;
		}
		key = next;
		at = &key;
	}
	for (size_t i = 0; i < ngone && !r; i++) {
		r = bpf_map_delete_elem(fd, &gone[i]);
		if (r == -ENOENT)
			r = 0;
	}
	free(gone);
	return r;
}

static int set(struct kernel *k, uint64_t proxy_cgroup, const struct kernel_dial *d, size_t n)
{
	int fd = kernel_map_fd(k, KERNEL_CAGE);
	struct egret_cage_entry e;
	struct egret_cage_key key;
	int r;

	/* All are checked before the first is written. */
	for (size_t i = 0; i < n; i++) {
		if (d[i].prefix > 128 || !d[i].port_hi || d[i].port_lo > d[i].port_hi)
			return -EINVAL;
		r = entry_of(d, n, &d[i], &e);
		if (r)
			return r;
	}
	for (size_t i = 0; i < n; i++) {
		r = entry_of(d, n, &d[i], &e);
		key_of(proxy_cgroup, &d[i], &key);
		if (!r)
			r = bpf_map_update_elem(fd, &key, &e, BPF_ANY);
		if (r)
			return r;
	}
	return sweep(fd, proxy_cgroup, d, n);
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
