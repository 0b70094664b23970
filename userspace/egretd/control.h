/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: run_dir/control.sock, framed and bounded (base/msg.h), one question at a time
 * a client. */
#ifndef EGRET_EGRETD_CONTROL_H
#define EGRET_EGRETD_CONTROL_H

#include "egretd/daemon.h"

#define CONTROL_NONCE_MAX 33 /* of one registration, in hexadecimal */

/* Answers; a client that cannot take them (full socket, gone) is dropped, and its job with it. */
void client_send(struct client *c, struct msg_out *m);
void client_failed(struct client *c, uint32_t question, int err, const char *why);
/* The job ends with this client, and a client with a job starts no other. NULL: the job is over. */
void client_owns(struct client *c, struct job *j);
/* What an administrator, or who else may, does: "WHAT NAME", with uid, process and its name. */
void client_event(struct client *c, enum event_kind kind, const char *what, struct str name);
/* The same by a signal: systemctl reload, SIGUSR1. */
void control_signalled(struct daemon *d, const struct signalfd_siginfo *si, enum event_kind kind,
		       const char *what);
/* An answer of the broker to a question that was handed on. */
void control_broker_answer(struct daemon *d, struct msg_in *m);
/* status.c: the lines of MSG_STATUS. */
void status_put(const struct daemon *d, struct msg_out *m);
/* The round of trials that clients wait for is over. */
void control_walls_tried(struct daemon *d);

/* control_hand.c, in an upgrade. Paused: nobody is accepted and nothing is read. */
void control_pause(struct daemon *d);
void control_resume(struct daemon *d);
bool control_busy(const struct daemon *d); /* a caller waits for an answer of another process */
/* All connections but one, as MSG_HAND_CLIENT; control_take is the other side's. */
int control_hand_over(struct daemon *d, int sock, const struct client *but) MUST_CHECK;
void control_take(struct daemon *d, struct msg_in *m);

#endif
