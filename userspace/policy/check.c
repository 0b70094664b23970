/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only shows when all rules of a policy stand together: two allow rules of which neither is
 * more specific, and a pass-through beside a rule that needs the connection opened. Called by
 * compile.c with the rules of one image, includes among them.
 */
#include "policy/image.h"

#include <stdlib.h>

static bool ports_overlap(const struct rule *a, const struct rule *b)
{
	for (unsigned i = 0; i < a->nports; i++)
		for (unsigned k = 0; k < b->nports; k++)
			if (a->ports[i].lo <= b->ports[k].hi && b->ports[k].lo <= a->ports[i].hi)
				return true;
	return false;
}

static bool opens(const struct rule *r)
{
	return r->scheme == SCHEME_HTTP || r->scheme == SCHEME_HTTPS;
}

static bool refs_overlap(const struct rule *a, const struct rule *b)
{
	for (unsigned i = 0; i < a->nrefs; i++)
		for (unsigned k = 0; k < b->nrefs; k++)
			if (path_pattern_overlaps(a->refs[i], b->refs[k]))
				return true;
	return !a->nrefs || !b->nrefs;
}

static bool same_outcome(const struct rule *a, const struct rule *b)
{
	return str_eq(a->credential, b->credential);
}

/* Both allow the same request and neither host, path nor methods say which one speaks. */
static bool tie(const struct rule *a, const struct rule *b)
{
	if (a->deny || b->deny || a->scheme != b->scheme || a->host.kind != b->host.kind)
		return false;
	if (a->host.kind == HOST_ADDR
		    ? a->host.prefix != b->host.prefix || memcmp(a->host.addr, b->host.addr, 16)
		    : !str_eq(a->host.name, b->host.name))
		return false;
	if (!ports_overlap(a, b))
		return false;
	if (!opens(a))
		return true;
	if (a->git || b->git) {
		/* Their refs apart, two rules still share the question for the refs that there
		 * are: it carries one credential. */
		if (!(a->git & b->git) || (!refs_overlap(a, b) && same_outcome(a, b)))
			return false;
	} else if (!(a->methods & b->methods) ||
		   __builtin_popcountll(a->methods) != __builtin_popcountll(b->methods)) {
		return false;
	}
	return path_rank(a->path) == path_rank(b->path) && path_pattern_overlaps(a->path, b->path);
}

/* Does the rule say anything about a connection that is not opened? A deny of a whole host does: it
 * refuses it. */
static bool whole_host_deny(const struct rule *r)
{
	return r->deny && !r->path.p && r->methods == METHODS_ANY;
}

static bool pass_against_open(const struct rule *pass, const struct rule *open)
{
	if (pass->deny || opens(pass) || !opens(open) || whole_host_deny(open))
		return false;
	if (pass->scheme == SCHEME_TLS && open->scheme == SCHEME_HTTP)
		return false; /* told apart by the first byte */
	if (pass->scheme == SCHEME_DIRECT_UDP)
		return false; /* http(s) is opened over TCP */
	return host_pattern_overlaps(&pass->host, &open->host) && ports_overlap(pass, open);
}

static void report(const struct load *l, const struct rule *at, const struct rule *other,
		   const char *why)
{
	diag_add(l->errors, at->file, at->at, STR("rules"), "\"%.*s\" and \"%.*s\" %s",
		 STR_ARG(other->id), STR_ARG(at->id), why);
}

/* What tells most pairs apart at once: a policy of 10,000 rules has 50 million of them. */
struct checked {
	const struct rule *r;
	uint32_t host, rank, literal; /* bytes of the path that every match begins with */
	bool opens;
};

static void prepare(const struct rule *r, struct checked *ret)
{
	const struct host_pattern *h = &r->host;
	const char *star = r->path.p ? memchr(r->path.p, '*', r->path.n) : NULL;
	struct str host = h->name;

	if (h->kind == HOST_ADDR)
		host = (struct str){ (const char *)h->addr, sizeof(h->addr) };
	*ret = (struct checked){
		.r = r, .host = HASH_START, .rank = path_rank(r->path), .opens = opens(r)
	};
	for (size_t i = 0; i < host.n; i++)
		ret->host = hash_step(ret->host, host.p[i]);
	ret->literal = (uint32_t)(star ? (size_t)(star - r->path.p) : r->path.n);
	if (star && ret->literal > 1)
		ret->literal--; /* a deep star takes its slash with it */
}

static bool apart(const struct checked *a, const struct checked *b)
{
	size_t n = a->literal < b->literal ? a->literal : b->literal;

	return a->host != b->host || a->rank != b->rank ||
	       (n && memcmp(a->r->path.p, b->r->path.p, n) != 0);
}

static void check_pair(const struct load *l, const struct checked *a, const struct checked *b)
{
	/* Between a policy and what it includes, two rules that do the same are no quarrel. */
	if (!apart(a, b) && tie(a->r, b->r) &&
	    (a->r->file == b->r->file || !same_outcome(a->r, b->r)))
		report(l, b->r, a->r,
		       "allow the same request and neither is more specific; make one of them "
		       "narrower");
	if (a->opens != b->opens &&
	    (pass_against_open(a->r, b->r) || pass_against_open(b->r, a->r)))
		report(l, b->r, a->r,
		       "name one host and port, and one of them passes it through unopened; the "
		       "other could not be judged");
}

void check_rules(const struct load *l, const struct rule *rules)
{
	cleanup_free struct checked *all = NULL;
	size_t n = 0;

	for (const struct rule *r = rules; r; r = r->next)
		n++;
	all = mem_new(n * sizeof(*all));
	n = 0;
	for (const struct rule *r = rules; r; r = r->next)
		prepare(r, &all[n++]);
	for (size_t b = 0; b < n; b++)
		for (size_t a = 0; a < b; a++) {
			check_pair(l, &all[a], &all[b]);
			if (l->errors->count >= DIAG_COUNT_MAX)
				return;
		}
}
