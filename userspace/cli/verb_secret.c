/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `egret secret set|list|remove|rekey`: the sealed store's front. A value is read from stdin or the
 * terminal into locked memory and passed to the broker in a memory file: it is never an argument,
 * never in a frame, never printed. The broker is asked through the daemon, or, when none runs,
 * alone (secret_alone.c).
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/jail.h"
#include "base/secret.h"
#include "base/storekey.h"
#include "cli/secret_alone.h"
#include "cli/secret_read.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ANSWER_MS 30000
#define REKEY_MS 600000 /* thousands of files, each synced */

static const char usage[] =
	"Usage: egret secret set NAME [--json]     the value is read from stdin, or "
	"asked for on a terminal\n"
	"       egret secret list [--json]\n"
	"       egret secret remove NAME [--json]\n"
	"       egret secret rekey [--json]\n"
	"rekey: everything is sealed under another key, while jobs run.\n"
	"Exit status: 0 done, 1 it failed, 2 usage, or the key or the store's folder is not root's "
	"alone.\n";

/* Whom we speak to: the daemon, or a broker of our own. */
struct broker_link {
	int sock;
	struct secret_alone alone;
};

static int link_open(struct broker_link *l)
{
	char why[512] = "";
	int r;

	*l = (struct broker_link){ .sock = cli_connect() };
	if (l->sock >= 0)
		return 0;
	if (l->sock != -ENOENT && l->sock != -ECONNREFUSED)
		return cli_fail(1, "cannot reach egretd: %s", strerror(-l->sock));
	if (geteuid() != 0)
		return cli_fail(1,
				"no egretd runs, and the store is root's: run sudo egret secret");
	r = secret_alone_open(cli_state_dir(), &l->alone, why, sizeof(why));
	if (r < 0)
		return cli_fail(r == -EPERM || r == -EINVAL ? 2 : 1, "%s", why);
	l->sock = l->alone.sock;
	return 0;
}

static void link_close(struct broker_link *l)
{
	if (l->alone.pid > 0)
		secret_alone_close(&l->alone);
	else if (l->sock >= 0)
		close(l->sock);
}

