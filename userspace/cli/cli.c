// SPDX-License-Identifier: Apache-2.0
/*
 * What every verb of `egret` needs: how it complains, where the daemon and its folder are, one
 * question and its answer. Reads the environment and root's configuration; the daemon's answers are
 * framed and checked by base/msg.c.
 */
#include "cli/cli.h"
#include "base/clock.h"
#include "policy/scan.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/egret/egret.json"
#define CONFIG_MAX (1u << 20)
#define ASK_MS 30000

static const char *verb;

void cli_verb_is(const char *name)
{
	verb = name;
}

int cli_fail(int status, const char *fmt, ...)
{
	char said[4096], shown[8192];
	va_list args;

	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
	/* File names and daemons' sentences are in it. */
	text_escape(shown, sizeof(shown), str_of(said));
	if (verb)
		fprintf(stderr, "egret %s: %s\n", verb, shown);
	else
		fprintf(stderr, "egret: %s\n", shown);
	return status;
}

/* A path at the top of the configuration, or NULL. What is wrong with the file is egretd's to say.
 */
static char *configured(const char *key)
{
	cleanup_close int fd = open(CONFIG_FILE, O_RDONLY | O_CLOEXEC);
	struct diag_file f = { .name = STR(CONFIG_FILE) };
	struct arena a;
	struct diag d;
	struct node *top, *n;
	struct buf text;
	char *found = NULL;
	ssize_t r = -1;

	if (fd < 0)
		return NULL;
	buf_init(&text, CONFIG_MAX);
	arena_init(&a, 16 * CONFIG_MAX);
	diag_init(&d);
	while (!buf_reserve(&text, 4096) && (r = read(fd, text.p + text.n, 4096)) > 0)
		text.n += (size_t)r;
	if (!r) {
		f.text = buf_str(&text);
		top = json_load(&a, &f, &d);
		n = top && top->kind == NODE_OBJECT ? node_get(top, key) : NULL;
		if (n && n->kind == NODE_STRING && n->text.n)
			found = mem_dup(n->text);
	}
	diag_done(&d);
	arena_done(&a);
	buf_done(&text);
	return found;
}

static const char *place(const char *variable, const char *key, const char *usual)
{
	const char *s = getenv(variable);

	if (!s || !*s)
		s = configured(key);
	return s ? s : usual;
}

const char *cli_state_dir(void)
{
	static const char *dir; /* once a process */

	if (!dir)
		dir = place("EGRET_STATE_DIR", "state_dir", "/var/lib/egret");
	return dir;
}

int cli_connect(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	static const char *dir;
	/* Many may come at once: there is a queue, and a bound to standing in it. */
	const struct timeval wait = { .tv_sec = 10 };
	cleanup_close int fd = -1;
	int n;

	if (!dir)
		dir = place("EGRET_RUN_DIR", "run_dir", "/run/egret");
	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/control.sock", dir);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) ||
	    connect(fd, (struct sockaddr *)&un, sizeof(un)) || fcntl(fd, F_SETFL, O_NONBLOCK))
		return -errno;
	return TAKE_FD(fd);
}

/* 0 when the socket is ready, or -errno. */
static int wait_for(int sock, short events, uint64_t until)
{
	struct pollfd p = { .fd = sock, .events = events };

	for (;;) {
		uint64_t now = clock_now();
		int r;

		if (now >= until)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)(until - now));
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

int cli_ask(int sock, struct msg_out *q, struct msg_in *ret)
{
	uint64_t until = clock_now() + ASK_MS;
	int r;

	while ((r = msg_send(sock, q)) == -EAGAIN) {
		r = wait_for(sock, POLLOUT, until);
		if (r) {
			msg_out_done(q);
			return r;
		}
	}
	while (!r) {
		/* The socket may be a blocking one that a verb made: look before each read. */
		r = wait_for(sock, POLLIN, until);
		if (r)
			break;
		r = msg_recv(sock, ret);
		if (r != -EAGAIN)
			break;
		r = 0;
	}
	return r;
}

bool cli_color(int fd)
{
	const char *no = getenv("NO_COLOR");

	return (!no || !*no) && isatty(fd);
}

int cli_json_option(int argc, char **argv, const char *usage, bool *ret_json)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (o != 'j') {
			fputs(usage, stderr);
			return 2;
		}
		*ret_json = true;
	}
	return -1;
}
