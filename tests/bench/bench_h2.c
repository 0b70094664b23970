// SPDX-License-Identifier: Apache-2.0
/*
 * What a request costs the proxy's own code over HTTP/2 on both sides, without TLS and without
 * peers that think: a job that sends heads made before, an origin that answers each with the same
 * KiB, a real policy and a real ring. Prints the CPU of the loop's turns; under
 * `valgrind --tool=callgrind --toggle-collect=loop_turn` it counts instructions, which a busy
 * machine leaves as they are. Arguments: requests (100,000), streams (32).
 */
#include "proxy/h2pool.h"
#include "proxy/h2serve.h"
#include "proxy/upstream.c" /* the pool is filled without a dial */

#include "base/clock.h"
#include "policy/compile.h"
#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY 1024u
#define END_STREAM 1u
#define END_HEADERS 4u

enum { DATA, HEADERS, SETTINGS = 4, WINDOW_UPDATE = 8 };

static struct {
	struct proxy px;
	struct ring_reader *reader;
	uint64_t seq, cpu_ns;
	int client, origin;
	size_t answered;
} rig;

static const char policy_text[] =
	"{ \"version\": 1, \"name\": \"bench\", \"for\": [ { \"repo\": \"a/b\" } ], \"rules\": [ "
	"{ \"id\": \"read\", \"allow\": \"GET https://api.test:8443/**\" } ] }";

static void must(bool ok, const char *what)
{
	if (!ok)
		die("bench_h2: %s", what);
}

/* ---- frames ---- */

static void add_frame(struct buf *to, unsigned type, unsigned flags, uint32_t id, struct str body)
{
	uint8_t h[9] = { (uint8_t)(body.n >> 16), (uint8_t)(body.n >> 8), (uint8_t)body.n,
			 (uint8_t)type,		  (uint8_t)flags,	  (uint8_t)(id >> 24),
			 (uint8_t)(id >> 16),	  (uint8_t)(id >> 8),	  (uint8_t)id };

	must(buf_add(to, h, sizeof(h)) == 0 && buf_add_str(to, body) == 0, "frame");
}

/* A literal that stays in no table, so that the same bytes serve each request. */
static void add_field(struct buf *to, const char *name, const char *value)
{
	uint8_t n[3] = { 0, (uint8_t)strlen(name) }, v = (uint8_t)strlen(value);

	must(buf_add(to, n, 2) == 0 && buf_add_str(to, str_of(name)) == 0 &&
		     buf_add(to, &v, 1) == 0 && buf_add_str(to, str_of(value)) == 0,
	     "field");
}

static void put(int fd, struct buf *b)
{
	size_t at = 0;
	ssize_t r;

	while (at < b->n) {
		r = send(fd, b->p + at, b->n - at, MSG_NOSIGNAL);
		must(r > 0, "send");
		at += (size_t)r;
	}
	b->n = 0;
}

/* Calls fn for each whole frame that came. */
static void each_frame(int fd, struct buf *in,
		       void (*fn)(unsigned type, unsigned flags, uint32_t id))
{
	const uint8_t *p;
	size_t at = 0, n;
	ssize_t r;

	do {
		must(buf_reserve(in, 65536) == 0, "room");
		r = recv(fd, in->p + in->n, 65536, 0);
		in->n += r > 0 ? (size_t)r : 0;
	} while (r > 0);
	must(r < 0 && errno == EAGAIN, "the proxy ended a connection");
	for (; in->n - at >= 9; at += 9 + n) {
		p = (uint8_t *)in->p + at;
		n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
		if (in->n - at < 9 + n)
			break;
		fn(p[3], p[4],
		   (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8]);
	}
	buf_consume(in, at);
}

/* ---- the two ends ---- */

static struct buf request, answer, to_origin, to_client, from_origin, from_client;
static char body[BODY];

static void at_origin(unsigned type, unsigned flags, uint32_t id)
{
	if (type != HEADERS)
		return;
	add_frame(&from_origin, HEADERS, END_HEADERS, id, buf_str(&answer));
	add_frame(&from_origin, DATA, END_STREAM, id, (struct str){ body, sizeof(body) });
}

static void at_client(unsigned type, unsigned flags, uint32_t id)
{
	if (type == DATA && flags & END_STREAM)
		rig.answered++;
}

static void start(int fd, struct buf *to, const char *preface)
{
	static const char window[] = "\0\4\0\x7f\xff\xff"; /* SETTINGS: of streams */

	must(buf_add_str(to, str_of(preface)) == 0, "preface");
	add_frame(to, SETTINGS, 0, 0, (struct str){ window, 6 });
	put(fd, to);
}

static void open_windows(struct buf *to)
{
	add_frame(to, WINDOW_UPDATE, 0, 0, STR("\0\1\0\0"));
}

