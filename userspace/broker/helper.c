/* SPDX-License-Identifier: Apache-2.0 */
/* See helper.h. Called by lease.c with questions, by control.c with egretd's answers. */
#include "broker/helper.h"

#include "base/log.h"
#include "broker/definition.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WANT_MS 5000   /* for egretd to start one */
#define FULL_MS 200    /* until it is asked again, when it has no room */
#define WARM_MS 200    /* from the question that took a spare to the next one's start */
#define STUCK_MS 30000 /* after a question was given up: the process is */

struct helper {
	struct helper *next;
	struct broker *b;
	uint32_t want; /* the question that egretd was or is asked */
	bool exec, bound;
	uint8_t key[HELPER_KEY];
	int fd; /* owned; -1: not there yet */
	struct watch watch;
	struct outbox out;
	struct timer timer; /* until it is there; then idle */
	unsigned asked;	    /* questions that it has */
};

static void pump(struct helper *h);

static void ask_unlink(struct broker *b, struct ask *a)
{
	struct ask **at;

	for (at = &b->asks; *at != a; at = &(*at)->next)
		;
	*at = a->next;
	timer_del(&a->timer);
	if (a->helper)
		a->helper->asked--;
	a->helper = NULL;
}

static void finish(struct broker *b, struct ask *a, int err, struct msg_in *m, const char *why)
{
	ask_unlink(b, a);
	if (!a->over)
		a->fns->done(a, err, m, why);
	else if (m && m->type == MSG_PROVIDED && a->fns->late)
		a->fns->late(a, m);
	a->fns->release(a);
}

static bool serves(const struct helper *h, const struct ask *a)
{
	return h->bound && h->exec == a->exec && !memcmp(h->key, a->key, HELPER_KEY);
}

/* Its socket closed, its questions answered with why (NULL: it has none). By its socket's end it
 * ends itself, and what it holds at its provider first; how: PROVIDER_END_NOW where it is not to
 * be trusted with that. */
static void helper_free(struct helper *h, int err, const char *why, uint64_t how)
{
	struct broker *b = h->b;
	struct helper **at;
	struct msg_out m;

	for (at = &b->helpers; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	timer_del(&h->timer);
	watch_del(&h->watch);
	outbox_done(&h->out);
	if (h->fd >= 0)
		close(h->fd);
	msg_begin(&m, MSG_PROVIDER_END, h->want);
	msg_put_u64(&m, TAG_FLAGS, how);
	outbox_send(&b->egretd, &m);
	for (;;) {
		struct ask *a = b->asks;

		/* done may add others: from the start each time. */
		while (a && (a->helper ? a->helper != h : !serves(h, a)))
			a = a->next;
		if (!a)
			break;
		finish(b, a, err, NULL, why);
	}
	free(h);
}

static bool is_wanted(const struct helper *h)
{
	if (h->asked)
		return true;
	for (const struct ask *a = h->b->asks; a; a = a->next)
		if (!a->helper && serves(h, a))
			return true;
	return false;
}

static void on_idle(struct timer *t)
{
	struct helper *h = t->owner;

	if (is_wanted(h) || (!h->bound && h->b->asking_jobs))
		timer_set(h->b->loop, &h->timer, HELPER_IDLE_MS, on_idle, h);
	else
		helper_free(h, 0, NULL, 0);
}

/* The one answer that a question can have; another is a process that has been taken over. */
static bool fits(const struct ask *a, const struct msg_in *m)
{
	if (m->nfds)
		return false;
	return m->type == MSG_FAILED ||
	       m->type == (a->type == MSG_PROVIDER_REVOKE ? MSG_OK : MSG_PROVIDED);
}

static void answered(struct helper *h, struct msg_in *m)
{
	struct ask *a = h->b->asks;
	struct str text;
	uint64_t code = EIO;
	char why[512];

	while (a && !(a->helper == h && a->id == m->id))
		a = a->next;
	if (!a || !fits(a, m)) {
		log_err("egret-provider gave an answer of another form; it is ended");
		helper_free(h, -EBADMSG, "the provider's process gave an answer of another form",
			    PROVIDER_END_NOW);
		return;
	}
	timer_set(h->b->loop, &h->timer, HELPER_IDLE_MS, on_idle, h);
	if (m->type != MSG_FAILED) {
		finish(h->b, a, 0, m, "");
	} else {
		if (msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text) < 0 || !text.n)
			text = STR("the provider failed without a reason");
		text_escape(why, sizeof(why), text);
		(void)!msg_get_u64(m, TAG_CODE, &code);
		finish(h->b, a,
		       code == EAGAIN	? -EAGAIN
		       : code == ENOKEY ? -ENOKEY
					: -EIO,
		       NULL, why);
	}
}

