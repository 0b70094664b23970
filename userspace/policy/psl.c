/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names are public suffixes: a pattern over one would name everybody's hosts. The one place
 * that knows libpsl, and only its built-in list, so that nothing is opened. Called by the host
 * patterns' loader.
 */
#include "policy/model.h"

#include <libpsl.h>

bool public_suffix(const char *name)
{
	const psl_ctx_t *list = psl_builtin();

	/* Without a list every name counts as one: the pattern is refused, not guessed. */
	return !list || psl_is_public_suffix2(list, name, PSL_TYPE_ANY);
}
