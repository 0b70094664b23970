/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searches the memory (environment and stacks included) of processes for a secret: the test of
 * promise P2, used by the demo and the tests. The secret comes on stdin, never as an argument, so
 * that this program's own argv is no hit for others. Needs root.
 *
 *   scan PID... < SECRET      a line per process "PID COMM HITS", exit 0 none, 1 found, 2 could not
 * look
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define CHUNK (1u << 20)

static char needle[4096];
static size_t needle_n;

/* How often it stands in [from, to). Reads overlap by the needle's length, so that no edge hides
 * one. */
static unsigned long count_range(int mem, unsigned long from, unsigned long to, char *chunk)
{
	unsigned long hits = 0;

	while (from < to) {
		size_t want = to - from < CHUNK ? to - from : CHUNK;
		ssize_t n = pread(mem, chunk, want, (off_t)from);

		if (n <= 0) {
			/* A page that cannot be read (guard, device): step over it. */
			from = (from | 4095) + 1;
			continue;
		}
		for (char *at = chunk;
		     (at = memmem(at, (size_t)(chunk + n - at), needle, needle_n)); at++)
			hits++;
		if ((size_t)n == want && want == to - from)
			break;
		from += (size_t)n > needle_n ? (size_t)n - needle_n + 1 : (size_t)n;
	}
	return hits;
}

static int scan_pid(const char *pid, unsigned long *ret)
{
	char path[64], line[1024], comm[32] = "?";

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	FILE *f = fopen(path, "re");

	if (f) {
		if (fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = 0;
		fclose(f);
	}
	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	int mem = open(path, O_RDONLY | O_CLOEXEC);

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	FILE *maps = fopen(path, "re");

	if (mem < 0 || !maps) {
		int err = errno;

		if (mem >= 0)
			close(mem);
		if (maps)
			fclose(maps);
		/* Ended meanwhile: nothing left to search. */
		if (err == ENOENT || err == ESRCH)
			return 0;
		fprintf(stderr, "scan: %s: %s\n", pid, strerror(err));
		return -err;
	}
	char *chunk = malloc(CHUNK);
	unsigned long hits = 0;

	if (!chunk)
		abort();
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char mode[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[0] != 'r' ||
		    strstr(line, "[vsyscall]"))
			continue;
		hits += count_range(mem, from, to, chunk);
	}
	explicit_bzero(chunk, CHUNK);
	free(chunk);
	fclose(maps);
	close(mem);
	printf("%s %s %lu\n", pid, comm, hits);
	*ret += hits;
	return 0;
}

int main(int argc, char **argv)
{
	ssize_t n = read(STDIN_FILENO, needle, sizeof(needle));

	while (n > 0 && needle[n - 1] == '\n')
		n--;
	if (n < 8 || argc < 2) {
		fprintf(stderr, "scan: usage: scan PID... < SECRET (8 bytes or more)\n");
		return 2;
	}
	needle_n = (size_t)n;
	unsigned long total = 0;
	int fault = 0;

	for (int i = 1; i < argc; i++)
		if (scan_pid(argv[i], &total))
			fault = 1;
	return fault ? 2 : total ? 1 : 0;
}
