/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How egret-runc says what is wrong. Engines show the last error of the runtime's log, so a line in
 * the runtime's own form goes there; and one to stderr for whoever runs it by hand. Sentences may
 * hold others' words: escaped here.
 */
#include "oci/oci.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void to_log(const struct args *a, const char *level, const char *text)
{
	cleanup_close int fd = -1;
	struct tm tm;
	time_t now = time(NULL);
	char when[32];

	if (!a->log || !*a->log)
		return;
	fd = open(a->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return;
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (a->log_json)
		dprintf(fd, "{\"level\":\"%s\",\"msg\":\"%s\",\"time\":\"%s\"}\n", level, text,
			when);
	else
		dprintf(fd, "time=\"%s\" level=%s msg=\"%s\"\n", when, level, text);
}

static void say(const struct args *a, const char *level, const char *fmt, va_list list)
	__attribute__((format(printf, 3, 0)));
static void say(const struct args *a, const char *level, const char *fmt, va_list list)
{
	char text[2048], shown[4096];

	vsnprintf(text, sizeof(text), fmt, list);
	text_escape(shown, sizeof(shown), str_of(text));
	fprintf(stderr, "egret-runc: %s\n", shown);
	/* Both forms of the log are quoted. */
	for (char *c = shown; *c; c++)
		if (*c == '"' || *c == '\\')
			*c = '\'';
	snprintf(text, sizeof(text), "egret-runc: %s", shown);
	to_log(a, level, text);
}

int oci_fail(const struct args *a, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	say(a, "error", fmt, list);
	va_end(list);
	return 1;
}

void oci_warn(const struct args *a, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	say(a, "warning", fmt, list);
	va_end(list);
}
