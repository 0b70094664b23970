/* SPDX-License-Identifier: Apache-2.0 */
/* See engines.h. */
#include "base/engines.h"

const char *const engine_sockets[] = { "/run/docker.sock",
				       "/run/docker/containerd/containerd.sock",
				       "/run/containerd/containerd.sock",
				       "/run/podman/podman.sock",
				       "/run/crio/crio.sock",
				       "/run/buildkit/buildkitd.sock",
				       "/run/user/0/docker.sock",
				       "/var/lib/lxd/unix.socket",
				       "/var/snap/lxd/common/lxd/unix.socket",
				       "/var/lib/incus/unix.socket",
				       "/run/incus/unix.socket",
				       NULL };

bool engine_socket_named(const char *path)
{
	static const char *const names[] = { "docker.sock", "containerd.sock", "podman.sock",
					     "crio.sock", "buildkitd.sock" };
	const char *name = strrchr(path, '/');

	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
		if (!strcmp(name + 1, names[i]))
			return true;
	return false;
}
