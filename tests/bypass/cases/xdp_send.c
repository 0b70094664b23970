// SPDX-License-Identifier: Apache-2.0
/* AF_XDP in copy mode: frames from shared memory straight to the driver, no program loaded. */
#include "../wire.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#define FRAMES 16
#define FRAME_SIZE 2048

static uint8_t *map(int fd, const struct xdp_ring_offset *off, size_t entry, uint64_t where)
{
	void *p = mmap(NULL, off->desc + FRAMES * entry, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)where);

	return p == MAP_FAILED ? NULL : p;
}

static void send_one(const struct target *t, struct attempt *a, int fd, unsigned dev, uint8_t *area)
{
	struct xdp_umem_reg reg = { .addr = (uintptr_t)area,
				    .len = FRAMES * FRAME_SIZE,
				    .chunk_size = FRAME_SIZE };
	struct sockaddr_xdp to = { .sxdp_family = AF_XDP,
				   .sxdp_flags = XDP_COPY,
				   .sxdp_ifindex = dev };
	struct xdp_mmap_offsets off;
	socklen_t n = sizeof(off);
	struct xdp_desc *desc;
	uint8_t *tx;
	int entries = FRAMES;

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &entries, sizeof(entries)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &entries, sizeof(entries)) ||
	    setsockopt(fd, SOL_XDP, XDP_TX_RING, &entries, sizeof(entries)) ||
	    getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &n)) {
		failed(a, "XDP_UMEM_REG");
		return;
	}
	tx = map(fd, &off.tx, sizeof(*desc), XDP_PGOFF_TX_RING);
	if (!tx) {
		failed(a, "mmap");
		return;
	}
	if (bind(fd, (struct sockaddr *)&to, sizeof(to))) {
		failed(a, "bind(AF_XDP)");
		return;
	}
	desc = (struct xdp_desc *)(void *)(tx + off.tx.desc);
	desc->addr = 0;
	desc->options = 0;
	desc->len = (uint32_t)wire_ether(t, area, 0);
	desc->len += (uint32_t)wire_udp(t, area + desc->len);
	__atomic_store_n((uint32_t *)(void *)(tx + off.tx.producer), 1, __ATOMIC_RELEASE);
	if (sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY)
		failed(a, "sendto(AF_XDP)");
}

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t *area = mmap(NULL, FRAMES * FRAME_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned dev = 0;
	int fd;

	if (area == MAP_FAILED || !link_index(t, a, &dev))
		return;
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		lacking(a, "socket(AF_XDP)");
		return;
	}
	send_one(t, a, fd, dev, area);
	close(fd);
}

CASE(xdp_send) = { .title = "AF_XDP, copy mode",
		   .source = "bpf.md 5; field C35",
		   .group = "link",
		   .families = FOUR | SIX,
		   .settings = LINKED,
		   .needs_root = true,
		   .attempt = attempt };
