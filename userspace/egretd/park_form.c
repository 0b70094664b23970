/* SPDX-License-Identifier: Apache-2.0 */
/* See park_form.h. */
#include "egretd/park_form.h"

#include "base/proto.h"
#include <errno.h>
#include <sys/socket.h>

int park_words(struct str from, void *to, size_t n)
{
	uint32_t form = 0;

	if (from.n >= sizeof(form))
		memcpy(&form, from.p, sizeof(form));
	if (form != PARK_FORM)
		return -EPROTO;
	memset(to, 0, n);
	memcpy(to, from.p, from.n < n ? from.n : n);
	return 0;
}

/* ---- sets ---- */

static void peek_from(int sock, int at)
{
	(void)setsockopt(sock, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at));
}

void park_rewind(int sock)
{
	peek_from(sock, 0);
}

void park_stop(int sock)
{
	peek_from(sock, -1);
}

int park_next(int sock, struct msg_in *m)
{
	return msg_peek(sock, m);
}

void park_look(int sock, struct park_set *ret)
{
	struct park_set s = { 0 };
	unsigned behind = 0; /* the last mark but one */
	bool marked = false;
	struct msg_in m;
	int r;

	park_rewind(sock);
	while ((r = park_next(sock, &m)) == 0 || r == -EBADMSG) {
		s.count++;
		if (r < 0)
			continue;
		if (m.type == MSG_END) {
			s.from = behind;
			s.to = s.count - 1;
			behind = s.count;
			marked = true;
		}
		msg_in_done(&m);
	}
	if (!marked)
		s.to = s.count;
	park_stop(sock);
	*ret = s;
}
