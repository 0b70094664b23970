/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers in an upgrade (handover.h): for its moment nobody is accepted or read, so that what they
 * ask waits in the sockets; then the connections themselves go to the new egretd, with the little
 * that is known of each. Who a caller is, the new one finds out by itself.
 */
#include "egretd/control.h"

#include "egretd/client.h"
#include "egretd/job.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

void control_pause(struct daemon *d)
{
	struct client *c;

	timer_del(&d->accept_again);
	watch_set(&d->control_watch, 0);
	for (c = d->clients; c; c = c->next)
		watch_set(&c->watch, 0);
}

void control_resume(struct daemon *d)
{
	struct client *c;

	watch_set(&d->control_watch, EPOLLIN);
	for (c = d->clients; c; c = c->next)
		watch_set(&c->watch, EPOLLIN);
}

bool control_busy(const struct daemon *d)
{
	const struct client *c;

	for (c = d->clients; c; c = c->next)
		if (c->broker_serial || c->reloading || c->trying)
			return true;
	return false;
}

int control_hand_over(struct daemon *d, int sock, const struct client *but)
{
	struct client *c;
	struct msg_out m;
	int r = 0;

	for (c = d->clients; c && r == 0; c = c->next) {
		if (c == but || c->gone)
			continue;
		msg_begin(&m, MSG_HAND_CLIENT, 0);
		msg_put_fd(&m, TAG_FD_PEER, c->watch.fd);
		if (c->who.pidfd >= 0)
			msg_put_fd(&m, TAG_FD_VALUE, c->who.pidfd);
		if (c->job) {
			msg_put_u64(&m, TAG_JOB, c->job->id);
			msg_put_u64(&m, TAG_CODE, c->job->question);
		}
		if (c->nonce[0])
			msg_put_str(&m, TAG_AUDIENCE, str_of(c->nonce));
		r = msg_send(sock, &m);
		msg_out_done(&m);
	}
	return r;
}

/* The process that connected still lives: its pid is no other's. Else nobody asks. */
static void look_again(struct client *c, int pidfd)
{
	struct pollfd alive = { .fd = pidfd, .events = POLLIN };
	char why[WHY_MAX];

	if (pidfd >= 0 && caller_of(c->d, c->watch.fd, &c->who, why, sizeof(why)) == 0 &&
	    poll(&alive, 1, 0) == 0)
		return;
	caller_done(&c->who);
	c->who = (struct caller){ .uid = (uid_t)-1, .in_job = true, .pidfd = -1 };
}

void control_take(struct daemon *d, struct msg_in *m)
{
	cleanup_close int pidfd = -1;
	uint64_t id = 0, question = 0;
	struct client *c;
	struct str nonce;
	int fd = -1;

	if (msg_take_fd(m, TAG_FD_PEER, &fd) < 0)
		return;
	c = client_new(d, fd);
	if (msg_get_str(m, TAG_AUDIENCE, sizeof(c->nonce) - 1, &nonce) == 0)
		snprintf(c->nonce, sizeof(c->nonce), "%.*s", STR_ARG(nonce));
	if (msg_get_u64(m, TAG_JOB, &id) == 0 && msg_get_u64(m, TAG_CODE, &question) == 0)
		c->job = job_by_id(d, id);
	if (c->job) {
		c->job->client = c;
		c->job->question = (uint32_t)question;
	}
	if (msg_take_fd(m, TAG_FD_VALUE, &pidfd) < 0)
		pidfd = -1;
	look_again(c, pidfd);
	if (watch_add(d->loop, &c->watch, fd, EPOLLIN, client_ready, c) < 0)
		client_free(c);
}
