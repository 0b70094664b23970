// SPDX-License-Identifier: Apache-2.0
/*
 * Tunnels: see tunnel.h. No byte is looked at. A way takes from its source only when everything
 * that it took before has gone on, so a slow side holds the fast one back. Edge-triggered: what
 * the loop told is remembered until the kernel says EAGAIN, and no watch is ever changed.
 *
 * A side that breaks may have said something before, which its reader could still read without us:
 * that is passed on first, and only when the other side has it all is it reset.
 */
#include "proxy/tunnel.h"

#include "base/clock.h"
#include "proxy/pipes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define GO_BYTES (1u << 20)   /* moved in one go before other connections get theirs */
#define FEW_BYTES 16384	      /* asked for once all tunnels together hold HELD_MANY */
#define HELD_MANY (16u << 20) /* what pipes hold is counted against no socket */
#define LAST_MS 2000	      /* for what was passed on before a reset to arrive */
#define LAST_TURN_MS 10

struct side {
	int fd;
	struct watch watch;
	bool readable, writable; /* until the kernel says otherwise */
	int err;		 /* it is broken */
};

struct way {
	struct side *from, *to;
	struct pipe pipe; /* none while nothing is held */
	size_t held;
	uint64_t moved;
	bool ended; /* no more will come */
	bool done;  /* all is passed on, the end too */
};

struct tunnel {
	struct loop *loop;
	struct side a, b;
	struct way out, in;
	struct timer idle, again;
	uint64_t idle_ms, last, deadline;
	tunnel_fn fn;
	void *owner;
};

static size_t held_all; /* by all tunnels of this process's one proxy */

