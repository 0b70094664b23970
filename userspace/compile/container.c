/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See container.h. Both shapes of the files are read: docker 20.10, and 26 and later (where
 * DNSNames stands beside Aliases and capabilities are written with CAP_). What is missing or null
 * is nothing; what has another form than engines write, or is past a bound, fails the whole answer.
 */
#include "compile/container.h"

#include "compile/mounts.h"
#include "policy/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
	struct arena *a;
	struct container_facts *to;
	const char *file; /* what is being read, for messages */
	char *why;
	size_t why_n;
};

static int refuse(const struct reading *r, const char *key, const char *what)
{
	snprintf(r->why, r->why_n, "%s: %s: %s", r->file, key, what);
	return -EINVAL;
}

/* 0 with *ret NULL when it is absent or null. */
static int get(const struct reading *r, const struct node *object, const char *key,
	       enum node_kind kind, const struct node **ret)
{
	const struct node *n = node_get(object, key);

	if (n && n->kind == NODE_NULL)
		n = NULL;
	if (n && n->kind != kind)
		return refuse(r, key, "is not of the form that docker writes");
	*ret = n;
	return 0;
}

static bool is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

static int get_text(const struct reading *r, const struct node *object, const char *key, size_t max,
		    struct str *ret)
{
	const struct node *n;
	int e = get(r, object, key, NODE_STRING, &n);

	if (e < 0)
		return e;
	if (n && (n->text.n > max || !is_clean(n->text)))
		return refuse(r, key, "is too long or holds control characters");
	*ret = n ? n->text : (struct str){ 0 };
	return 0;
}

static int add(const struct reading *r, struct container_list *l, const char *key, struct str text)
{
	for (unsigned i = 0; i < l->n; i++)
		if (str_eq(l->at[i], text))
			return 0;
	if (l->n == ARRAY_SIZE(l->at))
		return refuse(r, key, "more than 64 of them");
	l->at[l->n++] = arena_str(r->a, text);
	return 0;
}

/* GitHub's runner writes the first six digits of a hash as the key of its label. */
static bool is_runner_label(struct str key)
{
	if (str_starts(key, "com.gitlab.gitlab-runner.") || str_starts(key, "egret."))
		return true;
	if (key.n != 6)
		return false;
	for (size_t i = 0; i < key.n; i++)
		if (!(key.p[i] >= '0' && key.p[i] <= '9') && !(key.p[i] >= 'a' && key.p[i] <= 'f'))
			return false;
	return true;
}

static int read_labels(const struct reading *r, const struct node *config)
{
	const struct node *labels, *n;
	char line[PROTO_NAME_MAX + CONTAINER_TEXT_MAX + 2];
	int e = get(r, config, "Labels", NODE_OBJECT, &labels);

	for (n = labels && e == 0 ? labels->first : NULL; n && e == 0; n = n->next) {
		if (!is_runner_label(n->key))
			continue;
		if (n->kind != NODE_STRING || n->key.n > PROTO_NAME_MAX ||
		    n->text.n > CONTAINER_TEXT_MAX || !is_clean(n->key) || !is_clean(n->text) ||
		    memchr(n->key.p, '=', n->key.n))
			return refuse(
				r, "Labels",
				"a label of a runner is too long or holds control characters");
		snprintf(line, sizeof(line), "%.*s=%.*s", STR_ARG(n->key), STR_ARG(n->text));
		e = add(r, &r->to->labels, "Labels", str_of(line));
	}
	return e;
}

static int read_names(const struct reading *r, const struct node *endpoint, const char *key)
{
	const struct node *list, *n;
	int e = get(r, endpoint, key, NODE_ARRAY, &list);

	for (n = list && e == 0 ? list->first : NULL; n && e == 0; n = n->next) {
		if (n->kind != NODE_STRING || n->text.n > PROTO_NAME_MAX || !is_clean(n->text))
			return refuse(r, key, "a name is too long or holds control characters");
		e = add(r, &r->to->aliases, key, n->text);
	}
	return e;
}

static int read_networks(const struct reading *r, const struct node *settings)
{
	const struct node *networks, *n;
	int e = get(r, settings, "Networks", NODE_OBJECT, &networks);

	for (n = networks && e == 0 ? networks->first : NULL; n && e == 0; n = n->next) {
		if (n->key.n > PROTO_NAME_MAX || !is_clean(n->key))
			return refuse(r, "Networks",
				      "a name is too long or holds control characters");
		e = add(r, &r->to->networks, "Networks", n->key);
		if (e < 0 || n->kind == NODE_NULL)
			continue;
		if (n->kind != NODE_OBJECT)
			return refuse(r, "Networks", "is not of the form that docker writes");
		e = read_names(r, n, "Aliases");
		if (e == 0)
			e = read_names(r, n, "DNSNames");
	}
	return e;
}

