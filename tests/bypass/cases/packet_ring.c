// SPDX-License-Identifier: Apache-2.0
/* Frames through shared memory (PACKET_TX_RING): one empty send() lets them go. */
#include "../wire.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <unistd.h>

static void fill_and_send(const struct target *t, struct attempt *a, int fd, unsigned dev)
{
	struct tpacket_req ask = {
		.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2
	};
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)dev };
	struct tpacket2_hdr *h;
	int version = TPACKET_V2;
	uint8_t *data;
	size_t n;

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &ask, sizeof(ask))) {
		failed(a, "PACKET_TX_RING");
		return;
	}
	if (bind(fd, (struct sockaddr *)&ll, sizeof(ll))) {
		failed(a, "bind");
		return;
	}
	h = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED) {
		failed(a, "mmap");
		return;
	}
	data = (uint8_t *)h + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
	n = wire_ether(t, data, 0);
	n += wire_udp(t, data + n);
	h->tp_len = (uint32_t)n;
	__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	if (send(fd, NULL, 0, MSG_DONTWAIT) < 0)
		failed(a, "send");
	munmap(h, 4096);
}

static void attempt(const struct target *t, struct attempt *a)
{
	unsigned dev = 0;
	int fd;

	if (!link_index(t, a, &dev))
		return;
	fd = packet_open(a, SOCK_RAW);
	if (fd < 0)
		return;
	fill_and_send(t, a, fd, dev);
	close(fd);
}

CASE(packet_ring) = { .title = "AF_PACKET, PACKET_TX_RING",
		      .source = "field C35: new kernel interfaces",
		      .group = "link",
		      .families = FOUR | SIX,
		      .settings = LINKED,
		      .needs_root = true,
		      .attempt = attempt };
