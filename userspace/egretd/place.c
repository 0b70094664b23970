/* SPDX-License-Identifier: Apache-2.0 */
/* See place.h. One table of shapes; everything else is bounds. */
#include "egretd/place.h"
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>

#define ID_DIGITS 64
#define SLICE_LEVELS 16

/* prefix<id>suffix, where the id has 64 digits, or (any) is what a client of containerd chose. The
 * bare id comes last: of its parent it is known whose it is. */
static const struct shape {
	const char *prefix, *suffix, *engine;
} shapes[] = {
	{ "docker-", ".scope", "docker" },
	{ "libpod-", ".scope", "podman" },
	{ "libpod-", "", "podman" },
	{ "cri-containerd-", ".scope", "containerd" },
	{ "nerdctl-", ".scope", "containerd" },
	{ "crio-", ".scope", "crio" },
	{ "crio-", "", "crio" },
	{ "", "", "" },
};

static bool is_id64(struct str s)
{
	if (s.n != ID_DIGITS)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return true;
}

static bool ends(struct str s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && !memcmp(s.p + s.n - n, with, n);
}

/* Names that clients of containerd give: what its own rule for identifiers allows, no more. */
static bool is_name(struct str s)
{
	if (!s.n || s.n >= PLACE_ID_MAX || ends(s, ".scope") || ends(s, ".service") ||
	    ends(s, ".slice"))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool word =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!word && (i == 0 || i + 1 == s.n || (c != '-' && c != '_' && c != '.')))
			return false;
	}
	return true;
}

/* The next component from *at on; false at the end. Empty ones are passed over. */
static bool component(struct str path, size_t *at, struct str *ret)
{
	size_t from = *at, to;

	while (from < path.n && path.p[from] == '/')
		from++;
	to = from;
	while (to < path.n && path.p[to] != '/')
		to++;
	*at = to;
	*ret = (struct str){ path.p + from, to - from };
	return to > from;
}

static bool inside(struct str s, const struct shape *shape, struct str *ret)
{
	size_t before = strlen(shape->prefix), after = strlen(shape->suffix);

	if (s.n <= before + after || memcmp(s.p, shape->prefix, before) != 0 ||
	    memcmp(s.p + s.n - after, shape->suffix, after) != 0)
		return false;
	*ret = (struct str){ s.p + before, s.n - before - after };
	return true;
}

/* PREFIX:<id> is what containerd's CRI writes without systemd's driver ("cri-containerd:<id>"), and
 * what runc leaves of systemd's form on a host without systemd ("system.slice:docker:<id>"). */
static const char *colon_engine(struct str prefix)
{
	static const char *const known[][2] = { { "docker", "docker" },
						{ "libpod", "podman" },
						{ "cri-containerd", "containerd" },
						{ "nerdctl", "containerd" },
						{ "crio", "crio" } };

	for (size_t i = prefix.n; i > 0; i--)
		if (prefix.p[i - 1] == ':') {
			prefix = (struct str){ prefix.p + i, prefix.n - i };
			break;
		}
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_is(prefix, known[i][0]))
			return known[i][1];
	return "";
}

static bool component_id(struct str s, struct str parent, struct place *ret)
{
	const char *engine = NULL;
	struct str id = { 0 };

	for (size_t i = s.n; i > 0 && !engine; i--)
		if (s.p[i - 1] == ':') {
			id = (struct str){ s.p + i, s.n - i };
			engine = colon_engine((struct str){ s.p, i - 1 });
			if (!is_id64(id) && !is_name(id))
				return false;
		}
	for (size_t i = 0; i < ARRAY_SIZE(shapes) && !engine; i++)
		if (inside(s, &shapes[i], &id) && is_id64(id)) {
			engine = shapes[i].engine;
			if (!*engine && str_is(parent, "docker"))
				engine = "docker";
		}
	if (!engine)
		return false;
	memcpy(ret->id, id.p, id.n);
	ret->id[id.n] = 0;
	ret->engine = engine;
	return true;
}

static bool is_clean(struct str path)
{
	if (!path.n || path.n >= PATH_MAX)
		return false;
	for (size_t i = 0; i < path.n; i++)
		if ((unsigned char)path.p[i] < ' ' || path.p[i] == 0x7f)
			return false;
	return true;
}

