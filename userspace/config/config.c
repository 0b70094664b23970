/* SPDX-License-Identifier: Apache-2.0 */
/* See config.h. One table says every key; an unknown one is an error with its place and the nearest
 * known word. */
#include "config/config.h"

#include "config/load.h"
#include "policy/sha256.h"
#include "policy/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_ARENA_MAX (16u << 20)

enum key_kind {
	KEY_TEXT,
	KEY_LIST,
	KEY_OBJECT,
	KEY_HOSTS,
	KEY_LIMITS,
	KEY_WORD, /* one of two: form is "off|on" */
	KEY_UID,
	KEY_MANAGED,
	KEY_IDENTITY,
};

struct key {
	const char *object; /* "" at the top */
	const char *name;
	enum key_kind kind;
	size_t offset;
	bool (*fits)(struct str); /* of a text or each text of a list; NULL: anything */
	const char *form;	  /* what fits, in words */
};

static bool is_path(struct str s)
{
	return s.n > 0 && s.n < 4096 && s.p[0] == '/';
}

/* No empty part, no "." or "..": it is joined to another path. */
static bool is_attach(struct str s)
{
	size_t from = 1, i;

	if (str_is(s, "kubepods"))
		return true;
	if (!is_path(s) || s.n < 2 || s.n > 1024 || str_starts(s, "/egretd"))
		return false;
	for (i = 1; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '/') {
			if (s.p[i] <= ' ' || s.p[i] == 0x7f)
				return false;
			continue;
		}
		if (i == from || (s.p[from] == '.' && i - from <= 2 && s.p[i - 1] == '.'))
			return false;
		from = i + 1;
	}
	return true;
}

static bool is_name(struct str s)
{
	return s.n > 0 && s.n <= 128;
}

static bool is_wall(struct str s)
{
	return str_is(s, "tc") || str_is(s, "lsm") || str_is(s, "unix") || str_is(s, "netns") ||
	       str_is(s, "confined");
}

#define GROUP_FORM "a group of /etc/group, or a gid in quotes"
#define AT(field) offsetof(struct config, field)
static const struct key keys[] = {
	{ "", "$schema", KEY_TEXT, SIZE_MAX, NULL, NULL },
	{ "", "state_dir", KEY_TEXT, AT(state_dir), is_path, "an absolute path" },
	{ "", "run_dir", KEY_TEXT, AT(run_dir), is_path, "an absolute path" },
	{ "", "policies", KEY_LIST, AT(policies), is_path, "absolute paths of folders" },
	{ "", "credentials", KEY_LIST, AT(credentials), is_path, "absolute paths of folders" },
	{ "", "run", KEY_OBJECT, 0, NULL, NULL },
	{ "run", "policy", KEY_TEXT, AT(run_policy), is_name, "the name of an installed policy" },
	{ "", "attach", KEY_TEXT, AT(attach), is_attach,
	  "\"kubepods\", or the path of a cgroup as /kubepods.slice" },
	{ "", "require", KEY_LIST, AT(require), is_wall, "walls: tc, lsm, unix, netns, confined" },
	{ "", "upstream", KEY_OBJECT, 0, NULL, NULL },
	{ "upstream", "nameservers", KEY_LIST, AT(nameservers), form_nameserver,
	  "addresses, with a port if it is not 53" },
	{ "upstream", "hosts", KEY_HOSTS, AT(hosts), form_addr, "lists of addresses" },
	{ "upstream", "ca_file", KEY_TEXT, AT(upstream_ca_file), is_path, "an absolute path" },
	{ "upstream", "ca_extra", KEY_LIST, AT(upstream_ca_extra), is_path, "absolute paths" },
	{ "upstream", "allow_private", KEY_LIST, AT(allow_private), form_block,
	  "address blocks, as 10.0.5.0/24" },
	{ "upstream", "netns", KEY_WORD, AT(upstream_netns_job), NULL, "host|job" },
	{ "upstream", "proxy", KEY_TEXT, AT(upstream_proxy), form_parent,
	  "\"http://HOST:PORT\", without a user or a path" },
	{ "upstream", "no_proxy", KEY_LIST, AT(no_proxy), form_no_proxy,
	  "names, as example.com or .example.com, one an entry" },
	{ "", "synthetic", KEY_LIST, AT(synthetic), form_block, "one IPv4 and one IPv6 block" },
	{ "", "audit", KEY_OBJECT, 0, NULL, NULL },
	{ "audit", "sync", KEY_WORD, AT(audit_sync_each), NULL, "batch|each" },
	{ "", "managed", KEY_MANAGED, 0, NULL, NULL },
	{ "", "identity", KEY_IDENTITY, 0, NULL, NULL },
	{ "", "ca", KEY_OBJECT, 0, NULL, NULL },
	{ "ca", "mode", KEY_WORD, AT(ca_root), NULL, "job|root" },
	{ "", "uids", KEY_OBJECT, 0, NULL, NULL },
	{ "uids", "broker", KEY_UID, AT(uid_broker), NULL, NULL },
	{ "uids", "audit", KEY_UID, AT(uid_audit), NULL, NULL },
	{ "uids", "compile", KEY_UID, AT(uid_compile), NULL, NULL },
	{ "uids", "identity", KEY_UID, AT(uid_identity), NULL, NULL },
	{ "uids", "provider", KEY_UID, AT(uid_provider), NULL, NULL },
	{ "uids", "proxy_first", KEY_UID, AT(uid_proxy_first), NULL, NULL },
	{ "", "groups", KEY_OBJECT, 0, NULL, NULL },
	{ "groups", "jobs", KEY_TEXT, AT(group_jobs), is_name, GROUP_FORM },
	{ "groups", "audit", KEY_TEXT, AT(group_audit), is_name, GROUP_FORM },
	{ "", "limits", KEY_LIMITS, AT(limits), NULL, NULL },
};

