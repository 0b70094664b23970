/* SPDX-License-Identifier: Apache-2.0 */
/* See doctor.h. Sentences are ours; names from the configuration are root's. */
#include "egretd/doctor.h"

#include "egretd/tier.h"

#include <stdio.h>
#include <unistd.h>

struct lines {
	bool json;
	unsigned n;
};

static void quoted(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		if ((unsigned char)*s >= 0x20)
			putchar(*s);
	}
	putchar('"');
}

static void line(struct lines *l, const char *name, bool ok, bool required, const char *bad,
		 const char *text)
{
	if (!l->json) {
		printf("%-8s %-14s %s\n", ok ? "ok" : bad, name, text);
		return;
	}
	printf("%s{\"name\":\"%s\",\"ok\":%s,\"required\":%s,\"text\":", l->n++ ? "," : "", name,
	       ok ? "true" : "false", required ? "true" : "false");
	quoted(text);
	putchar('}');
}

/* Whose jobs would be confined, and whether egret would see what an engine writes. */
static void managed(struct lines *l, const struct config_managed *m)
{
	char text[1024], path[4200];
	const char *why;

	if (m->unit.n && m->registrar >= 0) {
		why = tier_of_uid((uid_t)m->registrar);
		snprintf(text, sizeof(text), "jobs of %s (uid %lld) are %s%s%s%s", m->unit.p,
			 (long long)m->registrar, why ? "cooperative: their user " : "confined",
			 why ? why : "",
			 why ? "; where jobs run in containers only, register them with "
			       "--containers-only"
			     : "",
			 why && m->registrar == 0 ? " and give the runner a user of its own" : "");
		line(l, "tier", !why, false, "weak", text);
	}
	if (!m->unit.n && str_is(m->engine, "docker")) {
		snprintf(path, sizeof(path), "%s/containers", m->root.p);
		snprintf(
			text, sizeof(text), "%s %s", path,
			access(path, R_OK | X_OK) == 0
				? "says whose docker's containers are"
				: "cannot be read: docker's containers are nobody's until \"root\" "
				  "names docker's data-root");
		line(l, "docker", access(path, R_OK | X_OK) == 0, false, "absent", text);
	}
}

/* 1 when something that is required is not there. */
static int show(struct lines *l, const struct probe *list, size_t n)
{
	int missing = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		const struct probe *p = &list[i];

		missing |= p->required && !p->ok;
		line(l, p->name, p->ok, p->required, p->required ? "MISSING" : "absent",
		     p->sentence);
	}
	return missing;
}

int doctor(const char *config_path, bool json)
{
	struct lines l = { .json = json };
	struct probe probes[PROBES_MAX], walls[WALLS];
	static struct config config;
	char why[1024];
	size_t n = probe_all(probes), i;
	int missing;

	printf("%s", json ? "[" : "");
	missing = show(&l, probes, n);
	if (config_load(config_path, &config, why, sizeof(why)) < 0) {
		line(&l, "configuration", false, true, "BROKEN", why);
		missing = 2;
	} else {
		doctor_walls(&config, !missing, walls);
		missing |= show(&l, walls, WALLS);
		for (i = 0; i < config.nmanaged; i++)
			managed(&l, &config.managed[i]);
	}
	printf("%s", json ? "]\n" : "");
	return missing;
}
