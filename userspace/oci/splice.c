/* SPDX-License-Identifier: Apache-2.0 */
/* See splice.h. Called by create.c and exec.c with the engine's text, which it never parses: it
 * compares bytes at places and copies. */
#include "oci/splice.h"

#include "trust/trust.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct edit {
	uint32_t at, end;
	uint32_t order;
	struct str text;
};

struct splicer {
	struct arena a;
	struct str text;
	const struct found *f;
	struct edit *edits;
	uint32_t n, room;
	char *why;
	size_t size;
};

static int fault(struct splicer *s, uint32_t at, const char *what)
{
	snprintf(s->why, s->size, "at byte %u: %s", at, what);
	return -EINVAL;
}

static void edit(struct splicer *s, uint32_t at, uint32_t end, struct str text)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		s->edits = realloc(s->edits, s->room * sizeof(*s->edits));
		if (!s->edits)
			die("out of memory");
	}
	s->edits[s->n] = (struct edit){ at, end, s->n, text };
	s->n++;
}

static struct str item(const struct splicer *s, const struct slot *slot, uint32_t i)
{
	struct place p = s->f->items[slot->first + i];

	return (struct str){ s->text.p + p.at, p.end - p.at };
}

static bool is_quoted(struct str q)
{
	if (q.n < 2 || q.p[0] != '"')
		return false;
	for (size_t i = 1; i + 1 < q.n; i++) {
		if (q.p[i] == '"')
			return false;
		if (q.p[i] == '\\' && ++i + 1 >= q.n)
			return false;
	}
	return q.p[q.n - 1] == '"';
}

static struct str join(struct splicer *s, struct str a, struct str b, struct str c)
{
	char *p = arena_new(&s->a, a.n + b.n + c.n + 1);

	if (a.n)
		memcpy(p, a.p, a.n);
	if (b.n)
		memcpy(p + a.n, b.p, b.n);
	if (c.n)
		memcpy(p + a.n + b.n, c.p, c.n);
	return (struct str){ p, a.n + b.n + c.n };
}

static int check_slot(struct splicer *s, const struct slot *slot, char open)
{
	const char *p = s->text.p;

	if (slot->state == SLOT_ABSENT)
		return slot->hole && p[slot->hole - 1] == '{' ? 0
							      : fault(s, slot->hole, "no object");
	if (slot->state == SLOT_NULL)
		return slot->whole.end - slot->whole.at == 4 &&
				       !memcmp(p + slot->whole.at, "null", 4)
			       ? 0
			       : fault(s, slot->whole.at, "not null");
	if (p[slot->whole.at] != '[' || p[slot->whole.end - 1] != ']')
		return fault(s, slot->whole.at, "not a list");
	for (uint32_t i = 0; i < slot->count; i++) {
		struct str one = item(s, slot, i);

		if (open == '"' ? !is_quoted(one) : one.p[0] != '{' || one.p[one.n - 1] != '}')
			return fault(s, s->f->items[slot->first + i].at, "not what belongs here");
	}
	return 0;
}

/* Leaves out the marked elements of a list and puts `more` behind the rest. */
static void edit_list(struct splicer *s, const struct slot *slot, const bool *drop, struct str more)
{
	const struct place *items = s->f->items + slot->first;
	uint32_t kept = 0, from, i, first;
	bool any = false;

	/* Runs of dropped elements in front of a kept one. */
	for (i = 0; i < slot->count; i++) {
		if (drop[i])
			continue;
		first = any ? kept + 1 : 0;
		if (first < i)
			edit(s, any ? items[kept].end : items[0].at,
			     any ? items[i - 1].end : items[i].at, STR(""));
		kept = i;
		any = true;
	}
	from = any ? items[kept].end : slot->count ? items[0].at : slot->whole.at + 1;
	i = slot->count && drop[slot->count - 1] ? items[slot->count - 1].end : from;
	if (more.n)
		more = join(s, any ? STR(",") : STR(""), more, STR(""));
	if (i > from || more.n)
		edit(s, from, i, more);
}

static void edit_slot(struct splicer *s, const struct slot *slot, const char *key, const bool *drop,
		      struct str more)
{
	struct str list;

	if (slot->state == SLOT_LIST) {
		edit_list(s, slot, drop, more);
		return;
	}
	if (!more.n)
		return;
	list = join(s, STR("["), more, STR("]"));
	if (slot->state == SLOT_ABSENT) {
		char name[32];

		snprintf(name, sizeof(name), "\"%s\":", key);
		list = join(s, str_of(name), list, slot->alone ? STR("") : STR(","));
		edit(s, slot->hole, slot->hole, list);
	} else {
		edit(s, slot->whole.at, slot->whole.end, list);
	}
}