void config_wrong(const struct loading *l, const struct node *n, const char *what, const char *form)
{
	diag_add(l->d, l->f, n->at, n->key, "%s%s%s", what, form ? ": " : "", form ? form : "");
}

void config_unknown(const struct loading *l, const struct node *n, const char *what,
		    const char *const *words, size_t nwords)
{
	const char *near = word_near(n->key, words, nwords);

	diag_add(l->d, l->f, n->key_at, n->key, "%s%s%s%s", what, near ? "; did you mean \"" : "",
		 near ? near : "", near ? "\"?" : "");
}

static void load_list(const struct loading *l, const struct key *k, const struct node *n,
		      struct config_list *to)
{
	const struct node *at;

	to->n = 0; /* a key replaces the default and what an earlier file said */
	if (n->kind != NODE_ARRAY) {
		config_wrong(l, n, "must be a list", k->form);
		return;
	}
	for (at = n->first; at; at = at->next) {
		if (at->kind != NODE_STRING || (k->fits && !k->fits(at->text)))
			config_wrong(l, at, "must hold", k->form);
		else if (to->n == CONFIG_LIST_MAX)
			config_wrong(l, at, "has more than 64 entries", NULL);
		else
			to->at[to->n++] = arena_str(&l->c->arena, at->text);
	}
}

/* { "name": ["ip", "ip"] } -> "name=ip,ip" */
static void load_hosts(const struct loading *l, const struct key *k, const struct node *n,
		       struct config_list *to)
{
	const struct node *host, *at;
	char line[1024];

	to->n = 0;
	if (n->kind != NODE_OBJECT) {
		config_wrong(l, n, "must be an object of", k->form);
		return;
	}
	for (host = n->first; host; host = host->next) {
		int len = snprintf(line, sizeof(line), "%.*s=", STR_ARG(host->key));
		bool good = host->kind == NODE_ARRAY && host->count > 0 && host->key.n <= 253;

		for (at = good ? host->first : NULL; good && at; at = at->next) {
			good = at->kind == NODE_STRING && form_addr(at->text) &&
			       (size_t)len + at->text.n + 2 < sizeof(line);
			if (good)
				len += snprintf(line + len, sizeof(line) - (size_t)len, "%s%.*s",
						at == host->first ? "" : ",", STR_ARG(at->text));
		}
		if (!good)
			config_wrong(l, host, "must be a list of at least one address", NULL);
		else if (to->n == CONFIG_LIST_MAX)
			config_wrong(l, host, "is one of more than 64 hosts", NULL);
		else
			to->at[to->n++] = arena_str(&l->c->arena, str_of(line));
	}
}

