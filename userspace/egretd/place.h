/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup's path says: whose unit, which container. Pure. Paths are the kernel's, names in
 * them were chosen by engines and whoever may make cgroups: compared and bounded, never believed
 * alone. Shapes: ../docs/architecture.md, "Cgroup paths".
 */
#ifndef EGRET_EGRETD_PLACE_H
#define EGRET_EGRETD_PLACE_H

#include "base/bytes.h"

#define PLACE_ID_MAX 129

/* The container whose cgroup (or one below it) this is: 64 hexadecimal digits for docker, podman
 * and CRI, or what `ctr` users wrote for others. engine: "docker", "podman", "containerd", "crio",
 * or "" when the shape does not tell. -ENOENT: no container's shape. Handles <id>,
 * docker-<id>.scope, libpod-<id>.scope[/container], cri-containerd-<id>.scope, crio-<id>.scope,
 * PREFIX:<id>; the deepest component that has the shape wins. */
struct place {
	char id[PLACE_ID_MAX];
	const char *engine;
};
int place_container(struct str path, struct place *ret) MUST_CHECK;

/* cgroupsPath of an OCI config.json: "/a/b", "a/b" or "slice:prefix:name" (systemd's form, slices
 * expanded: a-b.slice is a.slice/a-b.slice) to a path with a leading '/'. -EINVAL: "..", empty, too
 * long, control bytes. */
int place_oci(struct str cgroups_path, char *to, size_t size) MUST_CHECK;

/* Does a unit's cgroup stand in this path: the component that matches `pattern` (fnmatch(3) with
 * FNM_PATHNAME, e.g. actions.runner.*.service), below slices only? ret_n: length of the path up to
 * and with that component. */
bool place_unit(struct str path, const char *pattern, size_t *ret_n);

#endif
