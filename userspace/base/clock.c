/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one source of time: monotonic for deadlines and durations, wall time for what people read.
 * Called by every room. In builds with EGRET_TEST_CLOCK a test sets the monotonic and the wall
 * clock itself.
 */
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#ifdef EGRET_TEST_CLOCK
void clock_test_set(uint64_t us);

static uint64_t test_us;

void clock_test_set(uint64_t us)
{
	test_us = us;
}
#endif

static uint64_t read_us(clockid_t id)
{
	struct timespec ts;

#ifdef EGRET_TEST_CLOCK
	if (test_us)
		return test_us;
#endif
	clock_gettime(id, &ts); /* cannot fail for these clocks */
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t clock_now(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_now_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

uint64_t clock_boot_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

void clock_text(uint64_t wall_us, char *to)
{
	/* Past the year 9999 RFC 3339 has no words; such a time is somebody's mistake and is cut
	 * there. */
	const uint64_t last = 253402300799u;
	time_t s = (time_t)(wall_us / 1000000u > last ? last : wall_us / 1000000u);
	unsigned us = (unsigned)(wall_us % 1000000u);
	struct tm tm;

	gmtime_r(&s, &tm);
	snprintf(to, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
		 (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
		 (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u,
		 (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u, us);
}