/* ---- environment ---- */

static bool names(struct str entry, const char *name, size_t n)
{
	return entry.n > n + 2 && !memcmp(entry.p + 1, name, n) && entry.p[n + 1] == '=';
}

static bool is_proxy(struct str entry)
{
	char name[64];
	const char *end = memchr(entry.p, '=', entry.n);
	size_t n = end ? (size_t)(end - entry.p) : 0;

	if (!n || n > sizeof(name) - 1)
		return false;
	memcpy(name, entry.p + 1, n); /* with its '=' */
	name[n] = 0;
	return trust_is_proxy(name);
}

static bool is_trust(struct str entry)
{
	for (const struct trust_variable *v = trust_variables; v->name; v++)
		if (names(entry, v->name, strlen(v->name)))
			return true;
	return false;
}

static bool is_java(struct str entry)
{
	return names(entry, TRUST_JAVA_VARIABLE, strlen(TRUST_JAVA_VARIABLE));
}

static bool goes(const struct splice *want, struct str entry)
{
	if (is_proxy(entry) || is_trust(entry) || names(entry, "npm_config_cafile", 17))
		return true;
	for (char *const *e = want->env; *e; e++) {
		const char *end = strchr(*e, '=');

		if (end && names(entry, *e, (size_t)(end - *e)))
			return true;
	}
	return false;
}

static int edit_env(struct splicer *s, const struct splice *want)
{
	const struct slot *slot = &s->f->env;
	bool *drop = arena_new(&s->a, slot->count + 1), java = false;
	struct buf more;
	int r = 0;

	buf_init(&more, OCI_CONFIG_MAX);
	for (uint32_t i = 0; i < slot->count; i++) {
		struct str entry = item(s, slot, i);
		uint32_t end = s->f->items[slot->first + i].end - 1;

		if (!is_java(entry) || !want->java) {
			drop[i] = goes(want, entry);
			continue;
		}
		java = true;
		if (!memmem(entry.p, entry.n, want->java, strlen(want->java)))
			edit(s, end, end, join(s, STR(" "), str_of(want->java), STR("")));
	}
	for (char *const *e = want->env; *e && r == 0; e++) {
		if (java && !strncmp(*e, TRUST_JAVA_VARIABLE "=", sizeof(TRUST_JAVA_VARIABLE)))
			continue;
		if (more.n)
			r = buf_add(&more, ",", 1);
		if (r == 0)
			r = splice_quote(&more, str_of(*e));
	}
	if (r == 0)
		edit_slot(s, slot, "env", drop, arena_str(&s->a, buf_str(&more)));
	buf_done(&more);
	return r;
}

char **splice_env_set(struct arena *a, struct str text, const struct found *f)
{
	char **list = arena_new(a, (f->env.count + 1) * sizeof(char *));
	size_t n = 0;

	for (uint32_t i = 0; i < f->env.count; i++) {
		struct place p = f->items[f->env.first + i];
		struct str entry = { text.p + p.at, p.end - p.at };

		if (entry.n < 2 || memchr(entry.p, '\\', entry.n) || !is_trust(entry))
			continue;
		list[n++] = (char *)arena_str(a, (struct str){ entry.p + 1, entry.n - 2 }).p;
	}
	return list;
}

bool splice_env_has(struct str text, const struct found *f, const char *name)
{
	for (uint32_t i = 0; i < f->env.count; i++) {
		struct place p = f->items[f->env.first + i];

		if (names((struct str){ text.p + p.at, p.end - p.at }, name, strlen(name)))
			return true;
	}
	return false;
}

/* ---- capabilities, mounts, hooks ---- */

static bool is_cap(struct str quoted, const char *name)
{
	struct str c = { quoted.p + 1, quoted.n - 2 };

	if (c.n > 4 && !strncasecmp(c.p, "CAP_", 4))
		c = (struct str){ c.p + 4, c.n - 4 };
	return c.n == strlen(name) && !strncasecmp(c.p, name, c.n);
}

