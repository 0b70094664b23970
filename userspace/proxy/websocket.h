/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of a WebSocket (RFC 6455), both halves of it: the one upgrade that egret makes, and
 * only where a rule says WEBSOCKET. Called by request.c for each head with an Upgrade and by the
 * exchange for the answer; pure. Both heads are hostile: what is not exactly a handshake is said
 * to be none.
 */
#ifndef EGRET_PROXY_WEBSOCKET_H
#define EGRET_PROXY_WEBSOCKET_H

#include "http/head.h"

enum upgrade {
	UPGRADE_NONE,	   /* nothing is asked, or what a server may leave: h2c, TLS */
	UPGRADE_WEBSOCKET, /* a handshake, well formed if *ret_why stayed NULL */
	UPGRADE_OTHER	   /* what would change the meaning of bytes that nobody here reads */
};
enum upgrade upgrade_asked(const struct head *request, const char **ret_why);

/* Is this 101 the answer to that handshake? *ret_why says what it lacks. */
bool websocket_agreed(const struct head *request, const struct head *answer, const char **ret_why);

#endif
