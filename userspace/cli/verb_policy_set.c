/* SPDX-License-Identifier: Apache-2.0 */
/* The files of `egret policy`, read with the caller's rights and compiled in this process by the
 * code that egretd's compiler runs. */
#include "cli/verb_policy.h"
#include "cli/sources.h"
#include "policy/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A credential names a provider, a policy has rules; what is broken is read as a policy, whose
 * loader says how. */
static bool is_credential(struct str text)
{
	struct diag_file f = { .name = STR("-"), .text = text };
	struct arena a;
	struct diag d;
	struct node *root;
	bool yes;

	arena_init(&a, 256u << 20);
	diag_init(&d);
	root = json_load(&a, &f, &d);
	yes = root && node_get(root, "provider") && !node_get(root, "rules");
	diag_done(&d);
	arena_done(&a);
	return yes;
}

static int read_file(int fd, const char *name, struct buf *to)
{
	off_t at = 0;

	for (;;) {
		ssize_t k;

		if (buf_reserve(to, 4096) < 0)
			return cli_fail(2, "%s: larger than 1 MiB", name);
		k = pread(fd, to->p + to->n, to->size - to->n, at);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return cli_fail(2, "%s: %s", name, strerror(errno));
		if (k == 0)
			return 0;
		to->n += (size_t)k;
		at += k;
	}
}

/* What the list has more than the set. Closed at once: a process may have fewer descriptors than
 * there are files. */
static int read_more(struct policy_set *s, struct source_list *l)
{
	for (unsigned i = (unsigned)s->n; i < l->n; i++) {
		struct source *src = &s->sources[s->n];
		int r;

		buf_init(&s->texts[s->n], SOURCE_SIZE_MAX + 8192);
		s->names[s->n] = mem_dup(str_of(l->at[i].name));
		s->n++;
		r = read_file(l->at[i].fd, l->at[i].name, &s->texts[s->n - 1]);
		cleanup_close_p(&l->at[i].fd);
		l->at[i].fd = -1;
		if (r)
			return r;
		src->name = str_of(s->names[s->n - 1]);
		src->text = buf_str(&s->texts[s->n - 1]);
		src->kind = strcmp(l->at[i].kind, "include") == 0 ? SOURCE_INCLUDE
			    : is_credential(src->text)		  ? SOURCE_CREDENTIAL
								  : SOURCE_POLICY;
	}
	return 0;
}

int policy_set_open(struct policy_set *s, const char *const *files, size_t n, bool quiet)
{
	struct source_list l = { .max = COMPILE_SOURCES_MAX };
	struct str errors;
	int r = 0;

	*s = (struct policy_set){ 0 };
	s->sources = mem_new(COMPILE_SOURCES_MAX * sizeof(*s->sources));
	s->names = mem_new(COMPILE_SOURCES_MAX * sizeof(*s->names));
	s->texts = mem_new(COMPILE_SOURCES_MAX * sizeof(*s->texts));
	for (size_t i = 0; i < n && r == 0; i++) {
		r = sources_policy(&l, files[i]);
		if (r < 0)
			r = read_more(s, &l);
	}
	sources_done(&l);
	if (r)
		return r;
	if (policy_compile(s->sources, s->n, 0, &s->compiled) == 0)
		return 0;
	errors = buf_str(&s->compiled.errors.text);
	if (!quiet)
		fprintf(stderr, "%.*s", STR_ARG(errors));
	return 2;
}

void policy_set_done(struct policy_set *s)
{
	compiled_done(&s->compiled);
	for (size_t i = 0; i < s->n; i++) {
		buf_done(&s->texts[i]);
		free(s->names[i]);
	}
	free(s->sources);
	free(s->names);
	free(s->texts);
	*s = (struct policy_set){ 0 };
}

bool job_fact_add(struct job_facts *f, struct str text)
{
	static const char *const keys[] = { "provider",	   "org",   "repo",  "repo_id",
					    "ref",	   "sha",   "event", "fork",
					    "workflow",	   "job",   "stage", "run_id",
					    "environment", "actor", "runner" };
	const char *eq = text.n ? memchr(text.p, '=', text.n) : NULL;
	struct str key;

	if (!eq || f->n == FACTS_MAX) {
		cli_fail(2, "a fact is written key=value, e.g. repo=acme/web");
		return false;
	}
	key = (struct str){ text.p, (size_t)(eq - text.p) };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!str_is(key, keys[i]))
			continue;
		f->list[f->n++] = (struct fact){ key, { eq + 1, text.n - key.n - 1 } };
		return true;
	}
	cli_fail(2, "no fact is named \"%.*s\"; see egret-policy(5) for those that \"for\" knows",
		 STR_ARG(key));
	return false;
}

int policy_set_pick(const struct policy_set *s, const struct job_facts *f, struct policy *ret)
{
	/* What somebody asks about is taken as the CI server would sign it. */
	struct facts facts = { f->list, f->n, ASSURANCE_SIGNED };
	int64_t priority, best_priority = 0;
	int best = -1;
	bool tie = false;

	if (s->compiled.npolicies == 0)
		return -EINVAL;
	if (f->n == 0)
		return policy_open(s->compiled.policies[0], ret);
	for (uint32_t i = 0; i < s->compiled.npolicies; i++) {
		struct policy p;
		int keys;

		if (policy_open(s->compiled.policies[i], &p) < 0)
			return -EINVAL;
		keys = policy_for(&p, &facts, &priority);
		if (keys < 0)
			continue;
		if (keys > best || (keys == best && priority > best_priority)) {
			best = keys;
			best_priority = priority;
			*ret = p;
			tie = false;
		} else if (keys == best && priority == best_priority) {
			tie = true;
		}
	}
	return best < 0 ? -ENOENT : tie ? -ENOTUNIQ : 0;
}
