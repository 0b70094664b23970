/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a user becomes another one, or has others start programs for it: sudo, doas, cron, at.
 * Reads root's own files, by the words in them and not by their grammar: who is named anywhere (in
 * a list, in an alias) is taken for one who may. Called by tier.c.
 */
#include "egretd/tier.h"

#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INCLUDES_MAX 8 /* how deep */

static bool in_groups(const struct tier_user *u, gid_t gid)
{
	for (unsigned i = 0; i < u->n; i++)
		if (u->groups[i] == gid)
			return true;
	return u->gid == gid;
}

static bool is_number(const char *s, unsigned long n)
{
	char *end;

	return *s >= '0' && *s <= '9' && strtoul(s, &end, 10) == n && *end == 0;
}

/* name, #uid, %group, %#gid, :group (doas). */
static bool is_meant(const char *word, const struct tier_user *u)
{
	const struct group *g;
	char *end;

	if (*word == '#')
		return is_number(word + 1, u->uid);
	if (*word != '%' && *word != ':')
		return u->name[0] && !strcmp(word, u->name);
	if (word[1] == '#') {
		unsigned long gid = strtoul(word + 2, &end, 10);

		return end > word + 2 && *end == 0 && in_groups(u, (gid_t)gid);
	}
	g = getgrnam(word + 1);
	return g && in_groups(u, g->gr_gid);
}

bool tier_sudoers_line(char *line, const struct tier_user *u)
{
	char *at = line + strspn(line, " \t"), *save = NULL, *word, *runas;

	/* "#1000 ALL=..." is a user, every other '#' begins a comment. */
	if (*at == '#' && !(at[1] >= '0' && at[1] <= '9'))
		return false;
	if (!strncmp(at, "Defaults", 8) || !strncmp(at, "deny", 4))
		return false;
	/* Whom it is run as is not who runs it. */
	while ((runas = strchr(at, '('))) {
		char *close = strchr(runas, ')');

		if (!close)
			break;
		memset(runas, ' ', (size_t)(close - runas) + 1);
	}
	for (word = strtok_r(at, " \t\n\r,=!\"", &save); word;
	     word = strtok_r(NULL, " \t\n\r,=!\"", &save)) {
		if (is_meant(word, u) || (word == at && !strcmp(word, "ALL")))
			return true;
	}
	return false;
}

static bool names(const char *path, const struct tier_user *u, unsigned depth);

static bool folder_names(const char *path, const struct tier_user *u, unsigned depth)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	bool found = false;
	char file[4400];

	while (dir && !found && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		found = names(file, u, depth);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool names(const char *path, const struct tier_user *u, unsigned depth)
{
	char line[4096], file[4096];
	bool found = false;
	FILE *f = depth < INCLUDES_MAX ? fopen(path, "re") : NULL;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*1[@#]includedir %4095s", file) == 1)
			found = folder_names(file, u, depth + 1);
		else if (sscanf(line, "%*1[@#]include %4095s", file) == 1)
			found = names(file, u, depth + 1);
		else
			found = tier_sudoers_line(line, u);
	}
	if (f)
		fclose(f);
	return found;
}

bool tier_sudo(const struct tier_user *u)
{
	if (u->no_new_privileges)
		return false;
	if (access("/usr/bin/sudo", X_OK) == 0 &&
	    (names("/etc/sudoers", u, 0) || folder_names("/etc/sudoers.d", u, 0)))
		return true;
	return access("/usr/bin/doas", X_OK) == 0 &&
	       (names("/etc/doas.conf", u, 0) || folder_names("/etc/doas.d", u, 0));
}

/* A line of cron.allow and the like. */
static bool listed(const char *path, const struct tier_user *u, bool *ret)
{
	char line[256];
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	*ret = false;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \t\r\n")] = 0;
		*ret |= u->name[0] && !strcmp(line, u->name);
	}
	fclose(f);
	return true;
}

/* crontab(1) and at(1) write where only their own group may. */
bool tier_cron(const struct tier_user *u)
{
	static const struct {
		const char *program, *allow, *deny;
		bool otherwise; /* with neither file: Debian's cron lets all, at(1) nobody */
	} all[] = { { "/usr/bin/crontab", "/etc/cron.allow", "/etc/cron.deny", true },
		    { "/usr/bin/at", "/etc/at.allow", "/etc/at.deny", false } };

	for (size_t i = 0; !u->no_new_privileges && i < ARRAY_SIZE(all); i++) {
		struct stat st;
		bool is;

		if (stat(all[i].program, &st) < 0 || !(st.st_mode & (S_ISUID | S_ISGID)))
			continue;
		if (listed(all[i].allow, u, &is)  ? is
		    : listed(all[i].deny, u, &is) ? !is
						  : all[i].otherwise)
			return true;
	}
	return false;
}