static void on_frame(struct watch *w, uint32_t events)
{
	struct helper *h = w->owner;
	struct broker *b = h->b;
	struct msg_in m;
	int r;

	if ((events & EPOLLOUT) && outbox_flush(&h->out))
		watch_set(w, EPOLLIN);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	r = msg_recv(h->fd, &m);
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		helper_free(h, -EPIPE, "the provider's process ended before it answered",
			    PROVIDER_END_NOW);
		return;
	}
	answered(h, &m);
	msg_in_done(&m);
	for (h = b->helpers; h; h = h->next) {
		if (&h->watch == w) { /* it still lives */
			pump(h);
			return;
		}
	}
}

static struct ask *next_for(const struct helper *h, bool urgent)
{
	struct ask *a = h->b->asks;

	while (a && !(!a->helper && !a->over && a->urgent == urgent && serves(h, a)))
		a = a->next;
	return a;
}

static void pump(struct helper *h)
{
	char why[512];
	struct msg_out m;
	struct ask *a;
	int r;

	while (h->fd >= 0 && h->bound && h->asked < HELPER_AT_ONCE) {
		a = next_for(h, true);
		if (!a)
			a = next_for(h, false);
		if (!a)
			return;
		why[0] = 0;
		msg_begin(&m, a->type, a->id);
		r = a->fns->build(a, &m, why, sizeof(why));
		if (r == 0 && m.failed) {
			r = -EMSGSIZE;
			snprintf(why, sizeof(why), "what the provider must be told is too long");
		}
		if (r < 0) {
			msg_out_done(&m);
			finish(h->b, a, r, NULL, why);
			continue;
		}
		a->helper = h;
		h->asked++;
		timer_del(&h->timer);
		timer_set(h->b->loop, &h->timer, HELPER_IDLE_MS, on_idle, h);
		outbox_send(&h->out, &m);
	}
}

static void on_unborn(struct timer *t)
{
	helper_free(t->owner, -ETIMEDOUT, "egretd did not start the provider's process in time",
		    PROVIDER_END_NOW);
}

static void want(struct helper *h)
{
	struct msg_out m;

	h->want = ++h->b->next_want;
	msg_begin(&m, MSG_PROVIDER_WANT, h->want);
	msg_put_str(&m, TAG_KIND, str_of(h->exec ? "exec" : "net"));
	outbox_send(&h->b->egretd, &m);
	timer_set(h->b->loop, &h->timer, WANT_MS, on_unborn, h);
}

static void on_full(struct timer *t)
{
	want(t->owner);
}

static struct helper *helper_new(struct broker *b, bool exec)
{
	struct helper *h = mem_new(sizeof(*h));

	h->b = b;
	h->exec = exec;
	h->fd = -1;
	outbox_init(&h->out, -1);
	h->next = b->helpers;
	b->helpers = h;
	want(h);
	return h;
}

static bool is_spare(const struct helper *h)
{
	return !h->bound && !h->exec;
}

/* One that is there, or else one that is on its way. */
static struct helper *spare(const struct broker *b)
{
	struct helper *h = b->helpers, *coming = NULL;

	for (; h && !(is_spare(h) && h->fd >= 0); h = h->next)
		if (is_spare(h))
			coming = h;
	return h ? h : coming;
}

/* One for each definition that a job has and no process serves, since all of them may be asked for
 * at one moment; and one in any case. */
static unsigned spares_due(const struct broker *b)
{
	unsigned n = 0;

	for (const struct definition *d = b->definitions; d && n < HELPER_SPARES; d = d->next) {
		const struct helper *h = b->helpers;

		if (!d->jobs || definition_local(d) ||
		    credential_provider(&d->cred) == PROVIDER_EXEC)
			continue;
		while (h && !(h->bound && !memcmp(h->key, d->key, HELPER_KEY)))
			h = h->next;
		n += !h;
	}
	return n ? n : 1;
}

void helper_warm(struct broker *b)
{
	unsigned have = 0, due = b->egretd.fd >= 0 ? spares_due(b) : 0;

	for (const struct helper *h = b->helpers; h; h = h->next)
		have += is_spare(h);
	while (have++ < due)
		helper_new(b, false);
}

static void on_warm(struct timer *t)
{
	helper_warm(t->owner);
}

