/* SPDX-License-Identifier: Apache-2.0 */
/* See provider.h. Called by services.c with the broker's frames, which are checked in form and
 * never say more than which of two kinds. */
#include "egretd/provider.h"

#include "egretd/outside.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LAST_MS 30000 /* to revoke what a dead broker did not write down, to end a login */

struct asker {
	struct asker *next;
	struct daemon *d;
	struct child child;
	struct watch ended;
	struct timer last;
	uint32_t id; /* of the broker's question */
	bool asked;  /* to end: its place is another's */
};

static void ask_to_end(struct asker *p)
{
	p->d->nproviders -= !p->asked;
	p->asked = true;
}

static void asker_free(struct asker *p)
{
	struct asker **at;

	for (at = &p->d->providers; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	ask_to_end(p);
	timer_del(&p->last);
	watch_del(&p->ended);
	child_done(&p->child);
	free(p);
}

static void on_ended(struct watch *w, uint32_t events)
{
	struct asker *p = w->owner;
	int status = 0, pid = p->child.pid;

	if (!child_reap(&p->child, &status))
		return;
	if (status && !p->asked)
		log_warn("egret-provider %d ended with status %d", pid, status);
	asker_free(p);
}

static void failed(struct daemon *d, uint32_t id, int err, const char *why)
{
	struct msg_out m;

	log_err("%s", why);
	msg_begin(&m, MSG_FAILED, id);
	msg_put_str(&m, TAG_TEXT, str_of(why));
	msg_put_u64(&m, TAG_CODE, (uint64_t)-err);
	(void)!service_send(&d->broker, &m);
}

/* What the child needs, then the broker's end to the broker. */
static int tell(struct daemon *d, struct asker *p, const char *kind, const int pair[2])
{
	struct msg_out m;
	int r;

	msg_begin(&m, MSG_PROVIDER_START, 1);
	msg_put_str(&m, TAG_KIND, str_of(kind));
	msg_put_fd(&m, TAG_FD_PEER, pair[0]);
	put_outside(d, &m);
	r = msg_send(p->child.sock, &m);
	msg_out_done(&m);
	if (r < 0)
		return r;
	msg_begin(&m, MSG_PROVIDER, p->id);
	msg_put_fd(&m, TAG_FD_PEER, pair[1]);
	return service_send(&d->broker, &m);
}

void provider_want(struct daemon *d, const struct msg_in *m)
{
	struct child_plan plan = { .program = "egret-provider",
				   .cgroup_dir = d->cg.work,
				   /* No egretd takes it up: its broker's end tells it when to
				    * end, and before it was told of that, egretd's. */
				   .alone = true,
				   .uid = d->config.uid_provider,
				   .gid = d->config.uid_provider };
	struct asker *p;
	struct str kind;
	char why[WHY_MAX];
	int pair[2], r;

	if (msg_get_str(m, TAG_KIND, 8, &kind) < 0)
		kind = STR("");
	plan.arg = str_is(kind, "exec") ? "exec" : str_is(kind, "net") ? "net" : NULL;
	if (!plan.arg) {
		failed(d, m->id, -EBADMSG, "egret-broker wants a provider of no kind");
		return;
	}
	if (d->nproviders >= PROVIDERS_MAX) {
		failed(d, m->id, -EAGAIN,
		       "as many processes that ask providers of credentials run as may");
		return;
	}
	r = msg_pair(pair);
	if (r < 0) {
		failed(d, m->id, r, "no socket for egret-provider");
		return;
	}
	p = mem_new(sizeof(*p));
	p->d = d;
	p->id = m->id;
	p->child = CHILD_NONE;
	p->next = d->providers;
	d->providers = p;
	d->nproviders++;
	r = child_start(&plan, &p->child, why, sizeof(why));
	if (r == 0) {
		r = watch_add(d->loop, &p->ended, p->child.pidfd, EPOLLIN, on_ended, p);
		if (r == 0)
			r = tell(d, p, plan.arg, pair);
		if (r < 0)
			snprintf(why, sizeof(why), "egret-provider cannot be told what to do: %s",
				 strerror(-r));
	}
	close(pair[0]);
	close(pair[1]);
	if (r < 0) {
		child_end(&p->child);
		asker_free(p);
		failed(d, m->id, r, why);
	}
}

static void on_last(struct timer *t)
{
	struct asker *p = t->owner;

	log_warn("egret-provider %d does not end; it is killed", (int)p->child.pid);
	ask_to_end(p);
	child_kill(&p->child, SIGKILL);
}

void provider_end(struct daemon *d, const struct msg_in *m)
{
	struct asker *p = d->providers;
	uint64_t how = 0;

	while (p && p->id != m->id)
		p = p->next;
	if (!p)
		return;
	(void)!msg_get_u64(m, TAG_FLAGS, &how);
	ask_to_end(p);
	if (how & PROVIDER_END_NOW)
		child_kill(&p->child, SIGKILL);
	else
		timer_set(d->loop, &p->last, LAST_MS, on_last, p);
}

void providers_broker_gone(struct daemon *d)
{
	for (struct asker *p = d->providers; p; p = p->next) {
		p->id = 0; /* the next broker counts from one again */
		timer_set(d->loop, &p->last, LAST_MS, on_last, p);
	}
}

void providers_stop(struct daemon *d)
{
	for (unsigned i = 0; d->providers && i < 200; i++) {
		for (struct asker *p = d->providers, *next; p; p = next) {
			int status;

			next = p->next;
			if (child_reap(&p->child, &status))
				asker_free(p);
		}
		if (d->providers)
			usleep(10000);
	}
	while (d->providers) {
		child_end(&d->providers->child);
		asker_free(d->providers);
	}
}