static bool port_of(struct str s, uint64_t *ret)
{
	return str_u64(s, ret) == 0 && *ret > 0 && *ret < 65536;
}

/* The loopback address at which the engine listens for this HostIp; NULL: at neither. */
static const char *loopback_of(struct str ip)
{
	if (!ip.n || str_is(ip, "0.0.0.0") || str_is(ip, "127.0.0.1"))
		return "tcp4";
	return str_is(ip, "::") || str_is(ip, "::1") ? "tcp6" : NULL;
}

/* { "5432/tcp": [ { "HostIp": "0.0.0.0", "HostPort": "5432" } ] }. Said is what the engine holds: a
 * running container's ports, TCP, at the host's loopback. What somebody only asked for
 * (PortBindings) may be a port of the host's own daemon, and so may the same number of another
 * protocol or address. */
static int read_ports(const struct reading *r, const struct node *settings)
{
	const struct node *ports, *n, *at;
	int e = get(r, settings, "Ports", NODE_OBJECT, &ports);

	for (n = ports && e == 0 ? ports->first : NULL; n && e == 0; n = n->next) {
		const char *slash = memchr(n->key.p, '/', n->key.n);
		struct str inside = { n->key.p, slash ? (size_t)(slash - n->key.p) : n->key.n };
		uint64_t to, from;

		if (n->kind == NODE_NULL || (slash && strcmp(slash, "/tcp") != 0))
			continue;
		if (n->kind != NODE_ARRAY || !port_of(inside, &to))
			return refuse(r, "Ports", "is not of the form that docker writes");
		for (at = n->first; at && e == 0; at = at->next) {
			struct str host = { 0 }, ip = { 0 };
			char line[64];

			if (at->kind != NODE_OBJECT)
				return refuse(r, "Ports", "is not of the form that docker writes");
			e = get_text(r, at, "HostPort", 32, &host);
			if (e == 0)
				e = get_text(r, at, "HostIp", 64, &ip);
			if (e < 0 || !port_of(host, &from) || !loopback_of(ip))
				continue;
			snprintf(line, sizeof(line), "%s:%u:%u", loopback_of(ip), (unsigned)from,
				 (unsigned)to);
			e = add(r, &r->to->ports, "Ports", str_of(line));
		}
	}
	return e;
}

static int is_running(const struct reading *r, const struct node *root, bool *ret)
{
	const struct node *state, *running = NULL;
	int e = get(r, root, "State", NODE_OBJECT, &state);

	if (e == 0 && state)
		e = get(r, state, "Running", NODE_BOOL, &running);
	*ret = e == 0 && running && running->number;
	return e;
}

/* The values of an object or the elements of a list, each an object with a Source. */
static int read_mounts(const struct reading *r, const struct node *object, const char *key,
		       enum node_kind kind)
{
	const struct node *list, *n, *options, *driver;
	struct str source;
	int e = get(r, object, key, kind, &list);

	for (n = list && e == 0 ? list->first : NULL; n && e == 0; n = n->next) {
		if (n->kind != NODE_OBJECT)
			return refuse(r, key, "is not of the form that docker writes");
		e = get_text(r, n, "Source", PROTO_TEXT_MAX, &source);
		if (e < 0)
			return e;
		r->to->flags |= mount_flags(source);
		/* A volume may be a bind mount by its driver's options. */
		e = get(r, n, "VolumeOptions", NODE_OBJECT, &options);
		if (e == 0 && options)
			e = get(r, options, "DriverConfig", NODE_OBJECT, &driver);
		if (e < 0 || !options || !driver)
			continue;
		e = get(r, driver, "Options", NODE_OBJECT, &options);
		if (e < 0 || !options)
			continue;
		e = get_text(r, options, "device", PROTO_TEXT_MAX, &source);
		if (e == 0)
			r->to->flags |= mount_flags(source);
	}
	return e;
}

static int read_binds(const struct reading *r, const struct node *host)
{
	const struct node *list, *n;
	int e = get(r, host, "Binds", NODE_ARRAY, &list);

	for (n = list && e == 0 ? list->first : NULL; n; n = n->next) {
		const char *colon;

		if (n->kind != NODE_STRING || n->text.n > PROTO_TEXT_MAX)
			return refuse(r, "Binds", "is not of the form that docker writes");
		colon = memchr(n->text.p, ':', n->text.n);
		r->to->flags |= mount_flags(
			(struct str){ n->text.p, colon ? (size_t)(colon - n->text.p) : n->text.n });
	}
	return e;
}

static bool opens_the_host(struct str capability)
{
	static const char *const names[] = { "ALL",	   "SYS_ADMIN",	 "NET_ADMIN",
					     "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO",
					     "BPF",	   "PERFMON",	 "DAC_READ_SEARCH" };
	size_t i;

	if (capability.n > 4 && str_eq_nocase((struct str){ capability.p, 4 }, STR("CAP_")))
		capability = (struct str){ capability.p + 4, capability.n - 4 };
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq_nocase(capability, str_of(names[i])))
			return true;
	return false;
}

