/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment of a job's process. Called by egret-init with the caller's environment and by
 * egret-runc's jailed child with a container's: entries are compared by name and copied; a value is
 * looked at only to hand it to `extend`.
 */
#include "trust/trust.h"

#include <stdio.h>
#include <strings.h>

bool trust_is_proxy(const char *entry)
{
	for (size_t i = 0; trust_proxy_variables[i]; i++) {
		size_t n = strlen(trust_proxy_variables[i]);

		if (!strncasecmp(entry, trust_proxy_variables[i], n) && entry[n] == '=')
			return true;
	}
	return false;
}

static bool is_named(const char *entry, const char *name, size_t n)
{
	return !strncmp(entry, name, n) && entry[n] == '=';
}

static const char *find(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (is_named(*env, name, n))
			return *env + n + 1;
	return NULL;
}

static char *joined(struct arena *a, const char *name, const char *value, const char *more)
{
	size_t n = strlen(name) + strlen(value) + strlen(more) + 2;
	char *entry = arena_new(a, n);

	snprintf(entry, n, "%s=%s%s", name, value, more);
	return entry;
}

static bool is_ours(const char *entry, char *const *more)
{
	if (trust_is_proxy(entry) ||
	    is_named(entry, TRUST_JAVA_VARIABLE, strlen(TRUST_JAVA_VARIABLE)) ||
	    is_named(entry, "npm_config_cafile", 17))
		return true;
	for (const struct trust_variable *v = trust_variables; v->name; v++)
		if (v->kind != TRUST_NO_FOLDER && is_named(entry, v->name, strlen(v->name)))
			return true;
	for (; more && *more; more++) {
		const char *end = strchr(*more, '=');

		if (end && is_named(entry, *more, (size_t)(end - *more)))
			return true;
	}
	return false;
}

/* The combined bundle lies over these, and is what they hold. */
static bool is_covered(const char *file)
{
	if (!strcmp(file, TRUST_BUNDLE))
		return true;
	for (size_t i = 0; trust_bundles[i]; i++)
		if (!strcmp(file, trust_bundles[i]))
			return true;
	return false;
}

static const char *value_of(const struct trust_variable *v, const char *had,
			    const struct trust_how *how)
{
	const char *all = how->own_ca ? TRUST_CA : TRUST_BUNDLE, *path = NULL;

	if (v->kind == TRUST_SWITCH)
		return v->value;
	if (!had || !*had || !strcmp(had, TRUST_CA))
		return v->kind == TRUST_ADDS ? TRUST_CA : all;
	/* A process of a job that starts another container of the job hands its own file down. */
	if (!is_covered(had) && how->extend)
		path = how->extend(how->owner, v->name, had);
	return path ? path : all;
}

char **trust_environment(struct arena *a, char *const *env, char *const *more,
			 const struct trust_how *how)
{
	const char *java = find(env, TRUST_JAVA_VARIABLE);
	size_t count = 0, out = 0;
	char **list;

	for (size_t i = 0; env[i]; i++)
		count++;
	for (size_t i = 0; more && more[i]; i++)
		count++;
	for (const struct trust_variable *v = trust_variables; v->name; v++)
		count++;
	list = arena_new(a, (count + 2) * sizeof(char *));
	for (size_t i = 0; env[i]; i++)
		if (!is_ours(env[i], more))
			list[out++] = env[i];
	for (const struct trust_variable *v = trust_variables; v->name; v++) {
		const char *had = find(env, v->name);

		if (v->kind != TRUST_NO_FOLDER)
			list[out++] = joined(a, v->name, value_of(v, had, how), "");
		else if (how->own_ca && !had)
			list[out++] = joined(a, v->name, TRUST_CA, "");
	}
	if (!java || !*java)
		list[out++] = joined(a, TRUST_JAVA_VARIABLE, trust_java_options, "");
	else if (strstr(java, trust_java_options)) /* set by us before: a child's child */
		list[out++] = joined(a, TRUST_JAVA_VARIABLE, java, "");
	else {
		char *both = joined(a, TRUST_JAVA_VARIABLE, java, " ");

		list[out++] =
			joined(a, TRUST_JAVA_VARIABLE, strchr(both, '=') + 1, trust_java_options);
	}
	for (size_t i = 0; more && more[i]; i++)
		list[out++] = (char *)arena_str(a, str_of(more[i])).p;
	list[out] = NULL;
	return list;
}