static void load_limits(const struct loading *l, const struct node *n)
{
	const char *words[64];
	const struct node *at;
	size_t i, nwords = 0;

	if (n->kind != NODE_OBJECT) {
		config_wrong(l, n, "must be an object", NULL);
		return;
	}
	for (i = 0; i < limit_rows_n && nwords < ARRAY_SIZE(words); i++)
		words[nwords++] = limit_rows[i].key;
	for (at = n->first; at; at = at->next) {
		int r = at->kind == NODE_NUMBER && at->number >= 0
				? limits_set(&l->c->limits, at->key, (uint64_t)at->number)
				: -EINVAL;

		if (r == -ENOENT)
			config_unknown(l, at, "no such limit", words, nwords);
		else if (r == -ERANGE)
			for (i = 0; i < limit_rows_n; i++) {
				if (str_is(at->key, limit_rows[i].key))
					diag_add(l->d, l->f, at->at, at->key,
						 "must be %llu to %llu %s",
						 (unsigned long long)limit_rows[i].min,
						 (unsigned long long)limit_rows[i].max,
						 limit_rows[i].unit);
			}
		else if (r < 0)
			config_wrong(l, at, "must be a whole number", NULL);
	}
}

static void load_word(const struct loading *l, const struct key *k, const struct node *n, bool *to)
{
	const char *bar = strchr(k->form, '|');
	struct str off = { k->form, (size_t)(bar - k->form) };

	if (n->kind != NODE_STRING || (!str_eq(n->text, off) && !str_is(n->text, bar + 1)))
		diag_add(l->d, l->f, n->at, n->key, "must be \"%.*s\" or \"%s\"", STR_ARG(off),
			 bar + 1);
	else
		*to = str_is(n->text, bar + 1);
}

static void load_object(const struct loading *l, const struct node *object, const char *name);

static void load_key(const struct loading *l, const struct key *k, const struct node *n)
{
	char *field = (char *)l->c + k->offset;

	switch (k->kind) {
	case KEY_TEXT:
		if (n->kind != NODE_STRING || (k->fits && !k->fits(n->text)))
			config_wrong(l, n, "must be", k->form ? k->form : "a text");
		else if (k->offset != SIZE_MAX)
			*(struct str *)field = arena_str(&l->c->arena, n->text);
		break;
	case KEY_LIST:
		load_list(l, k, n, (struct config_list *)field);
		break;
	case KEY_HOSTS:
		load_hosts(l, k, n, (struct config_list *)field);
		break;
	case KEY_LIMITS:
		load_limits(l, n);
		break;
	case KEY_OBJECT:
		load_object(l, n, k->name);
		break;
	case KEY_WORD:
		load_word(l, k, n, (bool *)field);
		break;
	case KEY_MANAGED:
		config_load_managed(l, n);
		break;
	case KEY_IDENTITY:
		config_load_identity(l, n);
		break;
	case KEY_UID:
		if (n->kind != NODE_NUMBER || n->number < 1000 || n->number > 0x7ffffffe)
			config_wrong(l, n, "must be a uid of 1000 or more", NULL);
		else
			*(unsigned *)field = (unsigned)n->number;
	}
}

static void load_object(const struct loading *l, const struct node *object, const char *name)
{
	const char *words[ARRAY_SIZE(keys)];
	const struct node *n;
	size_t i, nwords = 0;

	if (object->kind != NODE_OBJECT) {
		config_wrong(l, object, "must be an object", NULL);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].object, name))
			words[nwords++] = keys[i].name;
	for (n = object->first; n; n = n->next) {
		for (i = 0; i < ARRAY_SIZE(keys); i++)
			if (!strcmp(keys[i].object, name) && str_is(n->key, keys[i].name))
				break;
		if (i < ARRAY_SIZE(keys))
			load_key(l, &keys[i], n);
		else
			config_unknown(l, n, "unknown key", words, nwords);
	}
}

int config_trusted(int fd, const char *path, char *why, size_t n)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)CONFIG_FILE_MAX) {
		snprintf(why, n, "%s: not a regular file of at most 1 MiB", path);
		return -EINVAL;
	}
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		snprintf(why, n,
			 "%s: owned by uid %u with mode %04o; it must be root's and writable by "
			 "root alone: chown root %s && chmod go-w %s",
			 path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777, path, path);
		return -EPERM;
	}
	return 0;
}

