/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mounts of config.json bring an engine's socket into a container, as the host has it: links
 * are followed and inodes compared, which nobody who reads the engine's words alone can do. Called
 * by create.c before egretd is asked; what the answer says of it is done by splice.c.
 */
#include "oci/oci.h"

#include "base/engines.h"
#include "base/proto.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool is_socket(const char *from, const char *real, const struct stat *st)
{
	struct stat it;

	if (engine_socket_named(from) || (real && engine_socket_named(real)))
		return true;
	for (size_t i = 0; real && S_ISSOCK(st->st_mode) && engine_sockets[i]; i++)
		if (stat(engine_sockets[i], &it) == 0 && it.st_dev == st->st_dev &&
		    it.st_ino == st->st_ino)
			return true;
	return false;
}

static bool holds(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	return n == 1 || (!strncmp(folder, path, n) && path[n] == '/');
}

static bool holds_socket(const char *real)
{
	char at[PATH_MAX];

	for (size_t i = 0; engine_sockets[i]; i++)
		if (holds(real, engine_sockets[i]) ||
		    (realpath(engine_sockets[i], at) && holds(real, at)))
			return true;
	return false;
}

uint64_t sockets_look(const struct found *f, bool *hidden)
{
	uint64_t flags = 0;

	for (uint32_t i = 0; i < f->mounts.count; i++) {
		const struct found_mount *m = &f->mount_of[i];
		const char *from = found_words(f, m->from).p;
		char path[PATH_MAX];
		const char *real;
		struct stat st = { 0 };

		/* Ours of an earlier run and what is not of the host have no place here. */
		if (!m->from.n || !m->to.n || from[0] != '/' || !m->bind)
			continue;
		real = realpath(from, path);
		if (real && stat(real, &st) < 0)
			real = NULL;
		hidden[i] = is_socket(from, real, &st);
		if (hidden[i])
			flags |= PREPARE_SOCKET;
		else if (real && S_ISDIR(st.st_mode) && holds_socket(real))
			flags |= PREPARE_SOCKET_FOLDER;
	}
	return flags;
}
