/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path patterns over canonical paths: '*' any run within a segment (a segment that is only '*' is
 * not empty), "**" as a whole segment any number of segments, none included. Called by the matcher
 * for every request: the path is a job's, the pattern may be any bytes of an image. No recursion,
 * no allocation; time is bounded by pattern length times path length.
 */
#include "policy/model.h"

#include <errno.h>

/* '*' within one segment. */
static bool segment_fits(const char *p, size_t pn, const char *s, size_t sn)
{
	size_t i = 0, j = 0, star = SIZE_MAX, mark = 0;

	if (pn == 1 && p[0] == '*')
		return sn > 0;
	while (j < sn) {
		if (i < pn && p[i] == '*') {
			star = i++;
			mark = j;
		} else if (i < pn && p[i] == s[j]) {
			i++;
			j++;
		} else if (star != SIZE_MAX) {
			i = star + 1;
			j = ++mark;
		} else {
			return false;
		}
	}
	while (i < pn && p[i] == '*')
		i++;
	return i == pn;
}

/* The segment at `at` (behind its slash) ends where? */
static size_t segment_end(struct str s, size_t at)
{
	const char *slash = memchr(s.p + at, '/', s.n - at);

	return slash ? (size_t)(slash - s.p) : s.n;
}

static bool is_deep(struct str p, size_t at, size_t end)
{
	return end - at == 2 && p.p[at] == '*' && p.p[at + 1] == '*';
}

bool path_pattern_fits(struct str p, struct str s)
{
	size_t i = 1, j = 1; /* behind a slash; n + 1: no segment is left */
	size_t star = SIZE_MAX, mark = 0;

	if (p.n == 0 || s.n == 0 || p.p[0] != '/' || s.p[0] != '/')
		return false;
	for (;;) {
		size_t pe = i <= p.n ? segment_end(p, i) : 0;

		if (i <= p.n && is_deep(p, i, pe)) {
			star = pe + 1;
			mark = j;
			i = star;
			if (i > p.n)
				return true; /* it takes the rest, also an empty one */
			continue;
		}
		if (j > s.n) {
			if (i > p.n)
				return true;
			return false; /* what is left of the pattern needs a segment */
		}
		if (i <= p.n) {
			size_t se = segment_end(s, j);

			if (segment_fits(p.p + i, pe - i, s.p + j, se - j)) {
				i = pe + 1;
				j = se + 1;
				continue;
			}
		}
		if (star == SIZE_MAX || mark > s.n)
			return false;
		mark = segment_end(s, mark) + 1;
		i = star;
		j = mark;
	}
}

int path_pattern_check(struct str p, const char **ret_why)
{
	unsigned stars = 0;

	if (p.n > PATTERN_MAX) {
		*ret_why = "this path is too long";
		return -EMSGSIZE;
	}
	for (size_t at = 1, end; at <= p.n; at = end + 1) {
		end = segment_end(p, at);
		for (size_t i = at; i < end; i++) {
			if (p.p[i] != '*')
				continue;
			if (++stars > 16) {
				*ret_why = "more than 16 stars in one path";
				return -EINVAL;
			}
			if (i + 1 < end && p.p[i + 1] == '*' && end - at != 2) {
				*ret_why = "** stands for whole segments only (/a/**/b)";
				return -EINVAL;
			}
		}
	}
	return 0;
}

uint32_t path_rank(struct str p)
{
	uint32_t literal = 0, kind = 3;

	if (!p.p)
		return 0;
	for (size_t at = 1, end; at <= p.n; at = end + 1) {
		end = segment_end(p, at);
		if (is_deep(p, at, end)) { /* the slash before it does not count either */
			kind = 1;
			continue;
		}
		literal++;
		for (size_t i = at; i < end; i++) {
			if (p.p[i] != '*')
				literal++;
			else if (kind == 3)
				kind = 2;
		}
	}
	return literal << 2 | kind;
}

