/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes egretd's word of how to begin, then the broker's questions, each on a fiber; answers come
 * in the order in which they are found. Up to QUESTIONS_MAX at once, the others wait in the socket.
 * The broker's end closed is the end of this process, once it has revoked what it was given and the
 * broker did not say to have written down (MSG_PROVIDER_KEPT): nobody else knows of that.
 */
#include "provider/serve.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/proto.h"
#include "fetch/rehearse.h"
#include "provider/fiber.h"
#include "provider/http.h"
#include "provider/question.h"
#include "provider/table.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define START_MS 30000
#define SEND_MS 10000
#define END_MS 3000 /* to give up what is kept, when nobody asks any more */
#define ROOTS_MAX (8u << 20)
#define LIST_MAX 64
#define QUESTIONS_MAX 64
#define LAST_MS 20000 /* to revoke what nobody knows of */

struct serving {
	struct loop *loop;
	struct fetch *fetch;
	struct buf roots;
	struct str hosts[LIST_MAX], nameservers[LIST_MAX], no_proxy[LIST_MAX];
	struct fetch_names names;
	struct watch egretd, broker;
	struct timer late;
	unsigned asked;
	struct asked *unkept;
	bool exec;  /* the kind of process that this is */
	bool alone; /* the broker is gone */
	struct timer last;
	bool over;
};

struct asked {
	struct asked *next; /* of those that are not kept */
	struct serving *s;
	struct question q;
	struct answer good;
	uint16_t type;
};