static int edit_caps(struct splicer *s, const struct splice *want)
{
	for (unsigned i = 0; i < CAPS_SETS; i++) {
		const struct slot *slot = &s->f->caps[i];
		bool *drop;
		int r;

		if (slot->state != SLOT_LIST)
			continue;
		r = check_slot(s, slot, '"');
		if (r < 0)
			return r;
		drop = arena_new(&s->a, slot->count + 1);
		for (uint32_t k = 0; k < slot->count; k++) {
			struct str cap = item(s, slot, k);

			if (memchr(cap.p, '\\', cap.n))
				return fault(s, s->f->items[slot->first + k].at,
					     "a capability with an escape in its name");
			drop[k] = (!want->net_raw && is_cap(cap, "NET_RAW")) ||
				  (!want->net_admin && is_cap(cap, "NET_ADMIN"));
		}
		edit_list(s, slot, drop, STR(""));
	}
	return 0;
}

static void edit_mounts(struct splicer *s, const struct splice *want)
{
	const struct slot *slot = &s->f->mounts;
	bool *drop = arena_new(&s->a, slot->count + 1);

	for (uint32_t i = 0; i < slot->count; i++) {
		struct str from = found_words(s->f, s->f->mount_of[i].from);

		drop[i] = want->hidden && want->hidden[i];
		drop[i] |= want->our_folder.n && from.n > want->our_folder.n &&
			   !memcmp(from.p, want->our_folder.p, want->our_folder.n) &&
			   from.p[want->our_folder.n] == '/';
	}
	edit_slot(s, slot, "mounts", drop, want->mounts);
}

static void edit_hooks(struct splicer *s, const struct splice *want)
{
	const struct found *f = s->f;
	const struct slot *slot = &f->hooks;
	bool *drop = arena_new(&s->a, slot->count + 1);
	struct str whole;

	for (uint32_t i = 0; i < slot->count; i++)
		drop[i] = want->our_hook.n && str_eq(found_words(f, f->hook_of[i]), want->our_hook);
	if (!f->hooks_absent && !f->hooks_null) {
		edit_slot(s, slot, "createRuntime", drop, want->hook);
		return;
	}
	if (!want->hook.n)
		return;
	whole = join(s, STR("{\"createRuntime\":["), want->hook, STR("]}"));
	if (f->hooks_null)
		edit(s, slot->whole.at, slot->whole.end, whole);
	else
		edit(s, slot->hole, slot->hole,
		     join(s, STR("\"hooks\":"), whole, slot->alone ? STR("") : STR(",")));
}

/* ---- all of it ---- */

static int by_place(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static int apply(struct splicer *s, struct buf *to)
{
	uint32_t at = 0;
	int r = 0;

	if (s->n)
		qsort(s->edits, s->n, sizeof(*s->edits), by_place);
	for (uint32_t i = 0; i < s->n && r == 0; i++) {
		const struct edit *e = &s->edits[i];

		if (e->at < at || e->end < e->at || e->end > s->text.n)
			return fault(s, e->at, "two changes at one place");
		r = buf_add(to, s->text.p + at, e->at - at);
		if (r == 0 && e->text.n)
			r = buf_add_str(to, e->text);
		at = e->end;
	}
	if (r == 0)
		r = buf_add(to, s->text.p + at, s->text.n - at);
	if (r < 0)
		snprintf(s->why, s->size, "it would become too large");
	return r;
}

int splice_text(struct str text, const struct found *f, const struct splice *want, struct buf *to,
		char *why, size_t n)
{
	struct splicer s = { .text = text, .f = f, .why = why, .size = n };
	int r = 0;

	arena_init(&s.a, 64u << 20);
	if (want->env)
		r = check_slot(&s, &f->env, '"');
	if (r == 0 && want->env)
		r = edit_env(&s, want);
	if (r == 0)
		r = edit_caps(&s, want);
	/* Not in a process's JSON. */
	if (r == 0 && want->hook.n) {
		r = check_slot(&s, &f->mounts, '{');
		if (r == 0)
			r = check_slot(&s, &f->hooks, '{');
		if (r == 0)
			edit_mounts(&s, want);
		if (r == 0)
			edit_hooks(&s, want);
	}
	if (r == 0)
		r = apply(&s, to);
	free(s.edits);
	arena_done(&s.a);
	return r;
}

int splice_quote(struct buf *to, struct str s)
{
	int r = buf_add(to, "\"", 1);

	for (size_t i = 0; i < s.n && r == 0; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20)
			r = buf_addf(to, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			r = buf_addf(to, "\\%c", c);
		else
			r = buf_add(to, s.p + i, 1);
	}
	return r ? r : buf_add(to, "\"", 1);
}
