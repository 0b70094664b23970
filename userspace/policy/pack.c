/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several images in one sealed memfd: le32 magic, le32 count, then (offset, size) pairs, then
 * images at multiples of 8. Written by the compiler and by egretd, opened by egretd, the proxy, the
 * broker; the bytes are not trusted until pack_open has seen them.
 */
#include "policy/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PACK_COUNT_MAX 4096

struct pack_head {
	uint32_t magic, count;
};
struct pack_item {
	uint32_t off, n;
};

int pack_open(const void *data, size_t n, struct pack *ret)
{
	const uint8_t *p = data;
	struct pack_head h;
	struct pack_item item;

	if (n < sizeof(h) || n > PACK_SIZE_MAX)
		return -EBADMSG;
	memcpy(&h, p, sizeof(h));
	if (h.magic != PACK_MAGIC || h.count > PACK_COUNT_MAX ||
	    h.count > (n - sizeof(h)) / sizeof(item))
		return -EBADMSG;
	for (uint32_t i = 0; i < h.count; i++) {
		memcpy(&item, p + sizeof(h) + i * sizeof(item), sizeof(item));
		if (item.off > n || item.n > n - item.off ||
		    item.off < sizeof(h) + h.count * sizeof(item))
			return -EBADMSG;
	}
	*ret = (struct pack){ p, n, h.count };
	return 0;
}

struct str pack_at(const struct pack *k, uint32_t i)
{
	struct pack_item item;

	memcpy(&item, k->p + sizeof(struct pack_head) + i * sizeof(item), sizeof(item));
	return (struct str){ (const char *)k->p + item.off, item.n };
}

static int write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int pack_write(const struct str *images, uint32_t count, int *ret_fd)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct pack_head h = { PACK_MAGIC, count };
	static const char zeros[8];
	cleanup_close int fd = -1;
	size_t at = sizeof(h) + (size_t)count * sizeof(struct pack_item);
	int r;

	if (count > PACK_COUNT_MAX)
		return -EFBIG;
	fd = memfd_create("egret-pack", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = write_all(fd, &h, sizeof(h));
	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct pack_item item = { (uint32_t)at, (uint32_t)images[i].n };

		at += (images[i].n + 7) & ~(size_t)7;
		r = at > PACK_SIZE_MAX ? -EFBIG : write_all(fd, &item, sizeof(item));
	}
	for (uint32_t i = 0; i < count && r == 0; i++) {
		r = write_all(fd, images[i].p, images[i].n);
		if (r == 0)
			r = write_all(fd, zeros, -images[i].n & 7);
	}
	if (r == 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}
