// SPDX-License-Identifier: Apache-2.0
/* Public suffixes: see suffix.h. The only file that includes libpsl; its built-in list is data of
 * the library, nothing is opened. */
#include "proxy/suffix.h"

#include <libpsl.h>
#include "policy/policy.h"

bool suffix_is_public(struct str name)
{
	char text[HOST_MAX + 1];

	if (!name.n || name.n > HOST_MAX)
		return true;
	if (!memchr(name.p, '.', name.n))
		return true;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	/* Only names on the list itself: "*.unlisted" is what the caller has tested for above. */
	return psl_is_public_suffix2(psl_builtin(), text, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE);
}