static int read_whole(const char *path, char **ret, size_t *ret_n, char *why, size_t n)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free char *text = NULL;
	ssize_t got;
	size_t at = 0;
	int r;

	if (fd < 0) {
		r = -errno;
		snprintf(why, n, "%s: %s", path, strerror(-r));
		return r;
	}
	r = config_trusted(fd, path, why, n);
	if (r < 0)
		return r;
	text = mem_new(CONFIG_FILE_MAX);
	while (at < CONFIG_FILE_MAX && (got = read(fd, text + at, CONFIG_FILE_MAX - at)) > 0)
		at += (size_t)got;
	*ret_n = at;
	*ret = TAKE_PTR(text);
	return 0;
}

/* The digest of all files so far. */
static void digest_add(struct config *c, struct str text)
{
	uint8_t both[64 + 32], sum[32];
	size_t i;

	memcpy(both, c->digest, 64);
	sha256(text.p, text.n, both + 64);
	sha256(both, sizeof(both), sum);
	for (i = 0; i < sizeof(sum); i++)
		snprintf(c->digest + 2 * i, 3, "%02x", sum[i]);
}

static int load_file(const char *path, struct config *c, char *why, size_t n)
{
	cleanup_free char *text = NULL;
	struct diag_file f = { .name = str_of(path) };
	struct diag d;
	struct loading l = { c, &d, &f };
	struct node *root;
	int r = read_whole(path, &text, &f.text.n, why, n);

	if (r < 0)
		return r;
	f.text.p = text;
	digest_add(c, f.text);
	diag_init(&d);
	root = json_load(&c->arena, &f, &d);
	if (root)
		load_object(&l, root, "");
	if (d.count > 0) {
		snprintf(why, n, "%.*s", STR_ARG(buf_str(&d.text)));
		while (why[0] && why[strlen(why) - 1] == '\n')
			why[strlen(why) - 1] = 0;
		r = -EINVAL;
	}
	diag_done(&d);
	return r;
}

static void add(struct config *c, struct config_list *l, const char *text)
{
	if (l->n < CONFIG_LIST_MAX)
		l->at[l->n++] = arena_str(&c->arena, str_of(text));
}

/* The host's own resolver file: nameservers unless the configuration names some, and the suffixes
 * that jobs' lookups get from it. */
static void load_resolv(struct config *c)
{
	char line[1024], *save, *word;
	FILE *f = fopen("/etc/resolv.conf", "re");
	bool take = c->nameservers.n == 0;

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		word = strtok_r(line, " \t\r\n", &save);
		if (!word)
			continue;
		if (take && !strcmp(word, "nameserver")) {
			word = strtok_r(NULL, " \t\r\n", &save);
			if (word && form_addr(str_of(word)))
				add(c, &c->nameservers, word);
		} else if (!strcmp(word, "search") || !strcmp(word, "domain")) {
			c->search.n = 0;
			while ((word = strtok_r(NULL, " \t\r\n", &save)) != NULL)
				add(c, &c->search, word);
		}
	}
	fclose(f);
}

static int is_drop_in(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && e->d_name[0] != '.' && !strcmp(e->d_name + n - 5, ".json");
}

static int load_drop_ins(const char *path, struct config *c, char *why, size_t n)
{
	char folder[4096], file[4400];
	struct dirent **list = NULL;
	const char *slash = strrchr(path, '/');
	int count, i, r = 0;

	snprintf(folder, sizeof(folder), "%.*s/conf.d", slash ? (int)(slash - path) : 1,
		 slash ? path : ".");
	count = scandir(folder, &list, is_drop_in, alphasort);
	for (i = 0; i < count; i++) {
		snprintf(file, sizeof(file), "%s/%s", folder, list[i]->d_name);
		if (r == 0)
			r = load_file(file, c, why, n);
		free(list[i]);
	}
	free(list);
	return r;
}

