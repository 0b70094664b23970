/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds what found.h names in config.json, in a process's JSON and in a container's state. Called
 * by the jailed child and by tests and the fuzzer. What it does not find in the shape that the
 * runtime's own reader needs is a fault: the container then does not start.
 */
#include "oci/found.h"

#include "oci/json.h"

#include <errno.h>
#include <stdio.h>

struct finder {
	struct json_text t;
	struct found *f;
};

static const char *const label_prefixes[] = { "com.gitlab.gitlab-runner.", "io.kubernetes.",
					      "io.podman.", "egret.", "io.container." };
static const char *const cap_sets[CAPS_SETS] = { "bounding", "effective", "inheritable",
						 "permitted", "ambient" };

static int fault(struct finder *s, uint32_t at, const char *why)
{
	s->t.fault_at = at;
	s->t.fault = why;
	return -EINVAL;
}

static struct str raw(const struct finder *s, uint32_t node)
{
	const struct json *n = &s->t.nodes[node];

	return (struct str){ s->t.text.p + n->at, n->end - n->at };
}

static bool is_null(const struct finder *s, uint32_t node)
{
	return node && s->t.nodes[node].kind == JSON_NULL;
}

/* A member that must be of this kind when it is there; null counts as absent. */
static int member(struct finder *s, uint32_t object, const char *key, uint8_t kind, uint32_t *ret)
{
	uint32_t node = 0;
	int r = object ? json_member(&s->t, object, key, &node) : 0;

	if (r < 0)
		return r;
	if (is_null(s, node))
		node = 0;
	if (node && s->t.nodes[node].kind != kind)
		return fault(s, s->t.nodes[node].at, "not of the kind that the runtime expects");
	*ret = node;
	return 0;
}

static int words_of(struct finder *s, struct str quoted, uint32_t at, struct words *ret)
{
	struct found *f = s->f;
	ssize_t n = json_decode(quoted, f->pool + f->pool_n, FOUND_POOL_MAX - f->pool_n);

	if (n < 0)
		return fault(s, at, n == -E2BIG ? "too much text" : "\\u0000 in a name");
	*ret = (struct words){ f->pool_n, (uint32_t)n };
	f->pool_n += (uint32_t)n + 1;
	return 0;
}

static int text_member(struct finder *s, uint32_t object, const char *key, struct words *ret)
{
	uint32_t node;
	int r = member(s, object, key, JSON_STRING, &node);

	return r < 0 || !node ? r : words_of(s, raw(s, node), s->t.nodes[node].at, ret);
}

static int slot_of(struct finder *s, uint32_t object, const char *key, uint8_t kind,
		   struct slot *ret)
{
	struct found *f = s->f;
	uint32_t node;
	int r = json_member(&s->t, object, key, &node);

	if (r < 0)
		return r;
	if (!node) {
		*ret = (struct slot){ .state = SLOT_ABSENT,
				      .alone = !s->t.nodes[object].first,
				      .hole = s->t.nodes[object].at + 1 };
		return 0;
	}
	*ret = (struct slot){ .state = SLOT_NULL,
			      .whole = { s->t.nodes[node].at, s->t.nodes[node].end } };
	if (is_null(s, node))
		return 0;
	if (s->t.nodes[node].kind != JSON_ARRAY)
		return fault(s, s->t.nodes[node].at, "not a list");
	ret->state = SLOT_LIST;
	ret->first = f->nitems;
	for (uint32_t i = s->t.nodes[node].first; i; i = s->t.nodes[i].next) {
		if (s->t.nodes[i].kind != kind)
			return fault(s, s->t.nodes[i].at, "not of the kind that belongs here");
		if (f->nitems == FOUND_ITEMS_MAX)
			return fault(s, s->t.nodes[i].at, "too many entries");
		f->items[f->nitems++] = (struct place){ s->t.nodes[i].at, s->t.nodes[i].end };
		ret->count++;
	}
	return 0;
}

