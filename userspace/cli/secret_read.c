/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value's way in: a pipe or file on stdin is read to its end, a terminal is asked twice without
 * echo. The bytes lie in locked memory from the first read on. A signal while the terminal is
 * silent gives it its echo back.
 */
#include "cli/secret_read.h"

#include "base/storekey.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#define ROOM (STORE_VALUE_MAX + 2) /* one newline, and one byte that shows that there was more */

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static int read_all(struct secret *to, size_t *ret_n)
{
	size_t n = 0;

	while (n < to->n) {
		ssize_t r = read(STDIN_FILENO, to->p + n, to->n - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	*ret_n = n;
	return 0;
}

/* One line of the terminal, as the line discipline gives it (at most 4095 bytes). */
static int read_line(struct str prompt, struct secret *to, size_t *ret_n)
{
	ssize_t r;

	fprintf(stderr, "%.*s", STR_ARG(prompt));
	fflush(stderr);
	r = read(STDIN_FILENO, to->p, to->n);
	fprintf(stderr, "\n");
	if (r < 0)
		return -errno;
	*ret_n = (size_t)r;
	return 0;
}

static int ask_twice(struct str name, struct secret *to, size_t *ret_n, char *why, size_t size)
{
	const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
	struct sigaction quiet = { .sa_handler = on_signal }, old[ARRAY_SIZE(signals)];
	struct termios before, silent;
	struct secret again;
	char prompt[256];
	size_t n = 0, n2 = 0;
	int r;

	r = secret_new(to->n, &again);
	if (r < 0 || tcgetattr(STDIN_FILENO, &before) < 0) {
		snprintf(why, size, "the terminal cannot be used: %s",
			 strerror(r < 0 ? -r : errno));
		return -EIO;
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &quiet, &old[i]);
	r = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) < 0 ? -errno : 0;
	snprintf(prompt, sizeof(prompt), "Value of %.*s: ", STR_ARG(name));
	if (r == 0)
		r = read_line(str_of(prompt), to, &n);
	if (r == 0)
		r = read_line(STR("Once more: "), &again, &n2);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &old[i], NULL);
	if (caught)
		raise(caught);
	if (r < 0)
		snprintf(why, size, "the value could not be read: %s", strerror(-r));
	if (r == 0 &&
	    !secret_eq((struct str){ (char *)to->p, n }, (struct str){ (char *)again.p, n2 })) {
		snprintf(why, size, "the two values differ; nothing was set");
		r = -EINVAL;
	}
	secret_done(&again);
	*ret_n = n;
	return r;
}

int secret_read(struct str name, struct secret *ret, char *why, size_t size)
{
	struct secret room = { 0 }, value;
	size_t n = 0;
	int r = secret_new(ROOM, &room);

	if (r < 0) {
		snprintf(why, size, "no locked memory for the value");
		return r;
	}
	if (isatty(STDIN_FILENO)) {
		r = ask_twice(name, &room, &n, why, size);
	} else {
		r = read_all(&room, &n);
		if (r < 0)
			snprintf(why, size, "the value could not be read from stdin: %s",
				 strerror(-r));
	}
	if (r == 0 && n && room.p[n - 1] == '\n')
		n--;
	if (r == 0 && n == 0) {
		snprintf(why, size,
			 "the value is empty: give it on stdin, e.g. egret secret set %.*s <FILE",
			 STR_ARG(name));
		r = -EINVAL;
	}
	if (r == 0 && n > STORE_VALUE_MAX) {
		snprintf(why, size, "a secret has at most %u bytes", STORE_VALUE_MAX);
		r = -EMSGSIZE;
	}
	if (r == 0)
		r = secret_dup(room.p, n, &value);
	secret_done(&room);
	if (r == 0)
		*ret = value;
	return r;
}