/* Who shares a uid can signal and trace the other. */
static int check_uids(const struct config *c, char *why, size_t n)
{
	const struct {
		const char *name;
		unsigned uid;
	} uids[] = { { "broker", c->uid_broker },
		     { "audit", c->uid_audit },
		     { "compile", c->uid_compile },
		     { "identity", c->uid_identity },
		     { "provider", c->uid_provider } };
	unsigned i, j;

	for (i = 0; i < ARRAY_SIZE(uids); i++) {
		if (uids[i].uid - c->uid_proxy_first < CONFIG_PROXY_UIDS) {
			snprintf(why, n,
				 "uids.%s: %u is a proxy's: they have the %u from proxy_first on",
				 uids[i].name, uids[i].uid, CONFIG_PROXY_UIDS);
			return -EINVAL;
		}
		for (j = 0; j < i; j++) {
			if (uids[i].uid != uids[j].uid)
				continue;
			snprintf(why, n, "uids.%s: the same as uids.%s; each needs its own",
				 uids[i].name, uids[j].name);
			return -EINVAL;
		}
	}
	return 0;
}

static int check(const struct config *c, char *why, size_t n)
{
	unsigned i, v4 = 0, v6 = 0;

	for (i = 0; i < c->synthetic.n; i++)
		*(memchr(c->synthetic.at[i].p, ':', c->synthetic.at[i].n) ? &v6 : &v4) += 1;
	if (v4 != 1 || v6 != 1) {
		snprintf(why, n,
			 "synthetic: must hold one IPv4 and one IPv6 block, as 198.18.0.0/15 and "
			 "fd65:6772:6574:1::/64");
		return -EINVAL;
	}
	if (c->limits.ring_bytes & (c->limits.ring_bytes - 1)) {
		snprintf(why, n, "limits.ring_bytes: must be a power of two");
		return -EINVAL;
	}
	for (i = 0; c->attach.n && i < c->nmanaged; i++) {
		if (c->managed[i].unit.n) {
			snprintf(why, n,
				 "managed: a \"unit\" is for hosts where jobs are in "
				 "egret.slice; take it or \"attach\" away");
			return -EINVAL;
		}
		if (c->managed[i].unregistered == UNREGISTERED_HOLD) {
			snprintf(why, n,
				 "managed: \"hold\" does not go with \"attach\", where whom "
				 "nobody announces is not egret's");
			return -EINVAL;
		}
	}
	return check_uids(c, why, n);
}

int config_load(const char *path, struct config *ret, char *why, size_t n)
{
	struct config *c = mem_new(sizeof(*c));
	const char *file = path ? path : CONFIG_DEFAULT;
	int r = 0;

	arena_init(&c->arena, CONFIG_ARENA_MAX);
	c->state_dir = STR("/var/lib/egret");
	c->run_dir = STR("/run/egret");
	add(c, &c->policies, "/etc/egret/policies");
	add(c, &c->credentials, "/etc/egret/credentials");
	add(c, &c->synthetic, "198.18.0.0/15");
	add(c, &c->synthetic, "fd65:6772:6574:1::/64");
	limits_init(&c->limits);
	c->uid_broker = 65601;
	c->uid_audit = 65602;
	c->uid_compile = 65603;
	c->uid_identity = 65604;
	c->uid_provider = 65605;
	c->group_jobs = STR("egret");
	c->group_audit = STR("egret-audit");
	c->uid_proxy_first = 66000;
	if (path || access(file, F_OK) == 0) {
		r = load_file(file, c, why, n);
		if (r == 0)
			r = load_drop_ins(file, c, why, n);
	}
	if (r == 0)
		r = check(c, why, n);
	if (r < 0) {
		arena_done(&c->arena);
	} else {
		load_resolv(c);
		*ret = *c;
	}
	free(c);
	return r;
}

void config_done(struct config *c)
{
	arena_done(&c->arena);
	memset(c, 0, sizeof(*c));
}

void config_instance(const struct config *c, char *to, size_t n)
{
	uint32_t hash = 2166136261u; /* FNV-1a: a name, not a secret */
	size_t i;

	if (str_is(c->run_dir, "/run/egret")) {
		snprintf(to, n, "egret");
		return;
	}
	for (i = 0; i < c->run_dir.n; i++)
		hash = (hash ^ (uint8_t)c->run_dir.p[i]) * 16777619u;
	snprintf(to, n, "x%08x", hash);
}