static int wait_for(int sock, short events, int ms)
{
	struct pollfd p = { .fd = sock, .events = events };
	int r;

	do
		r = poll(&p, 1, ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

/* ---- the start ---- */

static int take_list(const struct msg_in *m, uint16_t tag, struct str *to, unsigned *ret)
{
	struct str field;
	size_t at = 0;
	unsigned n = 0;

	while (msg_each(m, tag, &at, &field)) {
		if (n == LIST_MAX)
			return -E2BIG;
		to[n].p = mem_dup(field);
		to[n++].n = field.n;
	}
	*ret = n;
	return 0;
}

static void take_parent(const struct msg_in *m, struct str *to)
{
	struct str field;

	if (msg_get(m, TAG_PARENT, &field) == 0)
		*to = (struct str){ mem_dup(field), field.n };
}

static int take_roots(struct msg_in *m, struct buf *to)
{
	struct str field;
	size_t at = 0;
	int r = 0;

	while (r == 0 && msg_each(m, TAG_FD_ROOTS, &at, &field)) {
		cleanup_close int fd = -1;

		r = msg_take_fd_of(m, field, &fd);
		if (r == 0)
			r = fd_read(fd, to);
		if (r == 0)
			r = buf_add(to, "\n", 1);
	}
	return r;
}

static int start(struct serving *s, int sock, struct str kind, int *ret_peer)
{
	struct str said;
	struct msg_in m;
	int r = wait_for(sock, POLLIN, START_MS);

	if (r == 0)
		r = msg_recv(sock, &m);
	if (r < 0)
		return r;
	buf_init(&s->roots, ROOTS_MAX);
	r = m.type == MSG_PROVIDER_START ? msg_get_str(&m, TAG_KIND, PROTO_NAME_MAX, &said)
					 : -EBADMSG;
	if (r == 0 && !str_eq(said, kind))
		r = -EBADMSG;
	if (r == 0)
		r = take_list(&m, TAG_HOSTS, s->hosts, &s->names.nhosts);
	if (r == 0)
		r = take_list(&m, TAG_NAMESERVER, s->nameservers, &s->names.nnameservers);
	if (r == 0)
		r = take_list(&m, TAG_NO_PROXY, s->no_proxy, &s->names.nno_proxy);
	if (r == 0)
		r = take_roots(&m, &s->roots);
	if (r == 0)
		r = msg_take_fd(&m, TAG_FD_PEER, ret_peer);
	take_parent(&m, &s->names.proxy);
	s->names.hosts = s->hosts;
	s->names.no_proxy = s->no_proxy;
	s->names.nameservers = s->nameservers;
	msg_in_done(&m);
	return r;
}

/* ---- questions ---- */

/* 0: it is with the broker. */
static int answer(struct asked *a, int r, const struct answer *good)
{
	struct watch *w = &a->s->broker;
	struct msg_out out;

	if (r < 0) {
		msg_begin(&out, MSG_FAILED, a->q.id);
		msg_put_str(&out, TAG_TEXT, str_of(a->q.why));
		msg_put_u64(&out, TAG_CODE, (uint64_t)-r);
	} else if (a->type == MSG_PROVIDER_REVOKE) {
		msg_begin(&out, MSG_OK, a->q.id);
	} else {
		msg_begin(&out, MSG_PROVIDED, a->q.id);
		answer_put(&out, good);
	}
	for (;;) {
		r = msg_send(w->fd, &out);
		if (r != -EAGAIN)
			break;
		if (wait_for(w->fd, POLLOUT, SEND_MS) < 0) {
			msg_out_done(&out);
			break;
		}
	}
	if (r == -EMSGSIZE) {
		msg_begin(&out, MSG_FAILED, a->q.id);
		msg_put_str(&out, TAG_TEXT, STR("the credential is larger than 60 KiB"));
		if (msg_send(w->fd, &out) < 0)
			msg_out_done(&out);
	}
	return r;
}

static int find(struct asked *a, struct answer *ret)
{
	const struct provider_ops *ops = question_ops(&a->q);

	/* Each kind has a jail of its own, and answers for its providers alone. */
	if (!ops || a->s->exec != (ops == &provider_exec))
		return question_fail(&a->q, -EOPNOTSUPP,
				     "this provider is not one of "
				     "egret-provider's");
	if (a->type == MSG_PROVIDE)
		return ops->provide(&a->q, ret);
	if (a->type == MSG_PROVIDER_RENEW)
		return ops->renew ? ops->renew(&a->q, ret)
				  : question_fail(&a->q, -EOPNOTSUPP, "does not renew");
	return ops->revoke ? ops->revoke(&a->q) : 0;
}

static void forget(struct asked *a)
{
	struct serving *s = a->s;

	question_done(&a->q);
	free(a);
	s->asked--;
	if (s->alone && !s->asked)
		loop_stop(s->loop, 0);
	else if (s->broker.loop)
		watch_set(&s->broker, EPOLLIN);
}

/* What the broker does not know of. */
static void undo(void *owner)
{
	struct asked *a = owner;
	const struct provider_ops *ops = question_ops(&a->q);

	a->q.handle = a->good.handle;
	a->q.value = a->good.value;
	if (ops->revoke && a->good.handle.n && ops->revoke(&a->q) < 0)
		log_warn("a lease that the broker never wrote down is not revoked: %s", a->q.why);
	forget(a);
}

static void on_fiber(void *owner)
{
	struct asked *a = owner;
	struct serving *s = a->s;
	int r = find(a, &a->good);
	bool made = r == 0 && a->type == MSG_PROVIDE;

	if (!s->alone && answer(a, r, &a->good) == 0 && made) {
		a->next = s->unkept;
		s->unkept = a;
		s->asked--; /* it waits for a word, not for a server */
		watch_set(&s->broker, EPOLLIN);
	} else if (made) {
		undo(a);
	} else {
		forget(a);
	}
}

static void kept(struct serving *s, uint32_t id)
{
	for (struct asked **at = &s->unkept; *at; at = &(*at)->next) {
		struct asked *a = *at;

		if (a->q.id != id)
			continue;
		*at = a->next;
		s->asked++;
		forget(a);
		return;
	}
}

static void on_last(struct timer *t)
{
	struct serving *s = t->owner;

	log_warn("%u questions have no answer, and the broker is gone", s->asked);
	loop_stop(s->loop, 0);
}

static void broker_gone(struct serving *s)
{
	watch_del(&s->broker);
	s->alone = true;
	timer_set(s->loop, &s->last, LAST_MS, on_last, s);
	s->asked++; /* so that the first that is undone does not end it */
	while (s->unkept) {
		struct asked *a = s->unkept;

		s->unkept = a->next;
		s->asked++;
		fiber_start(undo, a);
	}
	if (!--s->asked)
		loop_stop(s->loop, 0);
}

static void on_broker(struct watch *w, uint32_t events)
{
	struct serving *s = w->owner;
	struct asked *a;
	struct msg_in m;
	int r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		broker_gone(s);
		return;
	}
	if (m.type == MSG_PROVIDER_KEPT) {
		kept(s, m.id);
		msg_in_done(&m);
		return;
	}
	a = mem_new(sizeof(*a));
	a->s = s;
	a->type = m.type;
	r = m.type == MSG_PROVIDE || m.type == MSG_PROVIDER_RENEW || m.type == MSG_PROVIDER_REVOKE
		    ? question_open(&m, &a->q)
		    : -EBADMSG;
	msg_in_done(&m);
	if (r < 0) {
		question_done(&a->q);
		free(a);
		loop_stop(s->loop, r);
		return;
	}
	a->q.loop = s->loop;
	a->q.fetch = s->fetch;
	a->q.roots = buf_str(&s->roots);
	if (++s->asked == QUESTIONS_MAX)
		watch_set(w, 0);
	fiber_start(on_fiber, a);
}

/* Without the egretd that started it the broker is served on: leases are renewed. */
static void on_egretd(struct watch *w, uint32_t events)
{
	struct serving *s = w->owner;
	struct msg_in m;
	int r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r == 0 && m.type == MSG_STOP) {
		loop_stop(s->loop, 0);
		msg_in_done(&m);
	} else {
		if (r == 0)
			msg_in_done(&m);
		watch_del(w);
	}
}