int place_container(struct str path, struct place *ret)
{
	struct str s, parent = { "", 0 };
	bool found = false;
	size_t at = 0;

	/* Of a cgroup that is gone /proc/PID/cgroup adds this; its name may be another's by now. */
	if (!is_clean(path) || ends(path, " (deleted)"))
		return -ENOENT;
	while (component(path, &at, &s)) {
		if (str_is(s, ".."))
			return -ENOENT; /* outside of the cgroup namespace */
		found |= component_id(s, parent, ret);
		parent = s;
	}
	return found ? 0 : -ENOENT;
}

static int add(char *to, size_t size, size_t *at, struct str a, const char *b)
{
	int n = snprintf(to + *at, size - *at, "/%.*s%s", STR_ARG(a), b);

	if (n < 0 || (size_t)n >= size - *at)
		return -EINVAL;
	*at += (size_t)n;
	return 0;
}

/* "a-b.slice" lies in "a.slice"; "-.slice" is the root. */
static int slice_expand(struct str slice, char *to, size_t size, size_t *at)
{
	unsigned levels = 0;

	if (!slice.n || str_is(slice, "-.slice"))
		return 0;
	if (slice.n <= 6 || !ends(slice, ".slice"))
		return -EINVAL;
	slice.n -= 6;
	for (size_t i = 0; i <= slice.n; i++) {
		if (i < slice.n && slice.p[i] != '-')
			continue;
		if (i == 0 || (i < slice.n && i + 1 == slice.n) || slice.p[i - 1] == '-' ||
		    ++levels > SLICE_LEVELS ||
		    add(to, size, at, (struct str){ slice.p, i }, ".slice") < 0)
			return -EINVAL;
	}
	return 0;
}

/* slice:prefix:name: the scope prefix-name.scope in that slice; a name that ends in .slice is one
 * itself (that is how pods' own cgroups are asked for). */
static int systemd_form(struct str s, const char *first, const char *second, char *to, size_t size,
			size_t *at)
{
	struct str slice = { s.p, (size_t)(first - s.p) };
	struct str prefix = { first + 1, (size_t)(second - first - 1) };
	struct str name = { second + 1, (size_t)(s.p + s.n - second - 1) };
	char scope[NAME_MAX + 1];
	int n;

	if (!name.n || memchr(s.p, '/', s.n) || memchr(name.p, ':', name.n))
		return -EINVAL;
	if (!slice.n)
		slice = STR("system.slice");
	if (slice_expand(slice, to, size, at) < 0)
		return -EINVAL;
	if (name.n > 6 && ends(name, ".slice"))
		return add(to, size, at, name, "");
	n = snprintf(scope, sizeof(scope), "%.*s%s%.*s.scope", STR_ARG(prefix), prefix.n ? "-" : "",
		     STR_ARG(name));
	if (n < 0 || (size_t)n >= sizeof(scope))
		return -EINVAL;
	return add(to, size, at, str_of(scope), "");
}

int place_oci(struct str path, char *to, size_t size)
{
	const char *first, *second = NULL;
	char whole[PATH_MAX];
	size_t at = 0, from = 0;
	struct str s;

	if (!is_clean(path))
		return -EINVAL;
	first = memchr(path.p, ':', path.n);
	if (first)
		second = memchr(first + 1, ':', (size_t)(path.p + path.n - first - 1));
	/* A path may hold colons; systemd's form holds no slash. */
	if (second && !memchr(path.p, '/', path.n)) {
		if (systemd_form(path, first, second, whole, sizeof(whole), &at) < 0)
			return -EINVAL;
	} else {
		while (component(path, &from, &s))
			if (str_is(s, "..") || str_is(s, ".") || s.n > NAME_MAX ||
			    add(whole, sizeof(whole), &at, s, "") < 0)
				return -EINVAL;
	}
	if (!at || at >= size)
		return -EINVAL;
	memcpy(to, whole, at + 1);
	return 0;
}

bool place_unit(struct str path, const char *pattern, size_t *ret_n)
{
	struct str s;
	size_t at = 0;

	if (!is_clean(path))
		return false;
	while (component(path, &at, &s)) {
		char name[NAME_MAX + 1];

		if (s.n > NAME_MAX || str_is(s, ".."))
			return false;
		if (ends(s, ".slice"))
			continue;
		memcpy(name, s.p, s.n);
		name[s.n] = 0;
		/* What is below the first that is no slice was named by whoever runs in it. */
		if (fnmatch(pattern, name, FNM_PATHNAME | FNM_NOESCAPE) != 0)
			return false;
		*ret_n = at;
		return true;
	}
	return false;
}
