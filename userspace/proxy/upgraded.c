/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session whose connection became a WebSocket: behind the 101 nothing is left of it but the
 * relay and the record that is closed at the end. Called by forward.c once both halves of the
 * handshake were checked, by session.c when it ends, by conn.c when the policy changed. Reads no
 * byte.
 */
#include "proxy/exchange.h"

#include <errno.h>

static void count(struct session *s, const struct relay_end *end)
{
	s->up.bytes = end->out;
	s->down.bytes = end->in - s->relay_head;
}

static void on_end(void *owner, const struct relay_end *end)
{
	struct session *s = owner;

	s->relay = NULL;
	count(s, end);
	exchange_over(s, end->err == -ETIMEDOUT ? REASON_TIMEOUT : REASON_NONE, NULL);
	session_end(s);
}

void upgraded_start(struct session *s)
{
	struct flow *up = &s->up, *down = &s->down;
	struct str said = { up->in.p + up->in_at, up->in.n - up->in_at };
	struct str head = { down->out.p + down->out_at, down->out.n - down->out_at };
	struct str rest = { down->in.p + down->in_at, down->in.n - down->in_at };
	struct stream *upstream = upstream_take(s->px, TAKE_PTR(s->x.up));
	struct buf first;

	stream_keepalive(upstream);
	/* The 101 as we write it, and what came behind the upstream's in one piece. */
	buf_init(&first, head.n + rest.n);
	if (buf_add_str(&first, head) < 0 || (rest.n && buf_add_str(&first, rest) < 0))
		die("out of memory for a WebSocket's first bytes");
	timer_del(&s->timer);
	s->state = SESSION_UPGRADED;
	s->relay_head = head.n;
	s->relay = relay_start(s->px->loop, TAKE_PTR(s->client), upstream, said, buf_str(&first),
			       s->px->limits.tunnel_idle_ms, on_end, s);
	buf_done(&first);
	up->from = up->to = down->from = down->to = NULL;
	flow_done(up);
	flow_done(down);
}

void upgraded_stop(struct session *s, enum reason r, const char *message)
{
	struct relay_end end;

	relay_cut(TAKE_PTR(s->relay), &end);
	count(s, &end);
	exchange_over(s, r, message);
	session_end(s);
}

void session_judge(struct session *s)
{
	const struct policy *decided;
	struct verdict v;

	if (s->state != SESSION_UPGRADED)
		return;
	decide_request(s->px, &s->x.rq.q, &v, &decided);
	if (v.verdict != VERDICT_ALLOW && v.verdict != VERDICT_WOULD_DENY)
		upgraded_stop(s, v.reason, "the policy was changed and does not allow it any more");
}
