/* SPDX-License-Identifier: Apache-2.0 */
/* Can what the broker gave stand where it is to go, and be searched for in answers? Called by
 * creds.c; the broker is trusted for values, its providers are not for their form. */
#include "proxy/creds_fit.h"

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

bool creds_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n != 0;
}
