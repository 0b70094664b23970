/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register to ready: what a caller waits for between asking a standing egretd for a job (MSG_RUN)
 * and hearing that it runs (MSG_JOB): policy chosen, cgroups, namespace, listeners, ring, the cold
 * exec of the proxy with its jail, the job's CA, and the job's first process. Asks exactly as
 * `egret run -- true` does, one job after the other, each on a connection of its own, the next when
 * the last has ended. Started by tests/bench/run.sh; trusts the egretd that it starts.
 *
 *   bench_register CONTROL_SOCKET JOBS KEY=VALUE...     prints one JSON object, times in us
 */
#include "base/clock.h"
#include "base/msg.h"
#include "base/proto.h"
#include "base/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 20000
#define JOBS_MAX 10000

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    (size_t)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path) >= sizeof(sa.sun_path))
		die("bench_register: %s: no such socket", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die("bench_register: %s: %s", path, strerror(errno));
	return fd;
}

/* The next message; anything but `want` ends the run with its words. */
static void expect(int sock, uint16_t want)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct str text = STR("an answer of another kind");
	struct msg_in m;

	if (poll(&p, 1, WAIT_MS) != 1 || msg_recv(sock, &m) < 0)
		die("bench_register: egretd gave no answer");
	if (m.type != want) {
		(void)!msg_get_str(&m, TAG_TEXT, MSG_SIZE_MAX, &text);
		die("bench_register: %.*s", STR_ARG(text));
	}
	msg_in_done(&m);
}

static uint64_t one_job(const char *path, char **labels, int nlabels)
{
	static char *const command[] = { "/bin/true", NULL }, *const environ[] = { "PATH=/bin",
										   NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), sock = connect_to(path), spec, status[2];
	uint64_t start, took;
	struct msg_out m;

	if (null < 0 || pipe2(status, O_CLOEXEC) < 0 || spec_write(command, environ, &spec) < 0)
		die("bench_register: out of descriptors");
	start = clock_now_us();
	msg_begin(&m, MSG_RUN, 1);
	msg_put_fd(&m, TAG_FD_SPEC, spec);
	msg_put_fd(&m, TAG_FD_STDIN, null);
	msg_put_fd(&m, TAG_FD_STDOUT, null);
	msg_put_fd(&m, TAG_FD_STDERR, null);
	msg_put_fd(&m, TAG_FD_STATUS, status[1]);
	msg_put_str(&m, TAG_CWD, STR("/"));
	msg_put_str(&m, TAG_NET, STR("none"));
	msg_put_u64(&m, TAG_UID, 65534);
	msg_put_u64(&m, TAG_GID, 65534);
	for (int i = 0; i < nlabels; i++)
		msg_put_str(&m, TAG_LABEL, str_of(labels[i]));
	if (msg_send(sock, &m) < 0)
		die("bench_register: egretd cannot be asked");
	expect(sock, MSG_JOB);
	took = clock_now_us() - start;
	expect(sock, MSG_JOB_ENDED);
	close(status[0]);
	close(status[1]);
	close(spec);
	close(sock);
	close(null);
	return took;
}

int main(int argc, char **argv)
{
	static uint64_t us[JOBS_MAX];
	uint64_t n = 0, i;

	if (argc < 3 || str_u64(str_of(argv[2]), &n) || !n || n > JOBS_MAX) {
		fprintf(stderr, "Usage: bench_register CONTROL_SOCKET JOBS [KEY=VALUE]...\n");
		return 2;
	}
	for (i = 0; i < n; i++)
		us[i] = one_job(argv[1], argv + 3, argc - 3);
	qsort(us, n, sizeof(us[0]), by_value);
	printf("{\"jobs\":%llu,\"min\":%llu,\"median\":%llu,\"p90\":%llu,\"p99\":%llu,\"max\":%llu}"
	       "\n",
	       (unsigned long long)n, (unsigned long long)us[0], (unsigned long long)us[n / 2],
	       (unsigned long long)us[n * 90 / 100], (unsigned long long)us[n * 99 / 100],
	       (unsigned long long)us[n - 1]);
	return 0;
}
