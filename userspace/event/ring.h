/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ring a proxy: shared memory from the proxy (writer) to the audit process (reader), made and
 * kept by egretd, so that it outlives either.
 *
 *  data  memfd, sealed against resizing: a page with the writer's head, then `size` bytes (a power
 * of two) of records, each le32 length, le32 0, bytes, padded to 8. The proxy maps it writable. The
 * reader trusts nothing in it: it copies a record once, then checks the copy. ack   memfd that only
 * the audit process can write: how far it has read, how many records, and the sequence number that
 *        each of the last RING_SEQS records got in the stream. The proxy has a read-only
 * descriptor. wake  eventfd, proxy -> audit: there is something to read. Never read(2): the audit
 * process watches it with EPOLLET. space a datagram socket connected to itself, audit -> proxy:
 * something was read while the proxy waited. Not an eventfd, because a proxy that is taken over
 * could make the audit process hang in write(2) on one.
 *
 * Promise P7: ring_write before the request goes out. A full ring returns -EAGAIN and the request
 * waits.
 */
#ifndef EGRET_EVENT_RING_H
#define EGRET_EVENT_RING_H

#include "event/event.h"

#define RING_SEQS 4096u /* power of two */

struct ring_fds {
	int data, ack, ack_ro, wake, space;
};

/* egretd: makes the five descriptors. size is a power of two, 64 KiB to 64 MiB. */
int ring_create(size_t size, struct ring_fds *ret) MUST_CHECK;
void ring_fds_done(struct ring_fds *f);

struct ring_writer;
struct ring_reader;

/* Writer. Takes over the descriptors. A proxy that restarts goes on where the shared head stands.
 */
int ring_writer_open(int data, int ack_ro, int wake, int space,
		     struct ring_writer **ret) MUST_CHECK;
struct ring_writer *ring_writer_free(struct ring_writer *w);
/* 0 and *ret_n, the record's number in this ring (from 1); -EAGAIN when full. Wakes the reader. */
int ring_write(struct ring_writer *w, const struct event *e, uint64_t *ret_n) MUST_CHECK;
/* The same without waking the reader: the record is in the ring, and ring_wake comes later, once
 * for many. A ring that is half full wakes by itself. */
int ring_put(struct ring_writer *w, const struct event *e, uint64_t *ret_n) MUST_CHECK;
void ring_wake(struct ring_writer *w);
/* The stream's sequence number of record n: 0 and *ret_seq; -EAGAIN when not read yet (asks the
 * reader to signal space); -ESTALE when more than RING_SEQS records ago. */
int ring_seq(struct ring_writer *w, uint64_t n, uint64_t *ret_seq) MUST_CHECK;
int ring_space_fd(const struct ring_writer
			  *w); /* readable when ring_write or ring_seq is worth another try */
void ring_space_clear(struct ring_writer *w); /* when readable: clear first, then try again, or a
						 signal could be lost */

/* Reader (audit process). */
int ring_reader_open(int data, int ack, int wake, int space, struct ring_reader **ret) MUST_CHECK;
struct ring_reader *ring_reader_free(struct ring_reader *r);
int ring_wake_fd(const struct ring_reader *r); /* EPOLLIN | EPOLLET */
void ring_wake_clear(struct ring_reader *r);   /* at each edge, before ring_read */
/* Copies the next record to `to`. 1: one; 0: empty, and the writer will wake us; -EBADMSG: the
 * writer is broken or hostile (drop the ring, alert). At most 1024 records may be read and not
 * acknowledged yet: then 0, too. */
int ring_read(struct ring_reader *r, struct event *to) MUST_CHECK;
/* After the record is in the log: its number in the stream, in the order of ring_read. */
void ring_acked(struct ring_reader *r, uint64_t seq);
uint64_t ring_count(const struct ring_reader *r); /* records acknowledged since the ring was made */
/* Positions: behind what was handed out, and behind what the writer has put there by now. */
uint64_t ring_taken(const struct ring_reader *r);
uint64_t ring_written(struct ring_reader *r);

/* Checks a record's form: kind, verdict, reason, fields known, lengths right, text UTF-8 without
 * NUL. 0 or -EBADMSG. */
int event_check(const void *p, size_t n) MUST_CHECK;

#endif
