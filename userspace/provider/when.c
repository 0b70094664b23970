/* SPDX-License-Identifier: Apache-2.0 */
/* Times as providers write them: see http.h. Hostile bytes: the text. */
#include "provider/http.h"

#include <errno.h>
#include <time.h>

/* `n` digits at *at, which goes on. -1: they are not there. */
static int digits(struct str s, size_t *at, unsigned n)
{
	int v = 0;

	if (s.n - *at < n)
		return -1;
	for (; n; n--, (*at)++) {
		if (s.p[*at] < '0' || s.p[*at] > '9')
			return -1;
		v = v * 10 + s.p[*at] - '0';
	}
	return v;
}

static bool one_of(struct str s, size_t *at, const char *letters)
{
	return *at < s.n && s.p[*at] && strchr(letters, s.p[*at]) && ++*at;
}

/* What stands behind the seconds: a fraction, which is left out, and the offset in seconds. */
static bool zone(struct str s, size_t *at, int *ret)
{
	int hours, minutes, sign;

	if (one_of(s, at, ".,")) {
		if (digits(s, at, 1) < 0)
			return false;
		while (digits(s, at, 1) >= 0)
			;
	}
	*ret = 0;
	if (one_of(s, at, "Zz"))
		return *at == s.n;
	sign = *at < s.n && s.p[*at] == '-' ? -1 : 1;
	if (!one_of(s, at, "+-"))
		return false;
	hours = digits(s, at, 2);
	if (!one_of(s, at, ":"))
		return false;
	minutes = digits(s, at, 2);
	*ret = sign * (hours * 3600 + minutes * 60);
	return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60 && *at == s.n;
}

int time_rfc3339(struct str s, int64_t *ret)
{
	struct tm tm = { 0 }, back;
	size_t at = 0;
	int offset;
	time_t t;

	tm.tm_year = digits(s, &at, 4) - 1900;
	if (tm.tm_year < 70 || !one_of(s, &at, "-"))
		return -EINVAL;
	tm.tm_mon = digits(s, &at, 2) - 1;
	if (!one_of(s, &at, "-"))
		return -EINVAL;
	tm.tm_mday = digits(s, &at, 2);
	if (!one_of(s, &at, "Tt "))
		return -EINVAL;
	tm.tm_hour = digits(s, &at, 2);
	if (!one_of(s, &at, ":"))
		return -EINVAL;
	tm.tm_min = digits(s, &at, 2);
	if (!one_of(s, &at, ":"))
		return -EINVAL;
	tm.tm_sec = digits(s, &at, 2);
	if (!zone(s, &at, &offset))
		return -EINVAL;
	if (tm.tm_sec == 60) /* a leap second is the next one's beginning */
		tm.tm_sec = 59;
	back = tm;
	t = timegm(&tm);
	/* timegm carries over: what came back changed was no date */
	if (t == (time_t)-1 || tm.tm_mon != back.tm_mon || tm.tm_mday != back.tm_mday ||
	    tm.tm_hour != back.tm_hour || tm.tm_min != back.tm_min || tm.tm_sec != back.tm_sec)
		return -EINVAL;
	*ret = (int64_t)t - offset;
	return 0;
}
