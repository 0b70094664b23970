/* SPDX-License-Identifier: Apache-2.0 */
/* See mounts.h. Pure: the paths are compared, never opened. */
#include "compile/mounts.h"

#include "base/engines.h"
#include "base/proto.h"

#include <stdio.h>

/* With one of these, or a folder that holds it, a container can change the host. */
static const char *const host_trees[] = {
	"/proc",	   "/sys/fs/cgroup",	  "/sys/kernel",      "/dev",
	"/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/containers"
};
static const char *const host_folders[] = { "/etc",   "/usr",  "/bin",	"/sbin", "/lib",
					    "/lib64", "/boot", "/root", "/home" };
static const char *const devices[] = { "/dev/null",    "/dev/zero", "/dev/full", "/dev/random",
				       "/dev/urandom", "/dev/fuse", "/dev/kvm" };

/* Without "//", "/./" and "x/.."; "" for the root. false: too long, or relative. */
static bool normal(struct str s, char *to, size_t size)
{
	size_t at = 0, i = 0;

	if (!s.n || s.p[0] != '/' || s.n >= size)
		return false;
	while (i < s.n) {
		size_t start = ++i;

		while (i < s.n && s.p[i] != '/')
			i++;
		if (i == start || (i - start == 1 && s.p[start] == '.'))
			continue;
		if (i - start == 2 && s.p[start] == '.' && s.p[start + 1] == '.') {
			while (at > 0 && to[--at] != '/')
				;
			continue;
		}
		to[at++] = '/';
		memcpy(to + at, s.p + start, i - start);
		at += i - start;
	}
	to[at] = 0;
	return true;
}

/* Is a the same as b, or a folder above it? */
static bool holds(const char *a, const char *b)
{
	size_t n = strlen(a);

	return !strncmp(a, b, n) && (b[n] == 0 || b[n] == '/');
}

/* The socket itself can be left out of a container; a folder with it cannot. */
static uint64_t engine_flags(const char *path)
{
	const char *below;

	if (engine_socket_named(path))
		return INSPECT_ENGINE_SOCKET_FILE;
	for (size_t i = 0; engine_sockets[i]; i++)
		if (holds(path, engine_sockets[i]))
			return strcmp(path, engine_sockets[i]) ? INSPECT_ENGINE_SOCKET
							       : INSPECT_ENGINE_SOCKET_FILE;
	/* A user's own engine: /run/user/UID, whoever it is. */
	if (!strncmp(path, "/run/user/", 10)) {
		below = strchr(path + 10, '/');
		if (!below || !strcmp(below, "/podman") || !strcmp(below, "/docker") ||
		    !strcmp(below, "/containerd"))
			return INSPECT_ENGINE_SOCKET;
	}
	return 0;
}

static bool holds_host(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(host_trees); i++)
		if (holds(path, host_trees[i]) ||
		    (holds(host_trees[i], path) && !device_is_harmless(str_of(path)) &&
		     strcmp(path, "/dev/shm") && strncmp(path, "/var/lib/docker/volumes/", 24) &&
		     strncmp(path, "/var/lib/containers/storage/volumes/", 36)))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(host_folders); i++)
		if (!strcmp(path, host_folders[i]))
			return true;
	return false;
}

uint64_t mount_flags(struct str source)
{
	char path[PROTO_TEXT_MAX + 2];
	uint64_t flags = 0;

	if (!source.n || source.p[0] != '/')
		return 0;
	/* What cannot be judged is taken for the worst. */
	if (!normal(source, path, sizeof(path)))
		return INSPECT_ENGINE_SOCKET | INSPECT_DEVICES;
	if (!strcmp(path, "/var"))
		flags |= INSPECT_ENGINE_SOCKET;
	if (holds("/var/run", path))
		memmove(path, path + 4, strlen(path + 4) + 1);
	flags |= engine_flags(path);
	if (holds_host(path))
		flags |= INSPECT_DEVICES;
	return flags;
}

bool device_is_harmless(struct str path)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (str_is(path, devices[i]))
			return true;
	return false;
}
