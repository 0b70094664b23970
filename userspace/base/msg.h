/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between egret's own processes and on the control socket: one frame a datagram of an
 * AF_UNIX SOCK_SEQPACKET socket, at most MSG_SIZE_MAX bytes, descriptors beside it by SCM_RIGHTS.
 *
 *   frame:  le16 type  le16 count of fields  le32 id  then fields
 *   field:  le16 tag   le16 length           bytes, no padding
 *
 * A frame is checked whole (lengths add up, the count is right) before the first getter sees it, so
 * getters cannot run past it. Types and tags are in base/proto.h. A receiver that meets an
 * unexpected type, a missing field or a leftover descriptor drops the peer. Fuzzed by
 * tests/fuzz/fuzz_msg.c.
 */
#ifndef EGRET_BASE_MSG_H
#define EGRET_BASE_MSG_H

#include "base/bytes.h"

#define MSG_SIZE_MAX 65536
#define MSG_FDS_MAX 32
#define MSG_FIELDS_MAX 512

struct msg_out {
	struct buf bytes;
	int fds[MSG_FDS_MAX]; /* borrowed until sent */
	unsigned nfds;
	unsigned fields;
	bool failed; /* a put did not fit: msg_send then returns -EMSGSIZE */
};

/* Puts never fail loudly: the first that does not fit marks the message, and msg_send says
 * -EMSGSIZE. A field put twice with the same tag is a list only for the tags that proto.h calls
 * lists; msg_each walks them. */
void msg_begin(struct msg_out *m, uint16_t type, uint32_t id);
void msg_put(struct msg_out *m, uint16_t tag, const void *p, size_t n);
void msg_put_str(struct msg_out *m, uint16_t tag, struct str s);
void msg_put_u64(struct msg_out *m, uint16_t tag, uint64_t v);
/* A descriptor and its role: tag's field holds the index of the descriptor in the frame. */
void msg_put_fd(struct msg_out *m, uint16_t tag, int fd);
/* 0, -EAGAIN (nothing sent, non-blocking socket full), -EMSGSIZE, -EPIPE... Frees m's memory in
 * each case but -EAGAIN. */
int msg_send(int sock, struct msg_out *m) MUST_CHECK;
/* The frame's bytes, for msg_parse; lent until msg_out_done. 0 or -EMSGSIZE. */
int msg_bytes(struct msg_out *m, struct str *ret) MUST_CHECK;
void msg_out_done(struct msg_out *m);

struct msg_in {
	uint16_t type;
	uint32_t id;
	unsigned fields;
	const uint8_t *body; /* fields, in bytes */
	size_t body_n;
	int fds[MSG_FDS_MAX]; /* owned until taken; -1 when taken; CLOEXEC */
	unsigned nfds;
	uint8_t *bytes; /* owned */
};

/* One frame. 0; -EAGAIN; -ECONNRESET at end of stream; -EBADMSG when it is not a frame (descriptors
 * were closed). */
int msg_recv(int sock, struct msg_in *m) MUST_CHECK;
/* The same, and the frame stays; with SO_PEEK_OFF the next call sees the next one (socket(7)). */
int msg_peek(int sock, struct msg_in *m) MUST_CHECK;
/* The same check on bytes already in memory, which must outlive m (fuzzing, tests). 0 or -EBADMSG.
 */
int msg_parse(const void *p, size_t n, struct msg_in *m) MUST_CHECK;
void msg_in_done(struct msg_in *m); /* closes what was not taken, wipes and frees */

/* Getters: 0, or -ENOENT, or -EBADMSG when the field has another form. Outputs untouched on
 * failure. Strings point into m and hold no NUL byte; max is in bytes. */
int msg_get(const struct msg_in *m, uint16_t tag, struct str *ret) MUST_CHECK;
int msg_get_str(const struct msg_in *m, uint16_t tag, size_t max, struct str *ret) MUST_CHECK;
int msg_get_u64(const struct msg_in *m, uint16_t tag, uint64_t *ret) MUST_CHECK;
int msg_take_fd(struct msg_in *m, uint16_t tag, int *ret) MUST_CHECK; /* ownership to the caller */
/* Walks every field with this tag: start with *at = 0; true while there is one more. */
bool msg_each(const struct msg_in *m, uint16_t tag, size_t *at, struct str *ret);

/* Puts the descriptor of a field obtained by msg_each into *ret. */
int msg_take_fd_of(struct msg_in *m, struct str field, int *ret) MUST_CHECK;

int msg_pair(int ret[2]) MUST_CHECK; /* SOCK_SEQPACKET pair, CLOEXEC, non-blocking */

#endif
