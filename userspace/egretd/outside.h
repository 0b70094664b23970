/* SPDX-License-Identifier: Apache-2.0 */
/* How those dial who ask something outside on egret's own behalf (egret-provider, egret-identity).
 */
#ifndef EGRET_EGRETD_OUTSIDE_H
#define EGRET_EGRETD_OUTSIDE_H

#include "egretd/daemon.h"

/* Whom to believe and the way there: FD_ROOTS*, HOSTS*, NAMESERVER*, PARENT?, NO_PROXY*. */
void put_outside(const struct daemon *d, struct msg_out *m);

#endif