static int value_memfd(const struct secret *value, int *ret_fd)
{
	cleanup_close int fd = memfd_create("egret-value", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t n = 0;

	if (fd < 0)
		return -errno;
	while (n < value->n) {
		ssize_t r = write(fd, value->p + n, value->n - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		n += (size_t)r;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The answer is OK, or the sentence of MSG_FAILED is said. */
static int finish(struct msg_in *m)
{
	struct str text = STR("it did not say why");
	int status = 0;

	if (m->type != MSG_OK) {
		if (m->type != MSG_FAILED || msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text) < 0)
			text = STR("the answer could not be read");
		status = cli_fail(1, "%.*s", STR_ARG(text));
	}
	msg_in_done(m);
	return status;
}

static int next_answer(int sock, int ms, struct msg_in *m)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	int r;

	do {
		r = poll(&p, 1, ms);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	return msg_recv(sock, m);
}

/* Its answer may take a while: a file after the other is written. */
static int rekey(bool json)
{
	struct broker_link link;
	cleanup_close int key = -1;
	struct str text = STR(""), more = STR("");
	char why[512] = "";
	struct msg_out q;
	struct msg_in m;
	uint64_t n = 0;
	int status = link_open(&link), r;

	if (status)
		return status;
	msg_begin(&q, MSG_SECRET_REKEY, 1);
	r = link.alone.pid > 0 ? storekey_next(cli_state_dir(), true, &key, why, sizeof(why)) : 0;
	if (r == 0 && key >= 0)
		msg_put_fd(&q, TAG_FD_STORE_KEY, key);
	if (r == 0)
		r = msg_send(link.sock, &q);
	if (r < 0)
		msg_out_done(&q);
	if (r == 0)
		r = next_answer(link.sock, REKEY_MS, &m);
	if (r < 0) {
		link_close(&link);
		return cli_fail(1, "%s", why[0] ? why : strerror(-r));
	}
	if (m.type != MSG_OK) {
		status = finish(&m);
		link_close(&link);
		return status;
	}
	(void)!msg_get_u64(&m, TAG_SIZE, &n);
	(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
	(void)!msg_get_str(&m, TAG_WARNING, PROTO_TEXT_MAX, &more);
	r = link.alone.pid > 0 ? storekey_commit(cli_state_dir(), why, sizeof(why)) : 0;
	if (r < 0)
		status = cli_fail(1, "%s", why);
	else if (json)
		printf("{ \"ok\": true, \"sealed\": %llu }\n", (unsigned long long)n);
	else
		printf("%.*s%.*s\n", STR_ARG(text), STR_ARG(more));
	msg_in_done(&m);
	link_close(&link);
	return status;
}

static int ask(struct msg_out *q, struct str name, bool json)
{
	struct broker_link link;
	struct msg_in m;
	int status = link_open(&link), r;

	if (status) {
		msg_out_done(q);
		return status;
	}
	r = cli_ask(link.sock, q, &m);
	status = r < 0 ? cli_fail(1, "no answer: %s", strerror(-r)) : finish(&m);
	link_close(&link);
	if (!status && json)
		printf("{ \"ok\": true, \"name\": \"%.*s\" }\n", STR_ARG(name));
	return status;
}

static int secret_set(struct str name, bool json)
{
	cleanup_close int fd = -1;
	struct secret value = { 0 };
	struct msg_out q;
	char why[256] = "";
	int r;

	if (!store_name_ok(name))
		return cli_fail(2, "a name is 1 to %u of A-Z a-z 0-9 . _ - and starts with no dot",
				STORE_NAME_MAX);
	if (jail_early() < 0 || secret_arena_init(4 * STORE_VALUE_MAX) < 0)
		return cli_fail(1, "cannot lock memory for the value: %s; raise RLIMIT_MEMLOCK",
				strerror(errno));
	if (secret_read(name, &value, why, sizeof(why)) < 0)
		return cli_fail(1, "%s", why);
	r = value_memfd(&value, &fd);
	secret_done(&value);
	if (r < 0)
		return cli_fail(1, "no memory file for the value: %s", strerror(-r));
	msg_begin(&q, MSG_SECRET_SET, 1);
	msg_put_str(&q, TAG_NAME, name);
	msg_put_fd(&q, TAG_FD_VALUE, fd);
	return ask(&q, name, json);
}

static int secret_remove(struct str name, bool json)
{
	struct msg_out q;

	if (!store_name_ok(name))
		return cli_fail(2, "a name is 1 to %u of A-Z a-z 0-9 . _ - and starts with no dot",
				STORE_NAME_MAX);
	msg_begin(&q, MSG_SECRET_REMOVE, 1);
	msg_put_str(&q, TAG_NAME, name);
	return ask(&q, name, json);
}

/* One line. A name that the store would not take is not printed: it did not come from our broker.
 */
static int print_row(const struct msg_in *m, bool json, unsigned count)
{
	char when[CLOCK_TEXT_MAX];
	uint64_t time_us, size;
	struct str name;

	if (msg_get_str(m, TAG_NAME, STORE_NAME_MAX, &name) < 0 || !store_name_ok(name) ||
	    msg_get_u64(m, TAG_TIME, &time_us) < 0 || msg_get_u64(m, TAG_SIZE, &size) < 0)
		return -EBADMSG;
	clock_text(time_us, when);
	if (json)
		printf("%s\n  {\"name\": \"%.*s\", \"time\": \"%s\", \"size\": %llu}",
		       count ? "," : "", STR_ARG(name), when, (unsigned long long)size);
	else if (size == 0)
		printf("%-32.*s  %-27s  damaged: set it again\n", STR_ARG(name), "-");
	else
		printf("%-32.*s  %-27s  %llu bytes\n", STR_ARG(name), when,
		       (unsigned long long)size);
	return 0;
}

static int print_list(int sock, struct msg_in *m, bool json)
{
	unsigned count = 0;
	int r = 0;

	if (json)
		printf("[");
	while (r == 0 && m->type == MSG_SECRET) {
		r = print_row(m, json, count++);
		msg_in_done(m);
		if (r == 0)
			r = next_answer(sock, ANSWER_MS, m);
	}
	if (json)
		printf("%s]\n", count ? "\n" : "");
	if (r < 0)
		return cli_fail(1, "the list ended early: %s", strerror(-r));
	if (m->type != MSG_END)
		return finish(m);
	msg_in_done(m);
	if (!count && !json)
		fprintf(stderr, "The store is empty: egret secret set NAME adds a secret.\n");
	return 0;
}

static int secret_list(bool json)
{
	struct broker_link link;
	struct msg_out q;
	struct msg_in m;
	int status = link_open(&link), r;

	if (status)
		return status;
	msg_begin(&q, MSG_SECRET_LIST, 1);
	r = cli_ask(link.sock, &q, &m);
	if (r < 0)
		status = cli_fail(1, "no answer: %s", strerror(-r));
	else
		status = m.type == MSG_FAILED ? finish(&m) : print_list(link.sock, &m, json);
	link_close(&link);
	return status;
}

int verb_secret(int argc, char **argv)
{
	bool json = false;
	const char *verb;
	int r = cli_json_option(argc, argv, usage, &json);

	if (r >= 0)
		return r;
	argc -= optind;
	argv += optind;
	verb = argc ? argv[0] : "";
	if (strcmp(verb, "list") == 0 && argc == 1)
		return secret_list(json);
	if (strcmp(verb, "set") == 0 && argc == 2)
		return secret_set(str_of(argv[1]), json);
	if (strcmp(verb, "set") == 0 && argc > 2)
		return cli_fail(
			2,
			"the value is no argument, others could read it there: give it on stdin");
	if (strcmp(verb, "remove") == 0 && argc == 2)
		return secret_remove(str_of(argv[1]), json);
	if (strcmp(verb, "rekey") == 0 && argc == 1)
		return rekey(json);
	fputs(usage, stderr);
	return 2;
}
