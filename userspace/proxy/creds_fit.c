/* SPDX-License-Identifier: Apache-2.0 */
/* Can what the broker gave stand where it is to go, and be searched for in answers? Called by
 * creds.c; the broker is trusted for values, its providers are not for their form. Also when the
 * next one is asked for, and what is told of one that is of no use. */
#include "proxy/creds_fit.h"

#include "base/clock.h"
#include "base/proto.h"
#include "sigv4/sigv4.h"

#define AHEAD_US 250000u /* the next value is asked for no more often */

const char *creds_unfit(struct str v, const struct limits *l)
{
	if (!v.n)
		return "its value is empty";
	/* The longest form of it that is searched for is the percent-encoded one. */
	if (v.n * 3 > l->scrub_window)
		return "its value is too long to be searched for in answers";
	for (size_t i = 0; i < v.n; i++) {
		if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7f)
			return "its value holds a control byte and cannot stand in a header";
	}
	return NULL;
}

/* Printable ASCII without blanks, and something of it. */
static bool plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n != 0;
}

const char *creds_signer(struct lease *l, const struct msg_in *m, struct str key,
			 struct str *ret_session)
{
	struct secret access = { 0 }, session = { 0 };
	struct str a, t;

	if (key.n != SIGV4_KEY || msg_get(m, TAG_ACCESS_KEY, &a) < 0 ||
	    msg_get(m, TAG_SESSION, &t) < 0)
		return "the broker's answer is not complete";
	if (!plain(a) || !plain(t))
		return "its session token cannot stand in a header";
	if (secret_dup(a.p, a.n, &access) < 0 || secret_dup(t.p, t.n, &session) < 0) {
		secret_done(&access);
		return "there is no room left in locked memory";
	}
	secret_done(&l->access_key);
	secret_done(&l->session);
	l->access_key = access;
	l->session = session;
	*ret_session = t;
	return NULL;
}

uint64_t creds_renew_at(uint64_t expires_us)
{
	uint64_t now = clock_wall_us();
	uint64_t left = expires_us > now ? (expires_us - now) / 3 * 2 : 0;

	return left > AHEAD_US ? now + left : 0;
}

void creds_say(struct event *e, const struct credential *c, struct str id)
{
	event_text(e, FIELD_CREDENTIAL_NAME, credential_name(c));
	if (id.n)
		event_text(e, FIELD_CREDENTIAL_LEASE, id);
	event_num(e, FIELD_CREDENTIAL_STATIC, credential_static(c));
}

void creds_said(const struct credential *c, struct str id, struct event_part *ret)
{
	struct event e;

	event_begin(&e, EVENT_HTTP_REQUEST, VERDICT_NONE, REASON_NONE);
	creds_say(&e, c, id);
	event_part_of(&e, ret);
}

void creds_note_failure(struct proxy *px, const struct credential *c, const char *fault)
{
	struct event ev;

	record_begin(px, &ev, EVENT_CREDENTIAL_FAIL, VERDICT_NONE, REASON_CREDENTIAL, NULL, NULL,
		     STR(""));
	event_text(&ev, FIELD_CREDENTIAL_NAME, credential_name(c));
	event_text(&ev, FIELD_MESSAGE, str_of(fault));
	record_note(px, &ev);
}
