/* SPDX-License-Identifier: Apache-2.0 */
/* The network namespaces of the job that this proxy serves. Called by start.c with egretd's words.
 */
#ifndef EGRET_PROXY_LISTEN_H
#define EGRET_PROXY_LISTEN_H

#include "base/msg.h"
#include "proxy/proxy.h"
#include "proxy/resolver.h"

#define NAMESPACES_MAX 256

/* MSG_PROXY_LISTEN. NULL: served; else why not, and nothing of that namespace is served then. A
 * namespace that was served already gets these listeners instead of its old ones; what was
 * accepted goes on. */
const char *listen_add(struct proxy *px, struct resolver *r, struct msg_in *m) MUST_CHECK;
/* MSG_PROXY_SERVICES. NULL, or why the list stays as it was. */
const char *listen_services(struct resolver *r, const struct msg_in *m) MUST_CHECK;
/* MSG_PROXY_UNLISTEN. NULL, also when it was not served; else what is wrong with the message. */
const char *listen_remove(struct proxy *px, struct resolver *r, const struct msg_in *m) MUST_CHECK;

#endif
