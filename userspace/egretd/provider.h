/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that ask providers of credentials (egret-provider), started for the broker, which
 * cannot fork. Each gets one end of a socket pair, the broker the other: nothing that they say to
 * each other passes egretd. The broker ends them; egretd counts, reaps and logs.
 */
#ifndef EGRET_EGRETD_PROVIDER_H
#define EGRET_EGRETD_PROVIDER_H

#include "egretd/daemon.h"

#define PROVIDERS_MAX 64

/* MSG_PROVIDER_WANT of the broker; answers it. */
void provider_want(struct daemon *d, const struct msg_in *m);
/* MSG_PROVIDER_END. One of an egretd before this one is not known: it ends with its socket. */
void provider_end(struct daemon *d, const struct msg_in *m);
/* The broker has died: what they hold without its knowledge they revoke, and end. */
void providers_broker_gone(struct daemon *d);
void providers_stop(struct daemon *d); /* after the broker was */

#endif
