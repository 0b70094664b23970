/* SPDX-License-Identifier: Apache-2.0 */
/* See uses.h. Called by creds.c. */
#include "proxy/uses.h"

#include "base/msg.h"
#include "base/proto.h"

#include <stdlib.h>

#define TELL_MS 1000u

struct uses {
	struct proxy *px;
	struct timer timer;
	int n;
	uint64_t counts[];
};

static void tell(struct uses *u)
{
	struct msg_out m;

	for (int i = 0; i < u->n; i++) {
		if (!u->counts[i])
			continue;
		msg_begin(&m, MSG_CRED_USED, 0);
		msg_put_u64(&m, TAG_INDEX, (uint64_t)i);
		msg_put_u64(&m, TAG_SIZE, u->counts[i]);
		if (msg_send(u->px->broker, &m) == 0)
			u->counts[i] = 0;
		else /* with the next ones, to the broker that is there then */
			msg_out_done(&m);
	}
}

static void on_timer(struct timer *t)
{
	tell(t->owner);
}

struct uses *uses_new(struct proxy *px, int n)
{
	struct uses *u = mem_new(sizeof(*u) + (size_t)n * sizeof(u->counts[0]));

	u->px = px;
	u->n = n;
	return u;
}

void uses_add(struct uses *u, int index)
{
	u->counts[index]++;
	if (!u->timer.loop)
		timer_set(u->px->loop, &u->timer, TELL_MS, on_timer, u);
}

void uses_free(struct uses *u)
{
	if (!u)
		return;
	timer_del(&u->timer);
	tell(u);
	free(u);
}
