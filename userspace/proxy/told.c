// SPDX-License-Identifier: Apache-2.0
/* Records of dials: see told.h. Trusts the kernel for the socket's cookie. */
#include "proxy/told.h"

#include <sys/socket.h>

static void where(struct event *e, enum event_verdict v, enum reason r, struct str host,
		  const uint8_t addr[16], uint16_t port)
{
	event_begin(e, EVENT_DIAL, v, r);
	if (host.n)
		event_text(e, FIELD_DEST_HOST, host);
	event_addr(e, FIELD_DEST_IP, addr);
	event_num(e, FIELD_DEST_PORT, port);
}

struct record_wait *told_dial(struct proxy *px, int fd, const struct told_for *what,
			      const uint8_t addr[16], uint16_t port, record_fn fn, void *owner)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);
	struct event e;

	where(&e, what->recorded ? VERDICT_ALLOW : VERDICT_NONE, REASON_NONE, what->host, addr,
	      what->port);
	if (port != what->port)
		event_num(&e, FIELD_DEST_VIA_PORT, port);
	/* Without one the dial is told and not found: an alert, as it should be. */
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) == 0)
		event_num(&e, FIELD_SOCKET, cookie);
	return record_wait(px, &e, false, fn, owner);
}

void told_given_up(struct proxy *px, struct str host, const uint8_t addr[16], uint16_t port)
{
	struct event e;

	where(&e, VERDICT_NONE, REASON_CLIENT_LOST, host, addr, port);
	record_note(px, &e);
}

void told_anew(struct proxy *px)
{
	struct event e;

	event_begin(&e, EVENT_DIAL, VERDICT_NONE, REASON_SHUTDOWN);
	record_note(px, &e);
}
