/* SPDX-License-Identifier: Apache-2.0 */
/* A connection on the control socket, as control.c and control_hand.c know it. Others see struct
 * client by control.h only. */
#ifndef EGRET_EGRETD_CLIENT_H
#define EGRET_EGRETD_CLIENT_H

#include "egretd/authority.h"
#include "egretd/daemon.h"

struct client {
	struct client *next;
	struct daemon *d;
	struct watch watch;
	struct caller who;
	struct job *job;
	uint32_t broker_serial, broker_question; /* a question that waits for the broker; 0: none */
	uint32_t reload_question, try_question;
	bool reloading, trying, gone;
	char nonce[CONTROL_NONCE_MAX]; /* of a registration that has begun; "" */
};

struct client *client_new(struct daemon *d, int fd); /* takes fd over */
void client_free(struct client *c);
/* control_broker.c: hands a question on; the answer comes by control_broker_answer. */
void client_to_broker(struct client *c, struct msg_in *m);
void client_ready(struct watch *w, uint32_t events);

#endif
