/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line to stderr a message, written with one write(2) so that lines of several processes do not
 * mix. Programs call it, libraries do not. Arguments may hold a peer's bytes: the formatted line is
 * escaped before it is written.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char log_name[32] = "egret";
static bool log_quiet;	 /* EGRET_QUIET: only what is wrong; for the egretd of one `egret run` */
static bool log_journal; /* journald reads stderr: lines start with <priority> */

void log_init(const char *program)
{
	snprintf(log_name, sizeof(log_name), "%s", program);
	log_journal = getenv("JOURNAL_STREAM") != NULL;
	log_quiet = getenv("EGRET_QUIET") != NULL;
}

PRINTF_LIKE(2, 0) static void log_line(int priority, const char *fmt, va_list ap)
{
	char raw[2048], text[4096], line[4200];
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);
	size_t len;
	ssize_t r;

	if (n < 0)
		return;
	len = (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1;
	text_escape(text, sizeof(text), (struct str){ raw, len });
	if (log_journal)
		n = snprintf(line, sizeof(line), "<%d>%s: %s\n", priority, log_name, text);
	else
		n = snprintf(line, sizeof(line), "%s: %s\n", log_name, text);
	if (n < 0)
		return;
	r = write(STDERR_FILENO, line, (size_t)n);
	(void)r; /* nobody to tell */
}

void log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(3, fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(4, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (log_quiet)
		return;
	va_start(ap, fmt);
	log_line(6, fmt, ap);
	va_end(ap);
}
