// SPDX-License-Identifier: Apache-2.0
/*
 * Synthetic addresses: see names.h. Trusts the table file as far as its form is checked: only this
 * job's proxies write it. An entry that is not well formed keeps its slot but answers to no name.
 */
#include "proxy/names.h"

#include "policy/policy.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

#define ENTRY 256
#define PER_24 254 /* of each /24 the first and the last address are left out */

struct name {
	char *text; /* NULL: an entry that could not be read */
	uint8_t n;
	bool marked;
};

struct names {
	struct address_block v4, v6;
	struct name *list;
	uint32_t count, size, max;
	uint32_t *table;     /* slot + 1, open addressing */
	uint32_t table_size; /* a power of two, at least twice count */
	uint64_t key;
	int fd;
};

static uint32_t hash(const struct names *n, struct str name)
{
	uint64_t h = 0xcbf29ce484222325u ^ n->key;

	for (size_t i = 0; i < name.n; i++) {
		h = (h ^ (uint8_t)name.p[i]) * 0x100000001b3u;
		h ^= h >> 29;
	}
	h = (h ^ n->key) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32);
}

static struct str text_of(const struct names *n, uint32_t slot)
{
	return (struct str){ n->list[slot].text, n->list[slot].n };
}

int names_find(const struct names *n, struct str name, uint32_t *ret_slot)
{
	uint32_t at = hash(n, name) & (n->table_size - 1);

	for (; n->table[at]; at = (at + 1) & (n->table_size - 1))
		if (str_eq(text_of(n, n->table[at] - 1), name)) {
			*ret_slot = n->table[at] - 1;
			return 0;
		}
	return -ENOENT;
}

static void index_slot(struct names *n, uint32_t slot)
{
	uint32_t at = hash(n, text_of(n, slot)) & (n->table_size - 1);

	while (n->table[at])
		at = (at + 1) & (n->table_size - 1);
	n->table[at] = slot + 1;
}

static void grow(struct names *n)
{
	uint32_t size = n->size ? n->size * 2 : 64;
	struct name *list = mem_new(size * sizeof(*list));

	if (n->count)
		memcpy(list, n->list, n->count * sizeof(*list));
	free(n->list);
	n->list = list;
	n->size = size;
	free(n->table);
	n->table_size = size * 2;
	n->table = mem_new(n->table_size * sizeof(*n->table));
	for (uint32_t i = 0; i < n->count; i++)
		if (n->list[i].text)
			index_slot(n, i);
}

/* name.p NULL: a slot that answers to nothing. */
static void keep(struct names *n, struct str name)
{
	if (n->count == n->size)
		grow(n);
	n->list[n->count].text = name.p ? mem_dup(name) : NULL;
	n->list[n->count].n = (uint8_t)name.n;
	n->count++;
	if (name.p)
		index_slot(n, n->count - 1);
}

static int read_entry(int fd, uint8_t *e)
{
	size_t have = 0;
	ssize_t r;

	memset(e, 0, ENTRY);
	while (have < ENTRY) {
		r = read(fd, e + have, ENTRY - have);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			break;
		have += (size_t)r;
	}
	return have ? 1 : 0;
}

