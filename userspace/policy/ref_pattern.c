/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of git's refs and the patterns of `refs`. A pattern is one of paths with "refs" as its
 * first segment, so stars mean the same in both. Called by the loader and, for each ref of a push,
 * by the matcher and the proxy; the ref is a job's.
 */
#include "policy/model.h"

#include <errno.h>

/* What git check-ref-format says, and that the name is whole. What a server could take for another
 * name than it looks like is none. */
static bool well_formed(struct str s, bool pattern)
{
	char last = 0;

	if (s.n <= 5 || s.n > REF_MAX || memcmp(s.p, "refs/", 5) != 0)
		return false;
	for (size_t i = 0, from = 0; i <= s.n; i++) {
		char c = i < s.n ? s.p[i] : '/';

		if (c == '/') {
			if (i == from || last == '.' ||
			    (i - from >= 5 && memcmp(s.p + i - 5, ".lock", 5) == 0))
				return false;
			from = i + 1;
		} else if ((unsigned char)c <= ' ' || c == 0x7f || strchr("~^:?[\\", c) ||
			   (c == '*' && !pattern) || (c == '.' && (i == from || last == '.')) ||
			   (c == '{' && last == '@')) {
			return false;
		}
		last = c;
	}
	return true;
}

bool ref_well_formed(struct str ref)
{
	return well_formed(ref, false);
}

int ref_pattern_parse(struct arena *a, struct str s, struct str *ret, const char **ret_why)
{
	char text[REF_MAX + 1];
	struct str path = { text, s.n + 1 };

	*ret_why = "write whole names: refs/heads/main, refs/tags/v*, refs/heads/bot/**";
	if (!well_formed(s, true))
		return -EINVAL;
	text[0] = '/';
	memcpy(text + 1, s.p, s.n);
	if (path_pattern_check(path, ret_why) < 0)
		return -EINVAL;
	*ret = arena_str(a, path);
	return 0;
}

bool ref_pattern_fits(struct str pattern, struct str ref)
{
	char text[REF_MAX + 1];

	if (ref.n > REF_MAX)
		return false;
	text[0] = '/';
	memcpy(text + 1, ref.p, ref.n);
	return path_pattern_fits(pattern, (struct str){ text, ref.n + 1 });
}