/* ---- the proxy ---- */

static void over(void *owner)
{
	die("bench_h2: the client's connection is over");
}

static void pair(int *ret_ours, int *ret_proxy)
{
	int fds[2], size = 4 << 20;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0, "pair");
	for (int i = 0; i < 2; i++)
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	*ret_ours = fds[0];
	*ret_proxy = fds[1];
}

static void rig_up(void)
{
	static struct compiled compiled;
	struct source src = { SOURCE_POLICY, STR("p.json"), str_of(policy_text) };
	struct pool_key key = { .host = "api.test", .host_n = 8, .port = 8443, .tls = true };
	static struct origin o = {
		.synthetic = true, .port = 8443, .name = "api.test", .name_n = 8
	};
	static const uint8_t addr[16] = { 198, 51, 100, 1 };
	struct ring_fds ring;
	int fd;

	rig.px.loop = loop_new();
	limits_init(&rig.px.limits);
	must(policy_compile(&src, 1, 0, &compiled) == 0 &&
		     policy_open(compiled.policies[0], &rig.px.policies[0]) == 0,
	     "policy");
	rig.px.npolicies = 1;
	must(ring_create(1 << 20, &ring) == 0 &&
		     ring_writer_open(dup(ring.data), dup(ring.ack_ro), dup(ring.wake),
				      dup(ring.space), &rig.px.ring) == 0 &&
		     ring_reader_open(dup(ring.data), dup(ring.ack), dup(ring.wake),
				      dup(ring.space), &rig.reader) == 0 &&
		     records_start(&rig.px) == 0,
	     "ring");
	rig.px.upstreams = mem_new(sizeof(*rig.px.upstreams));
	rig.px.upstreams->h2 = h2pool_new(&rig.px, &h2_times);
	rig.px.upstreams->pool = pool_new(rig.px.loop, 1, 1000);
	pair(&rig.origin, &fd);
	h2pool_add(rig.px.upstreams->h2, stream_new(rig.px.loop, fd, NULL), &key, addr);
	pair(&rig.client, &fd);
	o.record.pid = 812;
	memcpy(o.record.comm, "curl", 5);
	h2serve_start(&rig.px, stream_new(rig.px.loop, fd, NULL), &o, over, NULL);
}

static void turn(void)
{
	static struct event e;
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	must(loop_turn(rig.px.loop, 0) >= 0, "turn");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	rig.cpu_ns +=
		(uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u + (uint64_t)(b.tv_nsec - a.tv_nsec);
	while (ring_read(rig.reader, &e) == 1)
		ring_acked(rig.reader, rig.seq++);
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000, sent = 0;
	size_t streams = argc > 2 ? strtoul(argv[2], NULL, 10) : 32;
	char preface[24]; /* of the proxy towards the origin */

	memset(body, 'x', sizeof(body));
	for (struct buf **b = (struct buf *[]){ &request, &answer, &to_origin, &to_client,
						&from_origin, &from_client, NULL };
	     *b; b++)
		buf_init(*b, 16 << 20);
	must(buf_add(&request, "\x82\x87", 2) == 0, "GET, https");
	add_field(&request, ":authority", "api.test:8443");
	add_field(&request, ":path", "/1k");
	add_field(&request, "user-agent", "h2load nghttp2/1.52.0");
	must(buf_add(&answer, "\x88", 1) == 0, "200");
	add_field(&answer, "server", "nginx/1.22.1");
	add_field(&answer, "date", "Sun, 22 Nov 2026 18:24:00 GMT");
	add_field(&answer, "content-type", "text/plain");
	add_field(&answer, "content-length", "1024");
	add_field(&answer, "last-modified", "Sun, 22 Nov 2026 18:00:00 GMT");
	add_field(&answer, "etag", "\"6561d5e0-400\"");
	add_field(&answer, "accept-ranges", "bytes");
	rig_up();
	start(rig.client, &from_client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	start(rig.origin, &from_origin, "");
	turn();
	must(recv(rig.origin, preface, sizeof(preface), 0) == sizeof(preface), "preface");
	while (rig.answered < n) {
		if (sent == rig.answered) {
			open_windows(&from_client);
			for (size_t i = 0; i < streams; i++, sent++)
				add_frame(&from_client, HEADERS, END_HEADERS | END_STREAM,
					  (uint32_t)(2 * sent + 1), buf_str(&request));
			put(rig.client, &from_client);
		}
		turn();
		each_frame(rig.origin, &to_origin, at_origin);
		put(rig.origin, &from_origin);
		each_frame(rig.client, &to_client, at_client);
	}
	printf("# %zu requests over HTTP/2, %zu at a time: %.2f us of CPU each\n", rig.answered,
	       streams, (double)rig.cpu_ns / 1000 / (double)rig.answered);
	return 0;
}
