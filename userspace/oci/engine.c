/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which engine called, where --egret-engine does not say it: containerd's BinaryName and BuildKit's
 * `binary` take no arguments. The runtime's own command line comes first, as the engine alone wrote
 * it; annotations can be a user's words. Pure.
 */
#include "oci/oci.h"

static bool is_buildkit(const struct args *a)
{
	size_t n = strlen(a->id);

	/* A step has no engine's create and start: it is run, with an id of BuildKit's own form. */
	if (a->verb != VERB_RUN)
		return false;
	if (strstr(a->bundle, "/executor/") && strstr(a->bundle, "buildkit"))
		return true;
	return n == 25 && strspn(a->id, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

static const char *of_root(const char *root)
{
	size_t n = strlen(root);
	const char *last;

	while (n > 1 && root[n - 1] == '/')
		n--;
	for (last = root + n; last > root && last[-1] != '/'; last--)
		;
	/* dockerd's namespace in containerd, whichever of the two keeps the folder. */
	if ((size_t)(root + n - last) == 4 && !memcmp(last, "moby", 4))
		return "docker";
	if (strstr(root, "/containerd/"))
		return "containerd";
	if (!strncmp(root, "/run/user/", 10) || strstr(root, "/libpod/"))
		return "podman";
	return NULL;
}

static const char *of_annotations(const struct found *f)
{
	for (uint32_t i = 0; i < f->nlabels; i++) {
		struct str key = found_words(f, f->label_keys[i]);
		struct str value = found_words(f, f->label_values[i]);

		if (str_is(key, "io.container.manager"))
			return str_is(value, "libpod")	? "podman"
			       : str_is(value, "cri-o") ? "crio"
							: NULL;
		if (str_starts(key, "io.kubernetes.cri-o."))
			return "crio";
		if (str_starts(key, "io.kubernetes.cri."))
			return "containerd";
	}
	return NULL;
}

const char *engine_called(const struct args *a, const struct found *f)
{
	const char *engine = NULL;

	if (a->engine && *a->engine)
		return a->engine;
	if (a->id && is_buildkit(a))
		return "buildkit";
	if (a->root)
		engine = of_root(a->root);
	return !engine && f ? of_annotations(f) : engine;
}
