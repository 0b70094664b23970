/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-broker: started by egretd (or by `egret secret` when no daemon runs) with a socket as
 * descriptor 3. Order: no dumps, locked memory, the start message, the jail, then the loop. Nothing
 * of a proxy is read before the jail.
 */
#include "broker/file.h"
#include "broker/keep.h"
#include "broker/helper.h"
#include "broker/lease.h"

#include "base/jail.h"
#include "base/log.h"
#include "broker/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#define START_MS 10000

static int raise_jail(const struct broker *b, char *why, size_t size)
{
	struct jail j = { .may = JAIL_MAY_PASS_FDS };

	if (b->store.dir >= 0) {
		j.may |= JAIL_MAY_FILES;
		j.dirs = &b->store.dir;
		j.ndirs = 1;
	}
	return jail_enter(&j, why, size);
}

static int first_message(struct msg_in *m)
{
	struct pollfd p = { .fd = PROTO_SOCKET_FD, .events = POLLIN };

	if (poll(&p, 1, START_MS) <= 0)
		return -ETIMEDOUT;
	return msg_recv(PROTO_SOCKET_FD, m);
}

/* egretd asks for the end over the socket; a signal from the terminal or systemd is the same. */
static void on_signal(struct loop *l, const struct signalfd_siginfo *si, void *owner)
{
	loop_stop(l, 0);
}

static int serve(struct broker *b, uint32_t id)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	b->loop = loop_new();
	r = loop_signals(b->loop, &set, on_signal, NULL);
	if (r == 0)
		r = control_start(b, PROTO_SOCKET_FD);
	if (r < 0) {
		log_err("cannot listen to egretd: %s", strerror(-r));
		return 1;
	}
	control_ok(b, id);
	keep_tell(b);
	return loop_run(b->loop);
}

int main(int argc, char **argv)
{
	struct broker b = { .store.dir = -1, .journal.fd = -1 };
	struct msg_in m;
	char why[512] = "";
	uint32_t id;
	int r;

	log_init("egret-broker");
	if (fcntl(PROTO_SOCKET_FD, F_GETFD) < 0) {
		log_err("is started by egretd, not by hand: run egretd or egret run");
		return 2;
	}
	r = jail_early();
	if (r == 0)
		r = fcntl(PROTO_SOCKET_FD, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r < 0) {
		log_err("cannot start: %s", strerror(-r));
		return 1;
	}
	seal_init();
	r = secret_arena_init(BROKER_ARENA);
	if (r < 0) {
		log_err("cannot lock %u KiB of memory for secrets: %s; raise RLIMIT_MEMLOCK",
			BROKER_ARENA >> 10, strerror(-r));
		return 1;
	}
	bundle_init(&b.bundle);
	outbox_init(&b.egretd, PROTO_SOCKET_FD);
	r = first_message(&m);
	if (r < 0) {
		log_err("no start message from egretd: %s", strerror(-r));
		return 1;
	}
	id = m.id;
	r = broker_start(&b, &m, why, sizeof(why));
	msg_in_done(&m);
	if (r == 0)
		r = raise_jail(&b, why, sizeof(why));
	if (r < 0) {
		log_err("%s", why);
		control_failed(&b, id, r, why);
		return 1;
	}
	r = serve(&b, id);
	/* What is owed is the next broker's: it lies in the journal. */
	leases_done(&b);
	jobs_done(&b);
	helpers_done(&b);
	files_done(&b);
	loop_free(b.loop);
	outbox_done(&b.egretd);
	rekey_done(&b);
	journal_done(&b.journal);
	store_done(&b.store);
	secret_done(&b.ca_key);
	secret_done(&b.ca_old);
	ca_done(&b.root);
	bundle_done(&b.bundle);
	return r < 0 ? 1 : r;
}
