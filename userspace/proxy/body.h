/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that are read whole, since a placeholder may stand in them. */
#ifndef EGRET_PROXY_BODY_H
#define EGRET_PROXY_BODY_H

#include "proxy/exchange.h"

/* Has the body to be read before a credential is chosen? */
bool body_wanted(const struct session *s);
/* Reads it, then exchange_allowed; or refuses. */
void body_start(struct session *s);
void body_readable(struct session *s);

#endif
