/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames between processes: every getter over every tag of whatever passes the check. Getters must
 * stay inside the frame and agree with one another; a field that msg_each shows is in the body.
 */
#include "base/msg.h"

#include "base/proto.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void walk(struct msg_in *m, uint16_t tag)
{
	struct str s, first = { NULL, 0 };
	size_t at = 0;
	unsigned count = 0;
	uint64_t v;
	int fd;

	while (msg_each(m, tag, &at, &s)) {
		require((const uint8_t *)s.p >= m->body && s.n <= m->body_n &&
			(const uint8_t *)s.p + s.n <= m->body + m->body_n);
		if (!count++)
			first = s;
		require(msg_take_fd_of(m, s, &fd) < 0); /* there are none in memory */
	}
	require(msg_get(m, tag, &s) == (count == 0 ? -2 : count == 1 ? 0 : -74));
	if (count == 1) {
		require(s.p == first.p && s.n == first.n);
		require((msg_get_u64(m, tag, &v) == 0) == (s.n == 8));
		if (msg_get_str(m, tag, PROTO_TEXT_MAX, &s) == 0)
			require(s.n <= PROTO_TEXT_MAX && !memchr(s.p, 0, s.n));
		require(msg_take_fd(m, tag, &fd) < 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg_in m;

	if (msg_parse(data, size, &m) < 0)
		return 0;
	require(m.type != 0 && m.fields <= MSG_FIELDS_MAX && m.body_n == size - 8);
	for (uint16_t tag = TAG_TEXT; tag <= TAG_CWD; tag++)
		walk(&m, tag);
	for (uint16_t tag = TAG_FD_TCP; tag <= TAG_FD_NAMES; tag++)
		walk(&m, tag);
	msg_in_done(&m);
	return 0;
}