/* Is there a string that both segments match? */
static bool segments_overlap(const char *a, size_t an, const char *b, size_t bn)
{
	bool rows[2][PATTERN_MAX + 1];
	bool *prev = rows[0], *cur = rows[1], *t;

	if (!memchr(a, '*', an) && !memchr(b, '*', bn))
		return an == bn && memcmp(a, b, an) == 0;
	if ((an == 0 && bn == 1) || (bn == 0 && an == 1))
		return false; /* '*' alone is not empty */
	/* cur[j]: a[0..i) and b[0..j) can be made the same */
	for (size_t i = 0; i <= an; i++) {
		for (size_t j = 0; j <= bn; j++) {
			bool v = i == 0 && j == 0;

			if (i && a[i - 1] == '*')
				v = v || prev[j] || (j && cur[j - 1]);
			if (j && b[j - 1] == '*')
				v = v || cur[j - 1] || (i && prev[j]);
			if (i && j && a[i - 1] == b[j - 1])
				v = v || prev[j - 1];
			cur[j] = v;
		}
		t = prev;
		prev = cur;
		cur = t;
	}
	return prev[bn];
}

#define SEGMENTS_MAX 128

static size_t split(struct str p, struct str to[SEGMENTS_MAX])
{
	size_t n = 0;

	for (size_t at = 1, end; at <= p.n && n < SEGMENTS_MAX; at = end + 1) {
		end = segment_end(p, at);
		to[n++] = (struct str){ p.p + at, end - at };
	}
	return n;
}

bool path_pattern_overlaps(struct str a, struct str b)
{
	struct str sa[SEGMENTS_MAX], sb[SEGMENTS_MAX];
	bool rows[2][SEGMENTS_MAX + 1];
	bool *prev = rows[0], *cur = rows[1], *t;
	size_t an, bn;

	if (!a.p || !b.p)
		return true;
	an = split(a, sa);
	bn = split(b, sb);
	if (an == SEGMENTS_MAX || bn == SEGMENTS_MAX)
		return true; /* not worth an exact answer: then it is a tie */
	for (size_t i = 0; i <= an; i++) {
		for (size_t j = 0; j <= bn; j++) {
			bool v = i == 0 && j == 0;
			bool deep_a = i && str_is(sa[i - 1], "**");
			bool deep_b = j && str_is(sb[j - 1], "**");

			if (deep_a)
				v = v || prev[j] || (j && cur[j - 1]);
			if (deep_b)
				v = v || cur[j - 1] || (i && prev[j]);
			if (i && j && !v && !deep_a && !deep_b && prev[j - 1])
				v = segments_overlap(sa[i - 1].p, sa[i - 1].n, sb[j - 1].p,
						     sb[j - 1].n);
			cur[j] = v;
		}
		t = prev;
		prev = cur;
		cur = t;
	}
	return prev[bn];
}

/* For facts, e.g. "refs/tags/v*": one star stops at a slash, two do not. */
bool glob_fits(struct str p, struct str s)
{
	size_t i = 0, j = 0, star = SIZE_MAX, mark = 0, deep = SIZE_MAX, deep_mark = 0;

	while (j < s.n || i < p.n) {
		if (i + 1 < p.n && p.p[i] == '*' && p.p[i + 1] == '*') {
			deep = i += 2;
			deep_mark = j;
			star = SIZE_MAX;
		} else if (i < p.n && p.p[i] == '*') {
			star = ++i;
			mark = j;
		} else if (i < p.n && j < s.n && p.p[i] == s.p[j]) {
			i++;
			j++;
		} else if (star != SIZE_MAX && mark < s.n && s.p[mark] != '/') {
			i = star;
			j = ++mark;
		} else if (deep != SIZE_MAX && deep_mark < s.n) {
			i = deep;
			j = ++deep_mark;
			star = SIZE_MAX;
		} else {
			return false;
		}
	}
	return true;
}