static int read_process(struct finder *s, uint32_t process)
{
	uint32_t caps = 0;
	int r;

	if (!process)
		return fault(s, 0, "it has no process");
	r = slot_of(s, process, "env", JSON_STRING, &s->f->env);
	if (r == 0)
		r = member(s, process, "capabilities", JSON_OBJECT, &caps);
	for (unsigned i = 0; r == 0 && caps && i < CAPS_SETS; i++)
		r = slot_of(s, caps, cap_sets[i], JSON_STRING, &s->f->caps[i]);
	return r;
}

static int read_labels(struct finder *s, uint32_t top)
{
	struct found *f = s->f;
	uint32_t labels;
	int r = member(s, top, "annotations", JSON_OBJECT, &labels);

	if (r < 0 || !labels)
		return r;
	for (uint32_t i = s->t.nodes[labels].first; i; i = s->t.nodes[i].next) {
		const struct json *n = &s->t.nodes[i];
		struct str quoted = { s->t.text.p + n->key_at, n->key_end - n->key_at };
		bool wanted = false;

		for (size_t k = 0; k < ARRAY_SIZE(label_prefixes); k++) {
			size_t len = strlen(label_prefixes[k]);

			wanted |= quoted.n > len + 2 &&
				  memcmp(quoted.p + 1, label_prefixes[k], len) == 0;
		}
		/* Long ones are an engine's own state, kept in annotations: no fact of a job is. */
		if (!wanted || n->kind != JSON_STRING || quoted.n > 258 || n->end - n->at > 1026)
			continue;
		if (f->nlabels == FOUND_LABELS_MAX)
			return fault(s, n->key_at, "more than 64 annotations that concern egret");
		r = words_of(s, quoted, n->key_at, &f->label_keys[f->nlabels]);
		if (r == 0)
			r = words_of(s, raw(s, i), n->at, &f->label_values[f->nlabels]);
		if (r < 0)
			return r;
		f->nlabels++;
	}
	return 0;
}

static bool is_true(const struct finder *s, uint32_t node)
{
	return node && s->t.nodes[node].kind == JSON_WORD &&
	       s->t.text.p[s->t.nodes[node].at] == 't';
}

static int read_mount(struct finder *s, uint32_t mount, struct found_mount *ret)
{
	struct words type = { 0, 0 };
	uint32_t options = 0;
	int r = text_member(s, mount, "destination", &ret->to);

	if (r == 0)
		r = text_member(s, mount, "source", &ret->from);
	if (r == 0)
		r = text_member(s, mount, "type", &type);
	if (r == 0)
		r = member(s, mount, "options", JSON_ARRAY, &options);
	ret->bind = type.n && str_is(found_words(s->f, type), "bind");
	for (uint32_t i = options ? s->t.nodes[options].first : 0; r == 0 && i;
	     i = s->t.nodes[i].next) {
		struct str o = raw(s, i);

		ret->bind |= str_is(o, "\"bind\"") || str_is(o, "\"rbind\"");
		ret->readonly |= str_is(o, "\"ro\"") || str_is(o, "\"rro\"");
	}
	return r;
}

static int read_mounts(struct finder *s, uint32_t top)
{
	uint32_t list, n = 0;
	int r = slot_of(s, top, "mounts", JSON_OBJECT, &s->f->mounts);

	if (r < 0 || s->f->mounts.state != SLOT_LIST)
		return r;
	r = json_member(&s->t, top, "mounts", &list);
	for (uint32_t i = s->t.nodes[list].first; r == 0 && i; i = s->t.nodes[i].next) {
		if (n == FOUND_MOUNTS_MAX)
			return fault(s, s->t.nodes[i].at, "more than 1024 mounts");
		r = read_mount(s, i, &s->f->mount_of[n++]);
	}
	return r;
}