static void reset_on_close(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void way_drop(struct way *w)
{
	held_all -= w->held;
	w->held = 0;
	pipes_drop(&w->pipe);
	w->ended = w->done = true;
}

static void tunnel_free(struct tunnel *t, bool reset, struct tunnel_end *ret)
{
	ret->out = t->out.moved;
	ret->in = t->in.moved;
	watch_del(&t->a.watch);
	watch_del(&t->b.watch);
	timer_del(&t->idle);
	timer_del(&t->again);
	way_drop(&t->out);
	way_drop(&t->in);
	if (reset) {
		reset_on_close(t->a.fd);
		reset_on_close(t->b.fd);
	}
	close(t->a.fd);
	close(t->b.fd);
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

/* ---- one way ---- */

static void side_break(struct side *s, int err)
{
	if (!s->err)
		s->err = err == -EPIPE ? -ECONNRESET : err;
	s->readable = true; /* up to its end */
	s->writable = false;
}

/* Without a descriptor for a pipe: by memory, and only what goes on at once leaves the source. */
static ssize_t way_copy(struct way *w, bool *blocked)
{
	static uint8_t bytes[65536];
	ssize_t n = recv(w->from->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), put;

	if (n <= 0)
		return n ? -errno : 0;
	put = send(w->to->fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (put < 0) {
		*blocked = true;
		return -errno;
	}
	(void)recv(w->from->fd, NULL, (size_t)put, MSG_TRUNC | MSG_DONTWAIT);
	w->moved += (uint64_t)put;
	return put;
}

/* What the source said: bytes, its end (0), or -errno. *written: that of the other side. */
static ssize_t way_take(struct way *w, bool *written)
{
	ssize_t r;

	if (w->pipe.ends[0] < 0 && pipes_take(&w->pipe))
		return way_copy(w, written);
	r = splice(w->from->fd, NULL, w->pipe.ends[1], NULL,
		   held_all < HELD_MANY ? GO_BYTES : FEW_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (r < 0)
		return -errno;
	w->held = (size_t)r;
	held_all += w->held;
	return r;
}

static void way_send(struct way *w)
{
	ssize_t r = splice(w->pipe.ends[0], NULL, w->to->fd, NULL, w->held,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (r > 0) {
		w->held -= (size_t)r;
		held_all -= (size_t)r;
		w->moved += (uint64_t)r;
	} else if (r < 0 && errno == EAGAIN) {
		w->to->writable = false;
	} else {
		side_break(w->to, r < 0 ? -errno : -EPIPE);
	}
}

static void way_read(struct way *w)
{
	bool written = false;
	ssize_t r = way_take(w, &written);

	if (!r)
		w->ended = true;
	else if (r == -EAGAIN && written)
		w->to->writable = false;
	else if (r == -EAGAIN)
		w->from->readable = false;
	else if (r < 0 && written)
		side_break(w->to, (int)r);
	else if (r < 0)
		side_break(w->from, (int)r);
	if (r < 0 && r != -EAGAIN && !written)
		w->ended = true;
}

/* Moves what can be moved. Is there more to do at once? */
static bool way_move(struct way *w)
{
	uint64_t before = w->moved;

	while (!w->done && !w->to->err) {
		if (w->held && w->to->writable)
			way_send(w);
		else if (w->held || w->ended || !w->from->readable || !w->to->writable)
			break;
		else if (w->moved - before >= GO_BYTES)
			return true;
		else
			way_read(w);
	}
	if (!w->held && w->pipe.ends[0] >= 0)
		pipes_give(&w->pipe);
	if (w->done)
		return false;
	if (w->to->err) {
		way_drop(w);
		return true;
	}
	if (w->ended && !w->held) {
		w->done = true;
		/* After a fault the reset says it. */
		if (!w->from->err && shutdown(w->to->fd, SHUT_WR) && errno != ENOTCONN) {
			side_break(w->to, -errno);
			return true;
		}
	}
	return false;
}

/* ---- both ---- */

static void tunnel_step(struct tunnel *t);

static void on_again(struct timer *timer)
{
	tunnel_step(timer->owner);
}

/* What was passed on is still on its way: a reset now would take it back. */
static void on_last(struct timer *timer)
{
	struct tunnel *t = timer->owner;
	int left = 0;

	if ((ioctl(t->a.err ? t->b.fd : t->a.fd, TIOCOUTQ, &left) == 0 && left == 0) ||
	    clock_now() >= t->deadline)
		tunnel_over(t, t->a.err ? t->a.err : t->b.err);
	else
		timer_set(t->loop, &t->again, LAST_TURN_MS, on_last, t);
}

static void tunnel_finish(struct tunnel *t)
{
	if (!t->a.err && !t->b.err) {
		tunnel_over(t, 0);
		return;
	}
	if (t->a.err && t->b.err) {
		tunnel_over(t, t->a.err);
		return;
	}
	watch_del(&t->a.watch);
	watch_del(&t->b.watch);
	t->deadline = clock_now() + LAST_MS;
	timer_set(t->loop, &t->again, 0, on_last, t);
}

static void tunnel_step(struct tunnel *t)
{
	uint64_t before = t->out.moved + t->in.moved;
	bool again = way_move(&t->out);

	again |= way_move(&t->in);
	if (t->out.moved + t->in.moved != before)
		t->last = clock_now();
	if (t->out.done && t->in.done)
		tunnel_finish(t);
	else if (again)
		timer_set(t->loop, &t->again, 0, on_again, t);
}

static void on_side(struct watch *w, uint32_t events)
{
	struct tunnel *t = w->owner;
	struct side *s = w == &t->a.watch ? &t->a : &t->b;
	socklen_t n = sizeof(int);
	int err = 0;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		s->readable = true;
	if (events & EPOLLOUT)
		s->writable = true;
	if ((events & EPOLLERR) && !getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &n) && err)
		side_break(s, -err);
	tunnel_step(t);
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

static int side_start(struct tunnel *t, struct side *s, int fd)
{
	s->fd = fd;
	return watch_add(t->loop, &s->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_side,
			 t);
}

int tunnel_start(struct loop *l, int a, int b, uint64_t idle_ms, tunnel_fn fn, void *owner,
		 struct tunnel **ret)
{
	struct tunnel *t = mem_new(sizeof(*t));
	int r;

	t->loop = l;
	t->out = (struct way){ .from = &t->a, .to = &t->b, .pipe = NO_PIPE };
	t->in = (struct way){ .from = &t->b, .to = &t->a, .pipe = NO_PIPE };
	r = side_start(t, &t->a, a);
	if (!r)
		r = side_start(t, &t->b, b);
	if (r) {
		watch_del(&t->a.watch);
		free(t);
		return r;
	}
	t->idle_ms = idle_ms;
	t->last = clock_now();
	t->fn = fn;
	t->owner = owner;
	timer_set(l, &t->idle, idle_ms, on_idle, t);
	*ret = t;
	return 0;
}
