/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields on their way. Called by request.c with a job's head and by forward.c with an origin's;
 * both are hostile, and both codecs have checked their form.
 */
#include "proxy/onward.h"

#include "base/clock.h"
#include "http/fields.h"

#include <stdio.h>
#include <time.h>

static bool fault(struct request_fault *f, unsigned status, const char *sentence)
{
	request_fault(f, status, REASON_BAD_REQUEST, "%s", sentence);
	return false;
}

/* A body that somebody expects and nobody sends, or an expectation in another spelling, puts two
 * servers out of step (RFC 9110 10.1.1). */
static bool expectation(struct head *h, struct request_fault *f)
{
	const struct field *e = head_find(h, "expect");

	if (!e)
		return true;
	if (head_count(h, "expect") > 1 || !str_eq_nocase(e->value, STR("100-continue")))
		return fault(f, 417, "Expect is not 100-continue alone: leave it out");
	if (h->body == BODY_NONE)
		head_drop(h, "expect");
	return true;
}

/* RFC 9110 7.6.2. The number that goes on is ours to choose below theirs; 0 asks the next one
 * itself. */
static bool hops(struct head *h, struct request_fault *f)
{
	const struct field *m = head_find(h, "max-forwards");
	uint64_t n;

	if (!m || !str_is(h->method, "OPTIONS"))
		return true;
	if (head_count(h, "max-forwards") > 1 || str_u64(m->value, &n) < 0)
		return fault(f, 400, "Max-Forwards is not one number");
	if (n == 0)
		return fault(f, 400,
			     "Max-Forwards: 0 asks egret itself, which has nothing to tell: leave "
			     "it out");
	((struct field *)m)->value = STR("0");
	return true;
}

bool onward_request(struct head *h, struct request_fault *f)
{
	for (size_t i = 0; i < h->n; i++) {
		struct str name = h->fields[i].name;

		if (memchr(name.p, '_', name.n) && (field_is_alike(name, "content-length") ||
						    field_is_alike(name, "transfer-encoding")))
			return fault(f, 400,
				     "a field frames the body to servers that take _ for -: write "
				     "it with -");
	}
	return expectation(h, f) && hops(h, f);
}

struct str onward_date(void)
{
	static const char day[] = "SunMonTueWedThuFriSat",
			  month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static char text[64];
	static time_t said;
	time_t now = (time_t)(clock_wall_us() / 1000000);
	struct tm tm;

	if (now != said && gmtime_r(&now, &tm)) {
		snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
			 day + 3 * tm.tm_wday, tm.tm_mday, month + 3 * tm.tm_mon, tm.tm_year + 1900,
			 tm.tm_hour, tm.tm_min, tm.tm_sec);
		said = now;
	}
	return str_of(text);
}

void onward_answer(struct head *h, struct arena *a)
{
	/* Another host, port or protocol for what follows: the job's way is the one it came by, and
	 * HTTP/3 is closed to it, so that a client would only lose time. */
	head_drop(h, "alt-svc");
	head_drop(h, "alternate-protocol");
	/* RFC 9110 6.6.1 */
	if (h->status / 100 != 1 && !head_find(h, "date"))
		head_add(h, a, STR("date"), arena_str(a, onward_date()));
}