static int load(struct names *n)
{
	char canonical[HOST_MAX + 1];
	uint8_t e[ENTRY];
	uint32_t slot;
	size_t len;
	int r;

	if (lseek(n->fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((r = read_entry(n->fd, e)) > 0) {
		struct str name = { (const char *)e + 1, e[0] };

		if (n->count == n->max)
			return -EFBIG;
		if (!name.n || name.n > HOST_MAX || host_canonical(name, canonical, &len) ||
		    len != name.n || memcmp(canonical, name.p, len) ||
		    (n->count && !names_find(n, name, &slot)))
			name = (struct str){ NULL, 0 };
		keep(n, name);
	}
	return r;
}

static uint64_t room4(const struct address_block *v4)
{
	/* The first and the last /24 are left out as well, when there are more than two. */
	uint64_t nets = 1ull << (24 - (v4->prefix - 96));

	return (nets > 2 ? nets - 2 : nets) * PER_24;
}

int names_new(const struct address_block *v4, const struct address_block *v6, size_t max, int fd,
	      struct names **ret)
{
	struct names *n;
	int r = 0;

	if (!address_is_v4(v4->addr) || v4->prefix < 96 || v4->prefix > 120 ||
	    address_is_v4(v6->addr) || v6->prefix > 96)
		return -EINVAL;
	n = mem_new(sizeof(*n));
	n->v4 = *v4;
	n->v6 = *v6;
	n->max = (uint32_t)(max < room4(v4) ? max : room4(v4));
	n->fd = fd;
	if (RAND_bytes((unsigned char *)&n->key, sizeof(n->key)) != 1)
		die("no random bytes");
	grow(n);
	if (fd >= 0)
		r = load(n);
	if (r) {
		n->fd = -1;
		names_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

struct names *names_free(struct names *n)
{
	if (!n)
		return NULL;
	for (uint32_t i = 0; i < n->count; i++)
		free(n->list[i].text);
	free(n->list);
	free(n->table);
	if (n->fd >= 0)
		close(n->fd);
	free(n);
	return NULL;
}

int names_add(struct names *n, struct str name, uint32_t *ret_slot, bool *ret_new)
{
	uint8_t e[ENTRY] = { 0 };
	ssize_t r;

	if (!name.n || name.n > HOST_MAX)
		return -EINVAL;
	if (!names_find(n, name, ret_slot)) {
		*ret_new = false;
		return 0;
	}
	if (n->count == n->max)
		return -ENOSPC;
	if (n->fd >= 0) {
		e[0] = (uint8_t)name.n;
		memcpy(e + 1, name.p, name.n);
		/* Entries divide pages: one write is whole or not at all. */
		if (lseek(n->fd, (off_t)n->count * ENTRY, SEEK_SET) < 0)
			return -errno;
		r = write(n->fd, e, ENTRY);
		if (r != ENTRY)
			return r < 0 ? -errno : -EIO;
	}
	keep(n, name);
	*ret_slot = n->count - 1;
	*ret_new = true;
	return 0;
}

void names_addr4(const struct names *n, uint32_t slot, uint8_t ret[4])
{
	uint32_t base = (uint32_t)n->v4.addr[12] << 24 | (uint32_t)n->v4.addr[13] << 16 |
			(uint32_t)n->v4.addr[14] << 8;
	uint32_t net = slot / PER_24 + (n->v4.prefix < 119 ? 1 : 0);
	uint32_t a = base + (net << 8) + 1 + slot % PER_24;

	ret[0] = (uint8_t)(a >> 24);
	ret[1] = (uint8_t)(a >> 16);
	ret[2] = (uint8_t)(a >> 8);
	ret[3] = (uint8_t)a;
}

void names_addr6(const struct names *n, uint32_t slot, uint8_t ret[16])
{
	uint32_t id = slot + 0x10000; /* away from ::1 and its like */

	memcpy(ret, n->v6.addr, 12);
	ret[12] = (uint8_t)(id >> 24);
	ret[13] = (uint8_t)(id >> 16);
	ret[14] = (uint8_t)(id >> 8);
	ret[15] = (uint8_t)id;
}

bool names_owns(const struct names *n, const uint8_t addr[16])
{
	return address_in(addr, &n->v4) || address_in(addr, &n->v6);
}

int names_of(const struct names *n, const uint8_t addr[16], struct str *ret)
{
	uint8_t made[16];
	uint32_t slot;

	if (address_in(addr, &n->v4)) {
		uint32_t a = (uint32_t)addr[12] << 24 | (uint32_t)addr[13] << 16 |
			     (uint32_t)addr[14] << 8 | addr[15];
		uint32_t base = (uint32_t)n->v4.addr[12] << 24 | (uint32_t)n->v4.addr[13] << 16 |
				(uint32_t)n->v4.addr[14] << 8;
		uint32_t net = (a - base) >> 8, host = a & 0xff, skip = n->v4.prefix < 119 ? 1 : 0;

		if (net < skip || host < 1 || host > PER_24)
			return -ENOENT;
		slot = (net - skip) * PER_24 + host - 1;
	} else if (address_in(addr, &n->v6)) {
		slot = ((uint32_t)addr[12] << 24 | (uint32_t)addr[13] << 16 |
			(uint32_t)addr[14] << 8 | addr[15]) -
		       0x10000;
		names_addr6(n, slot, made);
		if (memcmp(made, addr, 16))
			return -ENOENT;
	} else {
		return -ENOENT;
	}
	if (slot >= n->count || !n->list[slot].text)
		return -ENOENT;
	*ret = text_of(n, slot);
	return 0;
}

void names_mark(struct names *n, uint32_t slot)
{
	if (slot < n->count)
		n->list[slot].marked = true;
}

bool names_marked(const struct names *n, uint32_t slot)
{
	return slot < n->count && n->list[slot].marked;
}
