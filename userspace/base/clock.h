/* SPDX-License-Identifier: Apache-2.0 */
/* The one source of time. In test builds (EGRET_TEST_CLOCK) clock_test_set() replaces it. */
#ifndef EGRET_BASE_CLOCK_H
#define EGRET_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_now(void);     /* monotonic, milliseconds; every deadline is of this kind */
uint64_t clock_now_us(void);  /* monotonic, microseconds; durations in events */
uint64_t clock_wall_us(void); /* since 1970, microseconds, UTC */
uint64_t clock_boot_us(void); /* since the boot, microseconds, time suspended too; nobody sets it */

#define CLOCK_TEXT_MAX 32
/* RFC 3339 with microseconds and Z, e.g. 2026-11-22T09:14:03.201118Z. to holds CLOCK_TEXT_MAX
 * bytes. */
void clock_text(uint64_t wall_us, char *to);

#endif
