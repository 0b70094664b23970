// SPDX-License-Identifier: Apache-2.0
/*
 * Tunnels: see tunnel.h. No byte is looked at. Each way owns a pipe; a way reads its source only
 * when the pipe is empty enough, and the watches ask for nothing that could not be used, so a slow
 * side holds the fast one back.
 */
#include "proxy/tunnel.h"

#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIPE_ROOM 65536
#define TURNS 16 /* moves in one go before other connections get theirs */

struct way {
	int from, to;
	int pipe[2];
	size_t held; /* bytes in the pipe */
	uint64_t moved;
	bool ended;			  /* the source has ended */
	bool done;			  /* and the end was passed on */
	bool blocked_read, blocked_write; /* wait for the socket */
};

struct tunnel {
	struct loop *loop;
	struct way out, in;
	struct watch watch_a, watch_b;
	struct timer idle;
	uint64_t idle_ms, last;
	tunnel_fn fn;
	void *owner;
};

static void close_pipe(struct way *w)
{
	if (w->pipe[0] >= 0)
		close(w->pipe[0]);
	if (w->pipe[1] >= 0)
		close(w->pipe[1]);
}

static void reset_on_close(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void tunnel_free(struct tunnel *t, bool reset, struct tunnel_end *ret)
{
	ret->out = t->out.moved;
	ret->in = t->in.moved;
	watch_del(&t->watch_a);
	watch_del(&t->watch_b);
	timer_del(&t->idle);
	close_pipe(&t->out);
	close_pipe(&t->in);
	if (reset) {
		reset_on_close(t->out.from);
		reset_on_close(t->out.to);
	}
	close(t->out.from);
	close(t->out.to);
	free(t);
}

static void tunnel_over(struct tunnel *t, int err)
{
	struct tunnel_end end = { .err = err };
	tunnel_fn fn = t->fn;
	void *owner = t->owner;

	tunnel_free(t, err != 0, &end);
	fn(owner, &end);
}

void tunnel_cut(struct tunnel *t, struct tunnel_end *ret)
{
	ret->err = -ECANCELED;
	tunnel_free(t, true, ret);
}

/* Moves what can be moved one way. 0 or what broke it. */
static int way_move(struct way *w)
{
	ssize_t r;

	for (int turn = 0; turn < TURNS && !w->done; turn++) {
		bool moved = false;

		if (!w->ended && !w->blocked_read && w->held < PIPE_ROOM) {
			r = splice(w->from, NULL, w->pipe[1], NULL, PIPE_ROOM - w->held,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (r > 0) {
				w->held += (size_t)r;
				moved = true;
			} else if (!r) {
				w->ended = true;
			} else if (errno != EAGAIN) {
				return -errno;
			} else if (!w->held) {
				/* With bytes held the pipe itself may be full of small pieces. */
				w->blocked_read = true;
			}
		}
		if (w->held && !w->blocked_write) {
			r = splice(w->pipe[0], NULL, w->to, NULL, w->held,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (r > 0) {
				w->held -= (size_t)r;
				w->moved += (uint64_t)r;
				moved = true;
			} else if (r < 0 && errno == EAGAIN) {
				w->blocked_write = true;
			} else {
				return r < 0 ? -errno : -EPIPE;
			}
		}
		if (w->ended && !w->held) {
			if (shutdown(w->to, SHUT_WR) && errno != ENOTCONN)
				return -errno;
			w->done = true;
		}
		if (!moved)
			break;
	}
	return 0;
}

static void set_watch(struct tunnel *t, struct watch *w, int fd, uint32_t events, watch_fn fn)
{
	if (!events)
		watch_del(w);
	else if (w->loop)
		watch_set(w, events);
	else if (watch_add(t->loop, w, fd, events, fn, t))
		die("out of memory for a tunnel's watch");
}

static void on_a(struct watch *w, uint32_t events);
static void on_b(struct watch *w, uint32_t events);

static uint32_t wants(const struct way *reads, const struct way *writes)
{
	uint32_t events = 0;

	if (!reads->ended && reads->held < PIPE_ROOM && !(reads->held && reads->blocked_write))
		events |= EPOLLIN;
	if (writes->held)
		events |= EPOLLOUT;
	return events;
}

static void tunnel_step(struct tunnel *t)
{
	uint64_t before = t->out.moved + t->in.moved;
	int r;

	r = way_move(&t->out);
	if (!r)
		r = way_move(&t->in);
	if (r) {
		tunnel_over(t, r);
		return;
	}
	if (t->out.done && t->in.done) {
		tunnel_over(t, 0);
		return;
	}
	if (t->out.moved + t->in.moved != before)
		t->last = clock_now();
	set_watch(t, &t->watch_a, t->out.from, wants(&t->out, &t->in), on_a);
	set_watch(t, &t->watch_b, t->out.to, wants(&t->in, &t->out), on_b);
}

/* A socket that is broken reports it whatever is asked for; reading or writing then gives the
 * reason. */
static int broken(int fd, uint32_t events)
{
	socklen_t n = sizeof(int);
	int err = 0;

	if (!(events & EPOLLERR))
		return 0;
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	return err ? -err : 0;
}

static void on_side(struct tunnel *t, int fd, struct way *reads, struct way *writes,
		    uint32_t events)
{
	int err = broken(fd, events);

	if (err) {
		tunnel_over(t, err);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		reads->blocked_read = false;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		writes->blocked_write = false;
	tunnel_step(t);
}

static void on_a(struct watch *w, uint32_t events)
{
	struct tunnel *t = w->owner;

	on_side(t, t->out.from, &t->out, &t->in, events);
}

static void on_b(struct watch *w, uint32_t events)
{
	struct tunnel *t = w->owner;

	on_side(t, t->out.to, &t->in, &t->out, events);
}

static void on_idle(struct timer *timer)
{
	struct tunnel *t = timer->owner;
	uint64_t silent = clock_now() - t->last;

	if (silent >= t->idle_ms)
		tunnel_over(t, -ETIMEDOUT);
	else
		timer_set(t->loop, &t->idle, t->idle_ms - silent, on_idle, t);
}

int tunnel_start(struct loop *l, int a, int b, uint64_t idle_ms, tunnel_fn fn, void *owner,
		 struct tunnel **ret)
{
	struct tunnel *t = mem_new(sizeof(*t));
	int r;

	t->out = (struct way){ .from = a, .to = b, .pipe = { -1, -1 } };
	t->in = (struct way){ .from = b, .to = a, .pipe = { -1, -1 } };
	if (pipe2(t->out.pipe, O_CLOEXEC | O_NONBLOCK) ||
	    pipe2(t->in.pipe, O_CLOEXEC | O_NONBLOCK)) {
		r = -errno;
		close_pipe(&t->out);
		close_pipe(&t->in);
		free(t);
		return r;
	}
	t->loop = l;
	t->idle_ms = idle_ms;
	t->last = clock_now();
	t->fn = fn;
	t->owner = owner;
	timer_set(l, &t->idle, idle_ms, on_idle, t);
	set_watch(t, &t->watch_a, a, EPOLLIN, on_a);
	set_watch(t, &t->watch_b, b, EPOLLIN, on_b);
	*ret = t;
	return 0;
}
