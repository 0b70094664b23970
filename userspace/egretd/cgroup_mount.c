/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds cgroup2 in a mountinfo: pure text work, used by cgroup.c and the probe. The text is the
 * kernel's, but mount points in it may have been named by others: escapes are undone, lengths are
 * checked, what does not fit is passed over.
 */
#include "egretd/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CANDIDATES_MAX 16

struct mount_line {
	struct str root, point, type;
};

static bool next_word(struct str *line, struct str *ret)
{
	size_t i = 0;

	while (line->n && *line->p == ' ') {
		line->p++;
		line->n--;
	}
	while (i < line->n && line->p[i] != ' ')
		i++;
	*ret = (struct str){ line->p, i };
	line->p += i;
	line->n -= i;
	return i > 0;
}

/* "36 35 98:0 /root /point options [tags] - type source super" */
static bool line_parse(struct str line, struct mount_line *m)
{
	struct str word;

	for (int i = 0; i < 3; i++)
		if (!next_word(&line, &word))
			return false;
	if (!next_word(&line, &m->root) || !next_word(&line, &m->point) || !next_word(&line, &word))
		return false;
	do {
		if (!next_word(&line, &word))
			return false;
	} while (!str_is(word, "-"));
	return next_word(&line, &m->type);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Undoes \040 and its kin. */
static bool path_unescape(struct str s, char *to, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 3 < s.n && is_octal(s.p[i + 1]) && is_octal(s.p[i + 2]) &&
		    is_octal(s.p[i + 3])) {
			c = (char)(((s.p[i + 1] - '0') << 6) | ((s.p[i + 2] - '0') << 3) |
				   (s.p[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= size)
			return false;
		to[n++] = c;
	}
	to[n] = 0;
	return n > 0 && to[0] == '/';
}

/* A later mount on `over`, or above it, hides what is at `path`. */
static bool hides(const char *over, const char *path)
{
	size_t n = strlen(over);

	if (strcmp(over, "/") == 0)
		return true;
	return strncmp(over, path, n) == 0 && (path[n] == 0 || path[n] == '/');
}

int cgroup_mount_parse(struct str text, struct cgroup_mount *ret)
{
	char(*found)[CGROUP_PATH_MAX] = mem_new(CANDIDATES_MAX * sizeof(*found));
	cleanup_free char *path = mem_new(CGROUP_PATH_MAX);
	bool hybrid = false;
	size_t n = 0, best = 0;

	while (text.n) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t len = end ? (size_t)(end - text.p) : text.n;
		struct str line = { text.p, len };
		struct mount_line m;

		text.p += end ? len + 1 : len;
		text.n -= end ? len + 1 : len;
		if (!line_parse(line, &m) || !path_unescape(m.point, path, CGROUP_PATH_MAX))
			continue;
		for (size_t i = 0; i < n;) {
			if (hides(path, found[i]))
				memmove(found[i], found[--n], CGROUP_PATH_MAX);
			else
				i++;
		}
		if (str_is(m.type, "cgroup"))
			hybrid = true;
		if (str_is(m.type, "cgroup2") && str_is(m.root, "/") && n < CANDIDATES_MAX)
			memcpy(found[n++], path, strlen(path) + 1);
	}
	for (size_t i = 1; i < n; i++)
		if (strlen(found[i]) < strlen(found[best]))
			best = i;
	if (n) {
		memcpy(ret->path, found[best], CGROUP_PATH_MAX);
		ret->hybrid = hybrid;
	}
	free(found);
	return n ? 0 : -ENOENT;
}

int cgroup_mount_find(struct cgroup_mount *ret, char *why, size_t size)
{
	cleanup_close int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct buf text;
	int r = 0;

	if (fd < 0) {
		r = -errno;
		snprintf(why, size, "/proc/self/mountinfo cannot be read (%s): mount proc on /proc",
			 strerror(-r));
		return r;
	}
	buf_init(&text, 4u << 20);
	for (;;) {
		ssize_t got;

		r = buf_reserve(&text, 16384);
		if (r)
			break;
		got = read(fd, text.p + text.n, 16384);
		if (got <= 0) {
			r = got < 0 ? -errno : 0;
			break;
		}
		text.n += (size_t)got;
	}
	if (!r)
		r = cgroup_mount_parse(buf_str(&text), ret);
	if (r)
		snprintf(why, size,
			 "no cgroup2 file system is mounted whole: mount -t cgroup2 none "
			 "/sys/fs/cgroup/unified (hybrid) or boot with "
			 "systemd.unified_cgroup_hierarchy=1");
	buf_done(&text);
	return r;
}
