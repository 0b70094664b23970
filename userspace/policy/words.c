/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closed world's help: what somebody who wrote an unknown word may have meant. Knows the words
 * of other tools in this field. Called by the loaders; judges only text of configuration files.
 */
#include "policy/model.h"
#include "base/proto.h"

#include <stdlib.h>

#define WORD_MAX 40

/* What other tools call it, and what it is here; a word of a context that does not know it is
 * skipped. */
static const char *const peers[][2] = {
	{ "block", "enforce" },
	{ "block", "deny" },
	{ "restrict", "enforce" },
	{ "enforcing", "enforce" },
	{ "permissive", "audit" },
	{ "monitor", "audit" },
	{ "detect", "audit" },
	{ "log", "audit" },
	{ "report-only", "audit" },
	{ "dry-run", "audit" },
	{ "dryRun", "audit" },
	{ "egress-policy", "mode" },
	{ "egress_policy", "mode" },
	{ "policy", "mode" },
	{ "action", "mode" },
	{ "defaultAction", "mode" },
	{ "allowed-endpoints", "rules" },
	{ "allowed_endpoints", "rules" },
	{ "allowed-domains", "rules" },
	{ "allowed-ips", "rules" },
	{ "allow-domains", "rules" },
	{ "egress", "rules" },
	{ "ingress", "inbound" },
	{ "cap_add", "capabilities" },
	{ "CAP_NET_RAW", "NET_RAW" },
	{ "CAP_NET_ADMIN", "NET_ADMIN" },
	{ "allowed-domains", "hosts" },
	{ "domains", "hosts" },
	{ "domain", "hosts" },
	{ "host", "hosts" },
	{ "endpoint", "allow" },
	{ "permit", "allow" },
	{ "accept", "allow" },
	{ "url", "allow" },
	{ "host", "allow" },
	{ "reject", "deny" },
	{ "forbid", "deny" },
	{ "drop", "deny" },
	{ "cidr", "direct" },
	{ "ip", "direct" },
	{ "match", "for" },
	{ "when", "for" },
	{ "selector", "for" },
	{ "subjects", "for" },
	{ "extends", "include" },
	{ "import", "include" },
	{ "imports", "include" },
	{ "secret", "credential" },
	{ "token", "credential" },
	{ "auth", "credential" },
	{ "expires", "until" },
	{ "expiry", "until" },
	{ "rate", "limits" },
	{ "rateLimiting", "limits" },
	{ "quota", "limits" },
	{ "repository", "repo" },
	{ "repository_id", "repo_id" },
	{ "project_id", "repo_id" },
	{ "project_path", "repo" },
	{ "owner", "org" },
	{ "organization", "org" },
	{ "repository_owner", "org" },
	{ "branch", "ref" },
	{ "tag", "ref" },
	{ "event_name", "event" },
	{ "pipeline_source", "event" },
	{ "commit", "sha" },
	{ "env", "environment" },
	{ "type", "provider" },
	{ "kind", "provider" },
	{ "vault-kv", "vault" },
	{ "secret", "value" },
	{ "header_name", "header" },
	{ "template", "format" },
	{ "expires_in", "ttl" },
	{ "lifetime", "ttl" },
	{ "read", "READ" },
	{ "*", "ANY" },
	{ "ALL", "ANY" },
	{ "all", "ANY" },
	{ "CLONE", "GIT-FETCH" },
	{ "PULL", "GIT-FETCH" },
	{ "PUSH", "GIT-PUSH" },
	{ "WS", "WEBSOCKET" },
	{ "WSS", "WEBSOCKET" },
	{ "UPGRADE", "WEBSOCKET" },
};

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	return c == '-' ? '_' : c;
}

/* Edits between the two, letters' case and - against _ for free; a swap of neighbours counts one.
 */
static unsigned distance(struct str a, struct str b)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *prev = rows[1], *cur = rows[2], *t;

	for (size_t j = 0; j <= b.n; j++)
		prev[j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		cur[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			unsigned same = fold(a.p[i - 1]) == fold(b.p[j - 1]) ? 0 : 1;

			cur[j] = least(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + same);
			if (i > 1 && j > 1 && fold(a.p[i - 1]) == fold(b.p[j - 2]) &&
			    fold(a.p[i - 2]) == fold(b.p[j - 1]) && before[j - 2] + 1 < cur[j])
				cur[j] = before[j - 2] + 1;
		}
		t = before;
		before = prev;
		prev = cur;
		cur = t;
	}
	return prev[b.n];
}

static bool has(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

const char *word_near(struct str given, const char *const *words, size_t n)
{
	const char *best = NULL;
	unsigned best_d = UINT32_MAX;

	if (given.n == 0 || given.n > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		if (str_is(given, peers[i][0]) && has(words, n, peers[i][1]))
			return peers[i][1];
	for (size_t i = 0; i < n; i++) {
		struct str w = str_of(words[i]);
		unsigned d;

		if (w.n > WORD_MAX)
			continue;
		d = distance(given, w);
		if (d < best_d && d <= 1 + w.n / 4) {
			best = words[i];
			best_d = d;
		}
	}
	return best;
}

void unknown_word(const struct load *l, size_t at, struct str key, const char *what,
		  struct str given, const char *const *words, size_t n)
{
	const char *near = word_near(given, words, n);
	struct str g = given.n > 60 ? (struct str){ given.p, 60 } : given;

	if (near)
		diag_add(l->errors, l->file, at, key, "unknown %s \"%.*s\"; did you mean \"%s\"?",
			 what, STR_ARG(g), near);
	else
		diag_add(l->errors, l->file, at, key, "unknown %s \"%.*s\"", what, STR_ARG(g));
}

bool keys_known(const struct load *l, const struct node *object, const char *const *keys, size_t n)
{
	bool ok = true;

	for (const struct node *m = object->first; m; m = m->next) {
		bool known = false;

		for (size_t i = 0; i < n && !known; i++)
			known = str_is(m->key, keys[i]);
		if (!known) {
			unknown_word(l, m->key_at, m->key, "key", m->key, keys, n);
			ok = false;
		}
	}
	return ok;
}

bool name_well_formed(struct str s)
{
	if (s.n == 0 || s.n > PROTO_NAME_MAX - 2)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool alnum =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!alnum && (i == 0 || !(c == '.' || c == '_' || c == '-')))
			return false;
	}
	return true;
}
