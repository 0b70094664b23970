/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a push of git's smart protocol says before its objects: the list of refs that it wants moved
 * (gitprotocol-pack(5), "Reference Update Request"), and the answer that names each of them
 * (report-status). Pure: bytes in, bytes out.
 *
 * The reader is stricter than servers are: what one of them could take for another list than this
 * one is a fault, never a guess.
 */
#ifndef EGRET_HTTP_GIT_H
#define EGRET_HTTP_GIT_H

#include "base/bytes.h"

#define GIT_LIST_MAX (64u << 10) /* bytes, the flush that ends the list included: 700 refs */

/* What the client said that it understands, or is about to send. */
#define GIT_REPORT_STATUS 1u
#define GIT_SIDE_BAND 2u
#define GIT_PUSH_OPTIONS 4u

struct git_command {
	struct str old_id, new_id; /* 40 or 64 hexadecimal digits; all 0: none */
	struct str ref;		   /* any bytes but NUL, blank and LF */
};

/* Everything borrows from the bytes that were read. */
struct git_push {
	struct git_command *commands; /* in the arena */
	size_t n;
	unsigned says; /* GIT_* */
};

/* Looks for the flush that ends the list, from *at on; start with 0 and give more bytes behind the
 * same ones. 1: *at is behind it; 0: not there yet; -EBADMSG: no packets; -EMSGSIZE: the list is
 * longer than GIT_LIST_MAX. */
int git_list_end(struct str bytes, size_t *at) MUST_CHECK;
/* Reads the list, its flush included. 0, or -EBADMSG with *ret_why in words; also then ret->says
 * holds what was read of it up to there. */
int git_list_read(struct str list, struct arena *a, struct git_push *ret,
		  const char **ret_why) MUST_CHECK;
bool git_id_none(struct str id); /* all 0: the ref is made, or deleted */

/* The answer to a push that was refused whole. unpack: "ok", or why nothing was looked at; said: a
 * few lines for the person, where the client takes them, n = 0: none; why[i]: of command i, one
 * line. 0 or -EMSGSIZE. */
int git_report_write(struct buf *to, const struct git_push *p, struct str said, struct str unpack,
		     const struct str *why) MUST_CHECK;

#endif