static void on_late(struct timer *t)
{
	struct ask *a = t->owner;
	struct helper *h = a->helper;
	struct broker *b = a->broker;

	if (a->over) {
		log_warn("egret-provider does not answer; it is ended");
		helper_free(h, -ETIMEDOUT, "the provider's process did not answer",
			    PROVIDER_END_NOW);
		return;
	}
	if (!h) {
		finish(b, a, -ETIMEDOUT, NULL, "the provider was too busy to be asked in time");
		return;
	}
	a->fns->done(a, -ETIMEDOUT, NULL, "the provider did not answer in time");
	a->over = true;
	timer_set(b->loop, &a->timer, STUCK_MS, on_late, a);
}

static void on_start(struct timer *t)
{
	struct ask *a = t->owner;
	struct broker *b = a->broker;
	struct helper *h = b->helpers;

	timer_set(b->loop, &a->timer, a->ms, on_late, a);
	while (h && !serves(h, a))
		h = h->next;
	if (!h && b->egretd.fd < 0) {
		finish(b, a, -ENOTCONN, NULL,
		       "egretd is away, and without it no provider's process can be started");
		return;
	}
	if (!h) {
		h = a->exec ? NULL : spare(b);
		if (!h)
			h = helper_new(b, a->exec);
		h->bound = true;
		memcpy(h->key, a->key, HELPER_KEY);
		/* Its start would take the processor from the question itself. */
		if (!a->exec && !b->warming.loop)
			timer_set(b->loop, &b->warming, WARM_MS, on_warm, b);
	}
	pump(h);
}

void helper_ask(struct broker *b, struct ask *a)
{
	struct ask **at = &b->asks;

	a->broker = b;
	a->id = ++b->next_ask;
	while (*at)
		at = &(*at)->next;
	a->next = NULL;
	*at = a;
	timer_set(b->loop, &a->timer, 0, on_start, a);
}

void helper_kept(struct broker *b, const uint8_t key[HELPER_KEY], uint32_t id)
{
	struct msg_out m;

	for (struct helper *h = b->helpers; h; h = h->next) {
		if (!h->bound || h->fd < 0 || memcmp(h->key, key, HELPER_KEY))
			continue;
		msg_begin(&m, MSG_PROVIDER_KEPT, id);
		outbox_send(&h->out, &m);
		return;
	}
}

/* egretd has no room: one that rests makes some. */
static bool evict(struct broker *b)
{
	for (struct helper *h = b->helpers; h; h = h->next) {
		if (h->bound && h->fd >= 0 && !is_wanted(h)) {
			helper_free(h, 0, NULL, 0);
			return true;
		}
	}
	return false;
}

static void refused(struct helper *h, const struct msg_in *m)
{
	uint64_t code = EIO;
	struct str text;
	char why[512];

	(void)!msg_get_u64(m, TAG_CODE, &code);
	if (code == EAGAIN && h->bound && evict(h->b)) {
		timer_set(h->b->loop, &h->timer, FULL_MS, on_full, h);
		return;
	}
	if (msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text) < 0)
		text = STR("egretd could not start the provider's process");
	text_escape(why, sizeof(why), text);
	helper_free(h, -EIO, why, PROVIDER_END_NOW);
}

bool helper_answer(struct broker *b, struct msg_in *m)
{
	struct helper *h = b->helpers;
	int fd;

	if (m->type != MSG_PROVIDER && m->type != MSG_FAILED)
		return false;
	while (h && !(h->fd < 0 && h->want == m->id))
		h = h->next;
	if (!h)
		return true; /* came too late: its socket closes, and so it ends */
	if (m->type == MSG_FAILED) {
		refused(h, m);
		return true;
	}
	if (msg_take_fd(m, TAG_FD_PEER, &fd) < 0) {
		helper_free(h, -EBADMSG, "egretd gave no socket of a provider's process",
			    PROVIDER_END_NOW);
		return true;
	}
	h->fd = fd;
	outbox_init(&h->out, fd);
	h->out.watch = &h->watch;
	if (watch_add(b->loop, &h->watch, fd, EPOLLIN, on_frame, h) < 0) {
		helper_free(h, -EIO, "the provider's process cannot be listened to",
			    PROVIDER_END_NOW);
		return true;
	}
	timer_set(b->loop, &h->timer, HELPER_IDLE_MS, on_idle, h);
	pump(h);
	return true;
}

bool helpers_busy(const struct broker *b)
{
	for (const struct ask *a = b->asks; a; a = a->next)
		if (!a->over)
			return true;
	return false;
}

void helpers_done(struct broker *b)
{
	timer_del(&b->warming);
	while (b->helpers)
		helper_free(b->helpers, -ESHUTDOWN, "egret-broker ends", 0);
	while (b->asks)
		finish(b, b->asks, -ESHUTDOWN, NULL, "egret-broker ends");
}
