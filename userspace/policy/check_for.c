/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several credentials of one name, each for other jobs: the most specific `for` wins. Here what
 * can be seen before there is a job: that two would fit some job equally well. Called by compile.c;
 * what hangs on a job's facts is egretd's to see (job_select.c).
 */
#include "policy/model.h"

/* Is there surely a text that both fit? Of two patterns with stars only what is the same. */
static bool overlap(struct str a, struct str b)
{
	bool a_glob = memchr(a.p, '*', a.n), b_glob = memchr(b.p, '*', b.n);

	if (a_glob && b_glob)
		return str_eq(a, b);
	return a_glob ? glob_fits(a, b) : glob_fits(b, a);
}

static bool conds_overlap(const struct for_cond *a, const struct for_cond *b)
{
	for (unsigned i = 0; i < a->nvalues; i++)
		for (unsigned k = 0; k < b->nvalues; k++)
			if (overlap(a->values[i], b->values[k]))
				return true;
	return false;
}

static bool entries_tie(const struct for_entry *a, const struct for_entry *b)
{
	if (a->any != b->any || a->nconds != b->nconds)
		return false;
	for (const struct for_cond *x = a->conds; x; x = x->next) {
		const struct for_cond *y = b->conds;

		while (y && y->key != x->key)
			y = y->next;
		if (!y || !conds_overlap(x, y))
			return false;
	}
	return true;
}

bool fors_tie(const struct for_entry *a, const struct for_entry *b)
{
	for (; a; a = a->next)
		for (const struct for_entry *o = b; o; o = o->next)
			if (entries_tie(a, o))
				return true;
	return false;
}
