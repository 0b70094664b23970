// SPDX-License-Identifier: Apache-2.0
/*
 * What a request with a leased credential costs the proxy's own code above one without: the rig of
 * the session's tests, so without TLS and without peers that think. Asks in turn with the
 * credential, of the same host without it, and of a host that no credential names; prints the time
 * of the loop's turns, and the mean difference with its standard error. With caches as the step
 * before left them, with the first two levels overwritten before each step, and asleep before it,
 * as a proxy is that is asked now and then. Under `valgrind --tool=callgrind
 * --toggle-collect=loop_turn` with a kind named it counts instructions.
 *
 *   bench_later [REQUESTS (3000) [with | same | none]]
 */
#pragma GCC diagnostic ignored "-Wunused-function" /* the rig's, that this does not need */
#include "unit/proxy/session_rig.h"

#include <math.h>
#include <time.h>

#define EVICT (4u << 20)

#define REST_US 200

/* What the processor does before each step of the loop. */
enum before { NOTHING, OVERWRITES, RESTS };
static const char *const befores[] = { "nothing", "caches overwritten", "asleep" };

enum { WITH, SAME, NONE, KINDS };
static const char *const names[KINDS] = { "with", "same", "none" };

static const char policy_text[] =
	"{ \"version\": 1, \"name\": \"bench\", \"for\": [ { \"repo\": \"a/b\" } ], \"rules\": [ "
	"{ \"allow\": \"GET https://with.test:8443/with/**\", \"credential\": \"gh\" }, "
	"{ \"allow\": \"GET https://with.test:8443/same/**\" }, "
	"{ \"allow\": \"GET https://none.test:8443/none/**\" } ] }";
static const char credential_text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"with.test\"], \"inject\": { \"header\": \"Authorization\", \"format\": "
	"\"Bearer {token}\" } }";

static struct {
	const char *host;
	char ask[256];
	struct h1serve *served;
	int client;
} kinds[KINDS] = { { .host = "with.test" }, { .host = "with.test" }, { .host = "none.test" } };

static char answer[2048];
static size_t answer_n;
static char evict[EVICT];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void overwrite_caches(void)
{
	for (size_t i = 0; i < EVICT; i += 64)
		evict[i]++;
}

/* Turns until something is to be read at fd: what they took. */
static double turns_until(int fd, enum before before)
{
	char bytes[8192];
	double took = 0, start;
	ssize_t r;

	do {
		if (before == OVERWRITES)
			overwrite_caches();
		else if (before == RESTS)
			usleep(REST_US);
		start = now_ns();
		assert_true(loop_turn(rig.px.loop, 0) >= 0);
		took += now_ns() - start;
		audit_read();
		rig.events[0] = 0;
		broker_answer();
		r = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (r < 0);
	assert_true(r > 0);
	return took;
}

static double ask(unsigned kind, enum before before)
{
	int client = kinds[kind].client;
	size_t n = strlen(kinds[kind].ask);
	double took;

	assert_int_equal(send(client, kinds[kind].ask, n, 0), (ssize_t)n);
	if (!rig.dialled) { /* the first has a lease to wait for too */
		for (int i = 0; i < 20; i++) {
			assert_true(loop_turn(rig.px.loop, 0) >= 0);
			broker_answer();
		}
		assert_int_equal(rig.dialled, 1);
	}
	took = turns_until(rig.origin[0], before);
	assert_int_equal(send(rig.origin[0], answer, answer_n, 0), (ssize_t)answer_n);
	return took + turns_until(client, before);
}

static void job_asks(unsigned kind, const char *path)
{
	int fds[2];
	static struct origin o[KINDS];

	snprintf(kinds[kind].ask, sizeof(kinds[kind].ask),
		 "GET %s HTTP/1.1\r\nHost: %s:8443\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
		 path, kinds[kind].host);
	o[kind] = (struct origin){ .synthetic = true, .port = 8443 };
	o[kind].name_n = strlen(kinds[kind].host);
	memcpy(o[kind].name, kinds[kind].host, o[kind].name_n);
	o[kind].record.pid = 812;
	memcpy(o[kind].record.comm, "bench", 6);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	kinds[kind].client = fds[1];
	kinds[kind].served = h1serve_start(&rig.px, stream_new(rig.px.loop, fds[0], NULL), true,
					   &o[kind], on_done, NULL);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The mean without the tenth at either end, and its standard error by winsorized squares. */
static void difference(const char *what, const double *a, const double *b, unsigned n)
{
	cleanup_free double *d = mem_new(n * sizeof(*d));
	double sum = 0, squares = 0, kept = 0, v;
	unsigned cut = n / 10;

	for (unsigned i = 0; i < n; i++)
		d[i] = a[i] - b[i];
	qsort(d, n, sizeof(*d), by_size);
	for (unsigned i = 0; i < n; i++) {
		v = d[i < cut ? cut : i >= n - cut ? n - cut - 1 : i];
		sum += v;
		squares += v * v;
		kept += i >= cut && i < n - cut ? v : 0;
	}
	printf(", %s %.2f us (standard error %.2f)", what, kept / (n - 2 * cut) / 1000,
	       sqrt((squares - sum * sum / n) / (n - 1) / n) / 0.8 / 1000);
}

static double median(const double *v, unsigned n)
{
	cleanup_free double *sorted = mem_new(n * sizeof(*v));

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*v), by_size);
	return sorted[n / 2];
}

static void measure(unsigned n, enum before before)
{
	double *took[KINDS];

	for (unsigned k = 0; k < KINDS; k++)
		took[k] = mem_new(n * sizeof(double));
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < KINDS; k++)
			took[(i + k) % KINDS][i] = ask((i + k) % KINDS, before);
	printf("before each step %s: ", befores[before]);
	for (unsigned k = 0; k < KINDS; k++)
		printf("%s %.2f us%s", names[k], median(took[k], n) / 1000, k == NONE ? "" : ", ");
	printf(" (medians); with above");
	difference("same", took[WITH], took[SAME], n);
	difference("none", took[WITH], took[NONE], n);
	printf("\n");
	for (unsigned k = 0; k < KINDS; k++)
		free(took[k]);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 3000;

	if (n < 2 || secret_arena_init(1 << 20) < 0 || rig_up_with(policy_text, credential_text))
		return 1;
	rig.secret = "tok-0f3c9a77d1e84b52a6c01b9e5d2f83470f3c9a77d1e84b52a6c01b9e5d2f8347";
	job_asks(WITH, "/with/1k");
	job_asks(SAME, "/same/1k");
	job_asks(NONE, "/none/1k");
	answer_n = (size_t)snprintf(answer, sizeof(answer),
				    "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 "
				    "08:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: "
				    "1024\r\nLast-Modified: Mon, 23 Nov 2026 07:00:00 GMT\r\n"
				    "Connection: keep-alive\r\nETag: \"5fbb0000-400\"\r\n"
				    "Accept-Ranges: bytes\r\n\r\n");
	memset(answer + answer_n, 'x', 1024);
	answer_n += 1024;
	if (argc > 2) {
		for (unsigned k = 0; k < KINDS; k++) {
			ask(WITH, NOTHING);
			for (unsigned i = 0; !strcmp(argv[2], names[k]) && i < n; i++)
				ask(k, NOTHING);
		}
		return 0;
	}
	for (unsigned k = 0; k < 100 * KINDS; k++)
		ask(k % KINDS, NOTHING);
	measure(n, NOTHING);
	measure(n, OVERWRITES);
	measure(n, RESTS);
	return 0;
}