static int read_hooks(struct finder *s, uint32_t top)
{
	struct found *f = s->f;
	uint32_t hooks, list, n = 0;
	int r = json_member(&s->t, top, "hooks", &hooks);

	if (r < 0)
		return r;
	if (!hooks) {
		f->hooks_absent = true;
		f->hooks = (struct slot){ .hole = s->t.nodes[top].at + 1,
					  .alone = !s->t.nodes[top].first };
		return 0;
	}
	if (is_null(s, hooks)) {
		f->hooks_null = true;
		f->hooks =
			(struct slot){ .state = SLOT_NULL,
				       .whole = { s->t.nodes[hooks].at, s->t.nodes[hooks].end } };
		return 0;
	}
	if (s->t.nodes[hooks].kind != JSON_OBJECT)
		return fault(s, s->t.nodes[hooks].at, "hooks is not an object");
	r = slot_of(s, hooks, "createRuntime", JSON_OBJECT, &f->hooks);
	if (r < 0 || f->hooks.state != SLOT_LIST)
		return r;
	r = json_member(&s->t, hooks, "createRuntime", &list);
	for (uint32_t i = s->t.nodes[list].first; r == 0 && i; i = s->t.nodes[i].next) {
		if (n == FOUND_HOOKS_MAX)
			return fault(s, s->t.nodes[i].at, "more than 64 hooks");
		r = text_member(s, i, "path", &f->hook_of[n++]);
	}
	return r;
}

static int read_config(struct finder *s, uint32_t top)
{
	struct found *f = s->f;
	uint32_t process = 0, linux_part = 0, root = 0, readonly = 0;
	int r = member(s, top, "process", JSON_OBJECT, &process);

	if (r == 0)
		r = read_process(s, process);
	if (r == 0)
		r = read_mounts(s, top);
	if (r == 0)
		r = read_hooks(s, top);
	if (r == 0)
		r = read_labels(s, top);
	if (r == 0)
		r = member(s, top, "linux", JSON_OBJECT, &linux_part);
	if (r == 0)
		r = text_member(s, linux_part, "cgroupsPath", &f->cgroup);
	if (r == 0)
		r = member(s, top, "root", JSON_OBJECT, &root);
	if (r == 0)
		r = text_member(s, root, "path", &f->root);
	if (r == 0)
		r = member(s, root, "readonly", JSON_WORD, &readonly);
	f->root_readonly = is_true(s, readonly);
	return r;
}

static int read_state(struct finder *s, uint32_t top)
{
	uint32_t pid;
	int r = text_member(s, top, "id", &s->f->id);

	if (r == 0)
		r = text_member(s, top, "bundle", &s->f->bundle);
	if (r == 0)
		r = member(s, top, "pid", JSON_NUMBER, &pid);
	if (r == 0 && (!pid || str_u64(raw(s, pid), &s->f->pid) < 0 || !s->f->pid))
		r = fault(s, pid ? s->t.nodes[pid].at : 0, "it names no pid");
	if (r == 0 && (!s->f->id.n || !s->f->bundle.n))
		r = fault(s, 0, "it names no id or no bundle");
	return r;
}

void found_read(enum found_kind kind, struct str text, struct found *f)
{
	struct finder s = { .f = f };
	int r = json_read(text, &s.t);

	if (r == 0 && s.t.nodes[1].kind != JSON_OBJECT)
		r = fault(&s, s.t.nodes[1].at, "not an object");
	if (r == 0)
		r = kind == FOUND_CONFIG    ? read_config(&s, 1)
		    : kind == FOUND_PROCESS ? read_process(&s, 1)
					    : read_state(&s, 1);
	if (r < 0) {
		f->fault_at = s.t.fault_at;
		snprintf(f->fault, sizeof(f->fault), "%s", s.t.fault ? s.t.fault : strerror(-r));
	}
	f->r = r;
	json_done(&s.t);
}

struct str found_words(const struct found *f, struct words w)
{
	return (struct str){ f->pool + w.at, w.n };
}
