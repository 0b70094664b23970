/* SPDX-License-Identifier: Apache-2.0 */
/* The life of egret-provider behind its jail. Called by main.c. */
#ifndef EGRET_PROVIDER_SERVE_H
#define EGRET_PROVIDER_SERVE_H

#include "base/bytes.h"

/* Until the broker closes its end or egretd says so. An exit status. */
int provider_serve(int sock, struct str kind);

#endif
