/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's command line, as far as egret-runc has to understand it. Called by main.c with what
 * an engine gave. An option of create, run or exec that is not known here could take the next word
 * as its value, and then the bundle or the id would be guessed: it is refused. What other
 * sub-commands say is not read.
 */
#include "oci/oci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct option {
	const char *name; /* without dashes */
	bool value;
};

static const struct option global_options[] = {
	{ "root", true },
	{ "log", true },
	{ "log-format", true },
	{ "log-level", true },
	{ "criu", true },
	{ "rootless", true },
	{ "cgroup-manager", true },
	{ "debug", false },
	{ "systemd-cgroup", false },
	{ "help", false },
	{ "h", false },
	{ "version", false },
	{ "v", false },
	{ NULL, false },
};
static const struct option create_options[] = {
	{ "bundle", true },
	{ "b", true },
	{ "console-socket", true },
	{ "pid-file", true },
	{ "preserve-fds", true },
	{ "no-pivot", false },
	{ "no-new-keyring", false },
	{ "no-subreaper", false },
	{ "detach", false },
	{ "d", false },
	{ "keep", false },
	{ "help", false },
	{ "h", false },
	{ "pidfd-socket", true },
	{ NULL, false },
};
static const struct option exec_options[] = {
	{ "process", true },
	{ "p", true },
	{ "console-socket", true },
	{ "cwd", true },
	{ "env", true },
	{ "e", true },
	{ "tty", false },
	{ "t", false },
	{ "user", true },
	{ "u", true },
	{ "additional-gids", true },
	{ "g", true },
	{ "detach", false },
	{ "d", false },
	{ "pid-file", true },
	{ "process-label", true },
	{ "apparmor", true },
	{ "no-new-privs", false },
	{ "preserve-fds", true },
	{ "cgroup", true },
	{ "ignore-paused", false },
	{ "no-subreaper", false },
	{ "pidfd-socket", true },
	{ "help", false },
	{ "h", false },
	{ NULL, false },
};
static const struct option delete_options[] = {
	{ "force", false }, { "f", false }, { "help", false }, { "h", false }, { NULL, false },
};
static const struct option pause_options[] = {
	{ "help", false },
	{ "h", false },
	{ NULL, false },
};

struct word {
	const struct option *o; /* NULL: not an option that is known */
	bool dashed;
	bool ends; /* "--" */
	const char *value;
};

/* "-name" and "--name" are one, as the runtime reads them; "=value" may be in the same word. */
static struct word word_of(const char *s, const struct option *options)
{
	struct word w = { .dashed = s[0] == '-' && s[1] };
	const char *equals;
	size_t n;

	if (!w.dashed)
		return w;
	w.ends = !strcmp(s, "--");
	s += s[1] == '-' ? 2 : 1;
	equals = strchr(s, '=');
	n = equals ? (size_t)(equals - s) : strlen(s);
	w.value = equals ? equals + 1 : NULL;
	for (; options->name && !w.o; options++)
		if (strlen(options->name) == n && !memcmp(options->name, s, n))
			w.o = options;
	return w;
}

bool oci_id_ok(const char *id)
{
	size_t n = strlen(id);

	return n > 0 && n <= OCI_ID_MAX && strcmp(id, ".") != 0 && strcmp(id, "..") != 0 &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+,-.") ==
		       n;
}

static enum verb verb_of(const char *s)
{
	static const struct {
		const char *name;
		enum verb verb;
	} verbs[] = {
		{ "create", VERB_CREATE }, { "run", VERB_RUN },	      { "restore", VERB_RUN },
		{ "exec", VERB_EXEC },	   { "delete", VERB_DELETE }, { "hook", VERB_HOOK },
		{ "pause", VERB_PAUSE },   { "resume", VERB_RESUME },
	};

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(s, verbs[i].name))
			return verbs[i].verb;
	return VERB_OTHER;
}

static bool is_named(const char *arg, const char *option, const char **ret)
{
	size_t n = strlen(option);

	if (strncmp(arg, option, n) != 0 || arg[n] != '=')
		return false;
	*ret = arg + n + 1;
	return true;
}

/* Options before the sub-command. Returns the sub-command's index, argc when there is none. */
static int read_global(int argc, char **argv, struct args *a, char *why, size_t n)
{
	int i;

	for (i = 1; i < argc; i++) {
		struct word w = word_of(argv[i], global_options);

		if (is_named(argv[i], "--egret-runtime", &a->runtime) ||
		    is_named(argv[i], "--egret-run-dir", &a->run_dir) ||
		    is_named(argv[i], "--egret-engine", &a->engine))
			continue;
		a->rest[a->nrest++] = argv[i];
		if (!w.dashed)
			return i;
		if (w.ends || (!w.o && !w.value)) {
			/* Whether the next word is its value, nobody knows. */
			for (int k = i + 1; k < argc; k++) {
				enum verb v = verb_of(argv[k]);

				if (v != VERB_CREATE && v != VERB_RUN && v != VERB_EXEC)
					continue;
				snprintf(why, n,
					 "the option %s is not known, and %s may be its value",
					 argv[i], argv[i + 1]);
				return -EINVAL;
			}
			while (++i < argc)
				a->rest[a->nrest++] = argv[i];
			return argc;
		}
		if (!w.o)
			continue;
		if (w.o->value && !w.value) {
			if (++i >= argc)
				return argc;
			w.value = argv[i];
			a->rest[a->nrest++] = argv[i];
		}
		if (!strcmp(w.o->name, "root"))
			a->root = w.value;
		else if (!strcmp(w.o->name, "log"))
			a->log = w.value;
		else if (!strcmp(w.o->name, "log-format"))
			a->log_json = !strcmp(w.value, "json");
	}
	return argc;
}

