/* SPDX-License-Identifier: Apache-2.0 */
/* Freed memory is wiped: linked in by main.c's call. */
#ifndef EGRET_PROVIDER_WIPING_H
#define EGRET_PROVIDER_WIPING_H

#include <stdbool.h>

bool wiping(void); /* false: under a sanitizer, whose heap is its own */

#endif