static int read_capabilities(const struct reading *r, const struct node *host)
{
	const struct node *list, *n;
	int e = get(r, host, "CapAdd", NODE_ARRAY, &list);

	for (n = list && e == 0 ? list->first : NULL; n; n = n->next) {
		if (n->kind != NODE_STRING)
			return refuse(r, "CapAdd", "is not of the form that docker writes");
		if (opens_the_host(n->text))
			r->to->flags |= INSPECT_CAPABILITIES;
	}
	return e;
}

static int read_devices(const struct reading *r, const struct node *host)
{
	const struct node *list, *n;
	struct str path;
	int e = get(r, host, "DeviceCgroupRules", NODE_ARRAY, &list);

	if (e == 0 && list && list->first)
		r->to->flags |= INSPECT_DEVICES;
	if (e == 0)
		e = get(r, host, "Devices", NODE_ARRAY, &list);
	for (n = list && e == 0 ? list->first : NULL; n && e == 0; n = n->next) {
		if (n->kind != NODE_OBJECT)
			return refuse(r, "Devices", "is not of the form that docker writes");
		e = get_text(r, n, "PathOnHost", PROTO_TEXT_MAX, &path);
		if (e == 0 && !device_is_harmless(path))
			r->to->flags |= INSPECT_DEVICES;
	}
	return e;
}

static int read_config(const struct reading *r, const struct node *root)
{
	const struct node *config, *settings;
	bool running = false;
	int e = get(r, root, "Config", NODE_OBJECT, &config);

	if (e == 0)
		e = get(r, root, "NetworkSettings", NODE_OBJECT, &settings);
	if (e < 0)
		return e;
	if (!config || !settings)
		return refuse(r, config ? "NetworkSettings" : "Config", "is missing");
	e = get_text(r, root, "Name", PROTO_NAME_MAX + 1, &r->to->name);
	if (e == 0 && r->to->name.n && r->to->name.p[0] == '/')
		r->to->name = (struct str){ r->to->name.p + 1, r->to->name.n - 1 };
	if (e == 0)
		e = get_text(r, config, "Image", CONTAINER_TEXT_MAX, &r->to->image);
	if (e == 0)
		e = read_labels(r, config);
	if (e == 0)
		e = read_networks(r, settings);
	if (e == 0)
		e = is_running(r, root, &running);
	if (e == 0 && running)
		e = read_ports(r, settings);
	return e == 0 ? read_mounts(r, root, "MountPoints", NODE_OBJECT) : e;
}

static int read_host(const struct reading *r, const struct node *root)
{
	const struct node *privileged;
	struct str network, pid;
	int e = get(r, root, "Privileged", NODE_BOOL, &privileged);

	if (e == 0)
		e = get_text(r, root, "NetworkMode", PROTO_NAME_MAX * 2, &network);
	if (e == 0)
		e = get_text(r, root, "PidMode", PROTO_NAME_MAX * 2, &pid);
	if (e < 0)
		return e;
	if (!privileged || !network.n)
		return refuse(r, privileged ? "NetworkMode" : "Privileged", "is missing");
	if (privileged->number)
		r->to->flags |= INSPECT_PRIVILEGED;
	if (str_is(network, "host"))
		r->to->flags |= INSPECT_HOST_NET;
	if (str_is(pid, "host"))
		r->to->flags |= INSPECT_HOST_PID;
	e = read_capabilities(r, root);
	if (e == 0)
		e = read_devices(r, root);
	if (e == 0)
		e = read_binds(r, root);
	if (e == 0)
		e = read_mounts(r, root, "Mounts", NODE_ARRAY);
	return e;
}

static const struct node *load(const struct reading *r, struct str text)
{
	struct diag_file f = { str_of(r->file), text };
	const struct node *root;
	struct diag d;

	diag_init(&d);
	root = json_load_loose(r->a, &f, &d);
	if (!root) {
		snprintf(r->why, r->why_n, "%.*s", STR_ARG(buf_str(&d.text)));
	} else if (root->kind != NODE_OBJECT) {
		snprintf(r->why, r->why_n, "%s: is not an object", r->file);
		root = NULL;
	}
	diag_done(&d);
	return root;
}

int container_read(struct arena *a, struct str config, struct str host, struct container_facts *ret,
		   char *why, size_t n)
{
	struct container_facts facts = { 0 };
	struct reading r = { a, &facts, "config.v2.json", why, n };
	const struct node *root = load(&r, config);
	int e = root ? read_config(&r, root) : -EINVAL;

	if (e < 0)
		return e;
	r.file = "hostconfig.json";
	root = load(&r, host);
	e = root ? read_host(&r, root) : -EINVAL;
	if (e == 0)
		*ret = facts;
	return e;
}