static void warm(struct serving *s)
{
	const struct fetch_trust t = { .roots = buf_str(&s->roots) };
	char why[256];

	/* A credential may bring its own roots: having none of the host's is not the end. */
	if (s->roots.n && fetch_trust(s->fetch, &t, why, sizeof(why)) < 0)
		log_warn("%s", why);
}

/* While nobody waits: a spare has the time. */
static void be_ready(int peer)
{
	int r = wait_for(peer, POLLIN, 0) == -ETIMEDOUT ? rehearse() : 0;

	if (r < 0)
		log_warn("OpenSSL could not be tried out: the first question will take longer");
}

static void on_end(void *owner)
{
	struct serving *s = owner;

	for (size_t i = 0; providers[i]; i++)
		if (providers[i]->end)
			providers[i]->end();
	s->over = true;
	loop_stop(s->loop, 0);
}

static void on_late(struct timer *t)
{
	struct serving *s = t->owner;

	loop_stop(s->loop, -ETIMEDOUT);
}

static void end(struct serving *s)
{
	watch_del(&s->broker);
	watch_del(&s->egretd);
	timer_set(s->loop, &s->late, END_MS, on_late, s);
	fiber_start(on_end, s);
	if (!s->over && loop_run(s->loop) < 0)
		log_warn("a login is left to expire: it was not ended in time");
}

int provider_serve(int sock, struct str kind)
{
	struct serving s = { .exec = str_is(kind, "exec") };
	int peer, r = start(&s, sock, kind, &peer);

	if (r < 0) {
		log_err("egretd did not say how to start: %s", strerror(-r));
		return 1;
	}
	s.loop = loop_new();
	s.fetch = fetch_new(s.loop, &s.names);
	warm(&s);
	if (!s.exec)
		be_ready(peer);
	r = watch_add(s.loop, &s.egretd, sock, EPOLLIN, on_egretd, &s);
	if (r == 0)
		r = watch_add(s.loop, &s.broker, peer, EPOLLIN, on_broker, &s);
	if (r == 0)
		r = loop_run(s.loop);
	if (r < 0)
		log_err("the broker could not be answered: %s", strerror(-r));
	else
		end(&s);
	return r < 0;
}
