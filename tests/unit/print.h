/* SPDX-License-Identifier: Apache-2.0 */
/* Text into a buffer that a test made large enough. */
#ifndef EGRET_TESTS_UNIT_PRINT_H
#define EGRET_TESTS_UNIT_PRINT_H

#include "base/bytes.h"
#include <stdarg.h>
#include <stdio.h>

/* Buffers here are made for what goes into them; the sanitizers hold that against it. */
__attribute__((unused)) PRINTF_LIKE(2, 3) static int print(char *to, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, 16384, fmt, ap);
	va_end(ap);
	return n;
}

__attribute__((unused)) static void copy(char *to, const char *from)
{
	memcpy(to, from, strlen(from) + 1);
}

#endif