static void take(struct args *a, const struct word *w, bool joined)
{
	const char *name = w->o->name;

	if (!strcmp(name, "bundle") || !strcmp(name, "b"))
		a->bundle = w->value;
	else if (!strcmp(name, "detach") || !strcmp(name, "d"))
		a->detach = !w->value || strcmp(w->value, "false") != 0;
	else if (!strcmp(name, "process") || !strcmp(name, "p")) {
		a->process = w->value;
		a->process_at = a->nrest - 1;
		a->process_joined = joined;
	}
}

/* Options and the id of one sub-command; the rest is copied. */
static int read_own(int argc, char **argv, int i, const struct option *options, struct args *a,
		    char *why, size_t n)
{
	a->insert_at = a->nrest;
	for (; i < argc; i++) {
		struct word w = word_of(argv[i], options);
		bool joined = w.value;

		a->rest[a->nrest++] = argv[i];
		if (w.ends) {
			i++;
			break;
		}
		if (!w.dashed)
			break;
		if (!w.o) {
			snprintf(why, n, "the option %s of %s is not known to egret-runc", argv[i],
				 a->rest[a->insert_at - 1]);
			return -EINVAL;
		}
		if (w.o->value && !w.value) {
			if (i + 1 >= argc) {
				snprintf(why, n, "the option %s needs a value", argv[i]);
				return -EINVAL;
			}
			w.value = argv[++i];
			a->rest[a->nrest++] = argv[i];
		}
		take(a, &w, joined);
	}
	if (i < argc) {
		if (a->rest[a->nrest - 1] != argv[i])
			a->rest[a->nrest++] = argv[i];
		a->id = argv[i++];
	}
	for (; i < argc; i++)
		a->rest[a->nrest++] = argv[i];
	return 0;
}

static int read_hook(int argc, char **argv, int i, struct args *a, char *why, size_t n)
{
	for (; i < argc; i++) {
		if (is_named(argv[i], "--egret-run-dir", &a->run_dir) ||
		    is_named(argv[i], "--egret-engine", &a->engine))
			continue;
		if (strcmp(argv[i], "--spliced") != 0) {
			snprintf(why, n, "the hook does not know %s", argv[i]);
			return -EINVAL;
		}
		a->spliced = true;
	}
	return 0;
}

static bool asks_help(const struct args *a)
{
	for (int i = a->insert_at; i < a->nrest; i++)
		if (!strcmp(a->rest[i], "--help") || !strcmp(a->rest[i], "-h"))
			return true;
	return false;
}

int args_read(int argc, char **argv, struct args *ret, char *why, size_t n)
{
	struct args *a = ret;
	int i, r = 0;

	*a = (struct args){ .run_dir = OCI_RUN_DIR, .bundle = "." };
	a->rest = mem_new(((size_t)argc + 256) * sizeof(char *));
	a->rest[a->nrest++] = argv[0];
	i = read_global(argc, argv, a, why, n);
	if (i < 0)
		return i;
	if (a->run_dir[0] != '/' || strlen(a->run_dir) > 90) {
		snprintf(why, n, "--egret-run-dir must be an absolute path of at most 90 bytes");
		return -EINVAL;
	}
	if (i >= argc)
		return 0;
	a->verb = verb_of(argv[i]);
	i++;
	if (a->verb == VERB_CREATE || a->verb == VERB_RUN)
		r = read_own(argc, argv, i, create_options, a, why, n);
	else if (a->verb == VERB_EXEC)
		r = read_own(argc, argv, i, exec_options, a, why, n);
	else if (a->verb == VERB_DELETE)
		r = read_own(argc, argv, i, delete_options, a, why, n);
	else if (a->verb == VERB_PAUSE || a->verb == VERB_RESUME)
		r = read_own(argc, argv, i, pause_options, a, why, n);
	else if (a->verb == VERB_HOOK)
		return read_hook(argc, argv, i, a, why, n);
	else
		for (; i < argc; i++)
			a->rest[a->nrest++] = argv[i];
	/* These start nothing: whatever it is, the runtime judges it. */
	if (a->verb == VERB_DELETE || a->verb == VERB_PAUSE || a->verb == VERB_RESUME) {
		if (r < 0)
			for (a->nrest = a->insert_at; i < argc; i++)
				a->rest[a->nrest++] = argv[i];
		return 0;
	}
	if (r < 0 || a->verb == VERB_OTHER)
		return r;
	if (!a->id && asks_help(a)) {
		a->verb = VERB_OTHER;
		return 0;
	}
	if (!a->id || !oci_id_ok(a->id)) {
		snprintf(why, n,
			 a->id ? "the container's id has bytes that no id has"
			       : "no container's id is given");
		return -EINVAL;
	}
	return 0;
}
