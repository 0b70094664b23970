/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade in place: egretd starts the binary that lies at its own path as a child, which does
 * everything that can fail, and then gives it the locks, the control socket, its callers and the
 * jobs. Whatever goes wrong before the new one serves, the old one goes on with its own programs on
 * the links. Called by main.c (SIGUSR1) and control.c (`egret upgrade`). The two speak over a
 * socket pair (base/proto.h, MSG_HAND_*); each is root and trusts the other.
 *
 *   old                                     new (--take-over)
 *   MSG_HAND_START ------------------------> configuration, programs loaded, policies compiled
 *   serves as before                  <----- MSG_HAND_READY, or MSG_FAILED with a sentence
 *   waits for jobs that are being made
 *   parks all, MSG_HAND_GO ----------------> services, jobs, tables; then the links; callers
 *   stands still                      <----- MSG_HAND_SERVING, or MSG_FAILED
 *   systemd: MAINPID=; MSG_HAND_YOURS -----> the older pin folder goes; serves
 *   ends
 *
 * Until MSG_HAND_YOURS the new one ends when the old one does: then it is as if egretd had died.
 */
#ifndef EGRET_EGRETD_HANDOVER_H
#define EGRET_EGRETD_HANDOVER_H

#include "egretd/daemon.h"

void handover_here(void); /* before anything else: where the binary lies */

/* The old one. client: who is answered, or NULL. 0, or -errno with a sentence: not even begun. */
int handover_begin(struct daemon *d, struct client *client, uint32_t question, char *why,
		   size_t n) MUST_CHECK;
void handover_client_gone(struct daemon *d, const struct client *c);
void handover_stop(struct daemon *d); /* egretd ends: so does a new one that was being started */

/* The new one. Each: 0, or -errno with a sentence; they end the process when the old one is gone.
 */
void handover_open(struct daemon *d, int sock);			      /* --take-over */
int handover_same(struct daemon *d, char *why, size_t n) MUST_CHECK;  /* same folders configured */
int handover_ready(struct daemon *d, char *why, size_t n) MUST_CHECK; /* waits for MSG_HAND_GO */
int handover_serving(struct daemon *d, char *why, size_t n) MUST_CHECK; /* for MSG_HAND_YOURS */
_Noreturn void handover_no(struct daemon *d, const char *why);

/* Places where a test build (EGRET_TEST_POINTS) dies, stops or fails, as the file that
 * EGRET_TEST_POINT names says: "NAME kill", "NAME stop". */
#ifdef EGRET_TEST_POINTS
void handover_point(const char *name);
#else
static inline void handover_point(const char *name)
{
	(void)name;
}
#endif

#endif
