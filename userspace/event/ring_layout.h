/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a ring's two memfds: for ring.c, ring_writer.c and ring_reader.c (and the tests that
 * forge it).
 *
 * Positions (head, tail) are bytes since the ring was made: they only grow, and position modulo
 * size is the place. Counts are records since the ring was made. A position and its count must
 * survive a crash between their two stores, so the pair is first written to marks[count & 1], then
 * the position is published: who opens the ring again takes the mark whose position is the
 * published one.
 *
 * Wake-ups: `asleep` is odd while the reader waits in epoll, and grows with every change, so that
 * the writer wakes it once a sleep. `want` grows whenever the writer begins to wait, and the reader
 * signals once a value. Both follow the pattern: store mine, full fence, look at the other's; so at
 * least one of the two sees the other.
 */
#ifndef EGRET_EVENT_RING_LAYOUT_H
#define EGRET_EVENT_RING_LAYOUT_H

#include "event/ring.h"
#include <stdatomic.h>

#define RING_MAGIC 0x52474531u
#define RING_ACK_MAGIC 0x41474531u
#define RING_PAGE 4096u
#define RING_RECORD_HEAD 8u
#define RING_SIZE_MIN (64u << 10)
#define RING_SIZE_MAX (64u << 20)

struct ring_mark {
	_Atomic uint64_t position, count;
};

/* First page of data. The proxy writes it. */
struct ring_head {
	uint32_t magic, pad;
	_Atomic uint64_t head;
	struct ring_mark marks[2];
	_Alignas(64) _Atomic uint64_t want;
};

/* The ack memfd. Only the audit process writes it. */
struct ring_ack {
	uint32_t magic, pad;
	_Atomic uint64_t tail;
	_Atomic uint64_t count;
	struct ring_mark marks[2];
	_Alignas(64) _Atomic uint64_t asleep;
	_Alignas(64) _Atomic uint64_t seqs[RING_SEQS]; /* record n at n % RING_SEQS */
};

_Static_assert(sizeof(struct ring_head) <= RING_PAGE, "the writer's head has one page");

/* Maps both; checks sizes and seals first, so that no later access can fault. */
struct ring_map {
	struct ring_head *head;
	struct ring_ack *ack;
	uint8_t *bytes; /* data + RING_PAGE */
	size_t size;
};
int ring_map_open(int data, int data_prot, int ack, int ack_prot, struct ring_map *ret) MUST_CHECK;
void ring_map_close(struct ring_map *m);

/* space: one token in, never blocking whatever the other side did to the file's flags; and all
 * tokens out. */
void ring_space_signal(int space);
void ring_space_drain(int space);

static inline uint64_t ring_padded(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}

#endif
