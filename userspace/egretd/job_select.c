/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which policy, which credentials: chosen from compiled images by the job's facts. Called by
 * job_run.c once the files given with the job are compiled. Decides nothing about traffic; fills
 * what job_make.c hands to the proxy, the broker and the cage, and takes the policy's rules
 * `direct` for the kernel. With two policies nothing is direct: the proxy asks both.
 */
#include "egretd/direct.h"
#include "egretd/job.h"

#include "egretd/override.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CREDENTIALS_MAX 64
#define DIALS_MAX (1024 + POLICY_DIRECT_MAX)

static int find_policy(const struct pack *k, struct str name, uint32_t *ret)
{
	struct policy p;
	uint32_t i;

	for (i = 0; i < k->count; i++) {
		if (policy_open(pack_at(k, i), &p) == 0 && str_eq(policy_name(&p), name)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

static int select_installed(struct job *j, struct str *ret, char *why, size_t n)
{
	const struct pack *k = &j->d->library.policies;
	struct policy a, b;
	uint32_t at = 0, other = 0;
	int r;

	if (j->wants_policy.n) {
		r = find_policy(k, j->wants_policy, &at);
		if (r < 0)
			snprintf(why, n, "policy %s is not among the installed policies",
				 j->wants_policy.p);
	} else if (!j->admin) {
		r = find_policy(k, j->d->config.run_policy, &at);
		if (r < 0)
			snprintf(why, n,
				 "run.policy names %s, which is not among the installed policies",
				 j->d->config.run_policy.p);
	} else {
		r = policy_select(k, &j->facts, &at, &other);
		if (r == -ENOTUNIQ && policy_open(pack_at(k, at), &a) == 0 &&
		    policy_open(pack_at(k, other), &b) == 0)
			snprintf(why, n,
				 "policies %.*s and %.*s fit this job equally well: give one of "
				 "them a higher priority",
				 STR_ARG(policy_name(&a)), STR_ARG(policy_name(&b)));
		else if (r < 0)
			snprintf(why, n,
				 "no installed policy is for this job: give --policy FILE, or "
				 "label the job so that a policy's `for` fits");
	}
	if (r == 0)
		*ret = pack_at(k, at);
	return r;
}

static int add_policy(struct job *j, struct str image)
{
	int r = pack_write(&image, 1, &j->policies[j->npolicies]);

	if (r == 0)
		j->npolicies++;
	return r;
}

/* What is chosen so far, by name. */
struct chosen {
	struct str image;
	int keys;
	size_t from;	/* 0: given with the job */
	struct str tie; /* another image that fits as well; n = 0: none */
};

struct choice {
	struct chosen at[CREDENTIALS_MAX];
	uint32_t n;
};

static struct chosen *chosen_find(struct choice *c, struct str name)
{
	struct credential seen;

	for (uint32_t i = 0; i < c->n; i++)
		if (credential_open(c->at[i].image, &seen) == 0 &&
		    str_eq(credential_name(&seen), name))
			return &c->at[i];
	return NULL;
}

static bool one_fits(const struct job *j, const struct pack *k, struct str name)
{
	struct credential c;

	for (uint32_t i = 0; i < k->count; i++)
		if (credential_open(pack_at(k, i), &c) == 0 && str_eq(credential_name(&c), name) &&
		    credential_for(&c, &j->facts) >= 0)
			return true;
	return false;
}

/* Of several with one name the most specific; one given with the job stands before all installed
 * ones. */
static int choose(struct choice *to, struct str image, size_t from, int keys, char *why, size_t n)
{
	struct credential c;
	struct chosen *o;

	if (credential_open(image, &c) < 0)
		return -EBADMSG;
	o = chosen_find(to, credential_name(&c));
	if (!o && to->n == CREDENTIALS_MAX) {
		snprintf(why, n, "more than %d credentials are for this job", CREDENTIALS_MAX);
		return -E2BIG;
	}
	if (!o)
		o = &to->at[to->n++];
	else if (o->from < from || o->keys > keys)
		return 0;
	else if (o->keys == keys) {
		o->tie = image;
		return 0;
	}
	*o = (struct chosen){ .image = image, .keys = keys, .from = from };
	return 0;
}

static int add_variable(struct job *j, struct str entry, struct str key, char *why, size_t n)
{
	for (unsigned i = 0; i < j->nplaceholders; i++) {
		struct str o = j->placeholders[i];

		if (str_eq(o, entry))
			return 0;
		if (o.n <= key.n || memcmp(o.p, key.p, key.n) != 0 || o.p[key.n] != '=')
			continue;
		snprintf(why, n,
			 "two credentials that are for this job put another placeholder into the "
			 "variable %.*s each: let one of them have another variable, or another "
			 "`for`",
			 STR_ARG(key));
		return -ENOTUNIQ;
	}
	if (j->nplaceholders == ARRAY_SIZE(j->placeholders)) {
		snprintf(why, n, "the credentials of this job fill more than %zu variables",
			 ARRAY_SIZE(j->placeholders));
		return -E2BIG;
	}
	j->placeholders[j->nplaceholders++] = entry;
	return 0;
}

static int add_placeholder(struct job *j, const struct credential *c, char *why, size_t n)
{
	struct str env, value = credential_placeholder(c);
	size_t at = 0;
	int r = 0;

	while (r == 0 && credential_each_env(c, &at, &env)) {
		size_t size = env.n + value.n + 2;
		char *entry = arena_new(&j->arena, size);

		snprintf(entry, size, "%.*s=%.*s", STR_ARG(env), STR_ARG(value));
		r = add_variable(j, str_of(entry), env, why, n);
	}
	/* Clients of AWS ask 169.254.170.2 for keys then, which is the job's own proxy. */
	if (r == 0 && credential_provider(c) == PROVIDER_AWS)
		r = add_variable(j,
				 STR("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=" CREDENTIAL_AWS_PATH),
				 STR("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), why, n);
	return r;
}

static int select_credentials(struct job *j, char *why, size_t n)
{
	const struct pack *packs[] = { &j->own.credentials, &j->d->library.credentials };
	struct str images[CREDENTIALS_MAX];
	struct choice chosen = { .n = 0 };
	struct credential c;
	int keys, r;

	for (size_t p = 0; p < ARRAY_SIZE(packs); p++) {
		for (uint32_t i = 0; i < packs[p]->count; i++) {
			if (credential_open(pack_at(packs[p], i), &c) < 0)
				return -EBADMSG;
			keys = credential_for(&c, &j->facts);
			if (keys < 0 && p == 0 && !one_fits(j, packs[p], credential_name(&c))) {
				snprintf(why, n,
					 "credential %.*s is not for this job: its `for` does not "
					 "fit",
					 STR_ARG(credential_name(&c)));
				return -EPERM;
			}
			/* One that was given with the job is meant for it, whatever it is. */
			if (keys < 0 || (p > 0 && !j->confined && !credential_any_tier(&c)))
				continue;
			r = choose(&chosen, pack_at(packs[p], i), p, keys, why, n);
			if (r < 0)
				return r;
		}
	}
	for (uint32_t i = 0; i < chosen.n; i++) {
		const struct chosen *o = &chosen.at[i];

		images[i] = o->image;
		if (credential_open(o->image, &c) < 0)
			return -EBADMSG;
		if (o->tie.n) {
			snprintf(why, n,
				 "two credentials named %.*s fit this job equally well, with %d "
				 "facts each: let the `for` of one of them say more",
				 STR_ARG(credential_name(&c)), o->keys);
			return -ENOTUNIQ;
		}
		r = add_placeholder(j, &c, why, n);
		if (r < 0)
			return r;
	}
	return chosen.n ? pack_write(images, chosen.n, &j->creds) : 0;
}

int dial_of(const char *text, struct kernel_dial *ret)
{
	char addr[64];
	const char *slash = strchr(text, '/');
	struct in_addr v4;
	uint64_t prefix = 0;
	bool is4;

	snprintf(addr, sizeof(addr), "%.*s", slash ? (int)(slash - text) : 63, text);
	memset(ret, 0, sizeof(*ret));
	is4 = inet_pton(AF_INET, addr, &v4) == 1;
	if (is4) {
		ret->addr[10] = ret->addr[11] = 0xff;
		memcpy(ret->addr + 12, &v4, 4);
	} else if (inet_pton(AF_INET6, addr, ret->addr) != 1) {
		return -EINVAL;
	}
	if (slash && str_u64(str_of(slash + 1), &prefix) < 0)
		return -EINVAL;
	if (!slash)
		prefix = is4 ? 32 : 128;
	if (prefix > (is4 ? 32u : 128u))
		return -EINVAL;
	ret->prefix = (uint8_t)(is4 ? prefix + 96 : prefix);
	return 0;
}

/* "ip", "ip:port" or "[v6]:port" */
static int nameserver_of(const char *text, struct kernel_dial *ret)
{
	char addr[64];
	const char *colon = strrchr(text, ':'), *first = strchr(text, ':');
	uint64_t port = 53;

	snprintf(addr, sizeof(addr), "%s", text);
	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (!end)
			return -EINVAL;
		snprintf(addr, sizeof(addr), "%.*s", (int)(end - text - 1), text + 1);
		if (end[1] == ':' && str_u64(str_of(end + 2), &port) < 0)
			return -EINVAL;
	} else if (colon && colon == first) {
		snprintf(addr, sizeof(addr), "%.*s", (int)(colon - text), text);
		if (str_u64(str_of(colon + 1), &port) < 0)
			return -EINVAL;
	}
	if (port == 0 || port > 65535 || dial_of(addr, ret) < 0)
		return -EINVAL;
	ret->port_lo = ret->port_hi = (uint16_t)port;
	ret->flags = EGRET_CAGE_UDP;
	return 0;
}

/* The parent proxy, by the addresses that the configuration itself says: its own, or those of its
 * name in upstream.hosts. One that only nameservers know must be public, or in allow_private. */
static void add_parent(const struct config *c, struct kernel_dial *list, size_t *n)
{
	char text[300], name[300];
	struct kernel_dial at;
	char *slash, *colon;
	unsigned i;

	if (c->upstream_proxy.n < 8)
		return;
	snprintf(text, sizeof(text), "%s", c->upstream_proxy.p + 7);
	slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	if (nameserver_of(text, &at) == 0) {
		at.flags = 0;
		list[(*n)++] = at;
		return;
	}
	colon = strrchr(text, ':');
	if (!colon)
		return;
	snprintf(name, sizeof(name), "%.*s=", (int)(colon - text), text);
	for (i = 0; i < c->hosts.n; i++) {
		char addrs[1024], *save = NULL, *one;

		if (strncasecmp(c->hosts.at[i].p, name, strlen(name)) != 0)
			continue;
		snprintf(addrs, sizeof(addrs), "%s", c->hosts.at[i].p + strlen(name));
		for (one = strtok_r(addrs, ",", &save); one && *n < DIALS_MAX / 2;
		     one = strtok_r(NULL, ",", &save)) {
			uint64_t port;

			if (dial_of(one, &at) < 0 || str_u64(str_of(colon + 1), &port) < 0)
				continue;
			at.flags = 0;
			at.port_lo = at.port_hi = (uint16_t)port;
			list[(*n)++] = at;
		}
	}
}

/* What this job's proxy may dial inside the ranges that the cage closes: the nameservers, the
 * parent proxy, what the configuration allows to all, and the address blocks that the job's own
 * rules name. */
static int list_dials(struct job *j, const struct policy *p)
{
	const struct config *c = &j->d->config;
	struct policy_block b;
	size_t at = 0, n = 0;
	unsigned i;

	j->dials = mem_new(DIALS_MAX * sizeof(*j->dials));
	for (i = 0; i < c->nameservers.n; i++)
		if (nameserver_of(c->nameservers.at[i].p, &j->dials[n]) == 0)
			n++;
	add_parent(c, j->dials, &n);
	for (i = 0; i < c->allow_private.n; i++) {
		if (dial_of(c->allow_private.at[i].p, &j->dials[n]) == 0) {
			j->dials[n].port_lo = 1;
			j->dials[n].port_hi = 65535;
			n++;
		}
	}
	while (policy_each_block(p, &at, &b)) {
		if (n == DIALS_MAX)
			return -E2BIG;
		memcpy(j->dials[n].addr, b.addr, 16);
		j->dials[n].prefix = b.prefix;
		j->dials[n].port_lo = b.port_lo;
		j->dials[n].port_hi = b.port_hi;
		n++;
	}
	j->ndials = n;
	return 0;
}

int job_dials(struct job *j)
{
	struct library l = { 0 };
	struct policy p;
	int r = library_open(j->policies[0], -1, &l);

	if (r == 0 && l.policies.count == 0)
		r = -EBADMSG;
	if (r == 0)
		r = policy_open(pack_at(&l.policies, 0), &p);
	if (r == 0) {
		/* Of two policies the first: the other may only take away. */
		j->opens_tls = policy_opens_tls(&p);
		free(j->dials);
		j->dials = NULL;
		j->ndials = 0;
		r = list_dials(j, &p);
	}
	library_close(&l);
	return r;
}

int job_select(struct job *j, char *why, size_t n)
{
	cleanup_free char *overridden = NULL;
	struct str base = { NULL, 0 };
	uint64_t until_us = 0;
	struct policy p;
	int r = 0;

	why[0] = 0;
	j->own_policy = j->own.policies.count > 0;
	if (j->own.policies.count > 0 && j->admin)
		base = pack_at(&j->own.policies, 0);
	else
		r = select_installed(j, &base, why, n);
	if (r == 0 && !j->own_policy)
		until_us = override_until(j->d, job_fact_of(j, "repo"), j->facts.assurance);
	if (until_us) {
		r = policy_audit_until(base, until_us, &overridden);
		base.p = overridden;
	}
	if (r == 0)
		r = policy_open(base, &p);
	if (r == 0)
		r = add_policy(j, base);
	if (r == 0 && !j->admin && j->own.policies.count > 0)
		r = add_policy(j, pack_at(&j->own.policies, 0));
	if (r == 0) {
		/* What narrows a policy may only take away. */
		struct policy narrow;
		bool two = !j->admin && j->own.policies.count > 0 &&
			   policy_open(pack_at(&j->own.policies, 0), &narrow) == 0;

		j->services_rule =
			policy_services(&p, NULL) && (!two || policy_services(&narrow, NULL));
		j->opens_tls = policy_opens_tls(&p);
		j->inbound = policy_inbound(&p) && (!two || policy_inbound(&narrow));
		j->capabilities =
			policy_capabilities(&p) & (two ? policy_capabilities(&narrow) : ~0u);
		j->policy_name = arena_str(&j->arena, policy_name(&p));
		j->policy_digest = arena_str(&j->arena, policy_digest(&p));
		r = list_dials(j, &p);
		if (r == 0 && !two)
			r = direct_take(j->d, &p, 0, &j->direct, why, n);
	}
	if (r == 0)
		r = select_credentials(j, why, n);
	if (r < 0 && !why[0])
		snprintf(why, n, "the job's policy cannot be prepared: %s", strerror(-r));
	return r;
}

/* What the resolver gives out as addresses is nobody's: closed to proxies by the kernel too. */
int dials_close_synthetic(struct daemon *d)
{
	struct kernel_dial closed[CONFIG_LIST_MAX];
	unsigned i;

	for (i = 0; i < d->config.synthetic.n; i++) {
		if (dial_of(d->config.synthetic.at[i].p, &closed[i]) < 0)
			return -EINVAL;
		closed[i].port_lo = 1;
		closed[i].port_hi = 65535;
	}
	return kernel_cage_close(d->kernel, closed, i);
}
