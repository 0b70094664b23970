/* SPDX-License-Identifier: Apache-2.0 */
/* See park_form.h. */
#include "egretd/park_form.h"

#include <errno.h>

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
