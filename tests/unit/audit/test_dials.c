// SPDX-License-Identifier: Apache-2.0
/*
 * Dials: what the kernel saw of a proxy, what the proxy told, what it recorded. Each row is one
 * dial; which of them are alerts, which are lines, which are neither. Skipped without root.
 */
#include "kernel.h"

#define CGROUP 1005u /* of the proxy of job 5: ring_tell() */

static struct {
	int log, events, lost, value, emitter;
	struct ring_fds ring;
	struct ring_writer *w;
	struct auditor a;
} T;

static const uint8_t there[16] = { [10] = 0xff, 0xff, 198, 51, 100, 7 };
static const uint8_t elsewhere[16] = { [10] = 0xff, 0xff, 198, 51, 100, 8 };

static void begin(void)
{
	T.a = start(T.log, T.events, T.lost);
	ring_tell(&T.a, &T.ring, 5, "j-5", -1);
}

static int open_all(void **state)
{
	(void)state;
	T.log = log_make();
	if (geteuid())
		return 0;
	T.events = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "egret_test_ev", 0, 0, 65536, NULL);
	T.lost = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "egret_test_lost", 4, 8, 1, NULL);
	T.value = bpf_map_create(BPF_MAP_TYPE_ARRAY, "egret_test_val", 4,
				 sizeof(struct egret_event), 1, NULL);
	T.emitter = program(T.events, T.value, sizeof(struct egret_event));
	assert_true(T.events >= 0 && T.lost >= 0 && T.value >= 0 && T.emitter >= 0);
	assert_int_equal(ring_create(65536, &T.ring), 0);
	T.w = proxy_of(&T.ring);
	begin();
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	assert_int_equal(auditor_end(&T.a, 0), 0);
	ring_writer_free(T.w);
	ring_fds_done(&T.ring);
	return 0;
}

/* The kernel saw it. */
static void seen(uint64_t cookie, const uint8_t addr[16], uint16_t port)
{
	struct egret_event e = { .size = sizeof(e), .kind = EGRET_EV_DIAL };

	e.record.cgroup = CGROUP;
	e.record.cookie = cookie;
	e.record.time_ns = clock_now_us() * 1000;
	e.record.port = port;
	memcpy(e.record.addr, addr, 16);
	emit(T.emitter, T.value, &e);
}

static void put(struct event *e, const char *host, const uint8_t *addr, uint16_t port)
{
	uint64_t n;

	if (host)
		event_text(e, FIELD_DEST_HOST, str_of(host));
	if (addr)
		event_addr(e, FIELD_DEST_IP, addr);
	event_num(e, FIELD_DEST_PORT, port);
	assert_int_equal(ring_write(T.w, e, &n), 0);
}

static void told(uint64_t cookie, const char *host, const uint8_t addr[16], uint16_t port,
		 bool recorded)
{
	struct event e;

	event_begin(&e, EVENT_DIAL, recorded ? VERDICT_ALLOW : VERDICT_NONE, REASON_NONE);
	event_num(&e, FIELD_SOCKET, cookie);
	put(&e, host, addr, port);
}

static void said(enum event_kind kind, const char *host, const uint8_t *addr, uint16_t port)
{
	struct event e;

	event_begin(&e, kind, kind == EVENT_CONNECT_END ? VERDICT_NONE : VERDICT_ALLOW,
		    kind == EVENT_CONNECT_END ? REASON_NONE : REASON_RULE);
	put(&e, host, addr, port);
}

/* Lines with all of these words, past the first `skip` bytes of the log. */
static unsigned lines(size_t from, const char *a, const char *b)
{
	unsigned count = 0;
	size_t n;
	char *p = log_text(T.log, &n), *save = NULL;

	for (char *l = strtok_r(p + (from < n ? from : n), "\n", &save); l;
	     l = strtok_r(NULL, "\n", &save))
		count += strstr(l, a) && strstr(l, b);
	free(p);
	return count;
}

static size_t here(void)
{
	size_t n;

	free(log_text(T.log, &n));
	return n;
}

#define ALERT "\"kind\":\"alert\",\"reason\":\"unexplained\""
#define DIAL "\"kind\":\"dial\""

static void wait_alert(size_t from, const char *text)
{
	for (int i = 0; i < 100 && !lines(from, ALERT, text); i++)
		usleep(50000);
	if (lines(from, ALERT, text) != 1)
		fail_msg("no alert, or more than one: %s", text);
}

static void need_root(void)
{
	if (geteuid())
		skip();
}

static void test_told_and_followed(void **state)
{
	size_t from = here();
	(void)state;

	need_root();
	/* Either ring may be read first. */
	told(1, "a.test", there, 443, false);
	seen(1, there, 443);
	said(EVENT_HTTP_REQUEST, "a.test", there, 443);
	seen(2, there, 80);
	told(2, "b.test", there, 80, false);
	said(EVENT_HTTP_REQUEST, "b.test", there, 80);
	/* No name. */
	told(3, NULL, there, 81, false);
	seen(3, there, 81);
	said(EVENT_HTTP_REQUEST, NULL, there, 81);
	/* A tunnel: recorded before; its own line has no address, so the dial is one. */
	said(EVENT_TLS_PASSTHROUGH, "c.test", NULL, 443);
	told(4, "c.test", there, 443, true);
	seen(4, there, 443);
	/* Two addresses tried for one request: the one that it does not name is a line. */
	told(5, "d.test", elsewhere, 443, false);
	seen(5, elsewhere, 443);
	told(6, "d.test", there, 443, false);
	seen(6, there, 443);
	said(EVENT_HTTP_REQUEST, "d.test", there, 443);
	for (int i = 0; i < 60 && lines(from, DIAL, "d.test") < 1; i++)
		usleep(50000);
	usleep(2500000); /* two looks past the bound */
	assert_int_equal(lines(from, ALERT, ""), 0);
	assert_int_equal(lines(from, DIAL, ""), 2);
	assert_int_equal(lines(from, DIAL, "c.test"), 1);
	assert_int_equal(lines(from, DIAL, "198.51.100.8"), 1);
	assert_int_equal(lines(from, "http.request", ""), 4);
}

static void test_not_told(void **state)
{
	size_t from = here();
	(void)state;

	need_root();
	seen(11, there, 4433);
	wait_alert(from, "\"dest\":{\"ip\":\"198.51.100.7\",\"port\":4433}");
	assert_int_equal(lines(from, ALERT, "\"id\":\"j-5\""), 1);
}

static void test_told_otherwise(void **state)
{
	size_t from = here();
	(void)state;

	need_root();
	told(21, "a.test", there, 443, false);
	seen(21, elsewhere, 443);
	said(EVENT_HTTP_REQUEST, "a.test", there, 443);
	wait_alert(from, "\"dest\":{\"ip\":\"198.51.100.8\",\"port\":443}");
	/* And in the other order. */
	seen(22, elsewhere, 444);
	told(22, "a.test", there, 443, false);
	said(EVENT_HTTP_REQUEST, "a.test", there, 443);
	wait_alert(from, "\"dest\":{\"ip\":\"198.51.100.8\",\"port\":444}");
}

static void test_not_followed(void **state)
{
	size_t from = here();
	(void)state;

	need_root();
	told(31, "x.test", there, 443, false);
	seen(31, there, 443);
	said(EVENT_HTTP_REQUEST, "other.test", there, 443);
	wait_alert(from, "\"host\":\"x.test\"");
	/* For a tunnel that was over, or never there. */
	said(EVENT_CONNECT, "y.test", NULL, 22);
	said(EVENT_CONNECT_END, "y.test", NULL, 22);
	told(32, "y.test", there, 22, true);
	seen(32, there, 22);
	wait_alert(from, "\"host\":\"y.test\"");
}

/* A proxy that was started anew says so: what the one before it dialled last is a line. */
static void test_proxy_anew(void **state)
{
	size_t from = here();
	struct event e;
	uint64_t n;
	(void)state;

	need_root();
	told(41, "x.test", there, 443, false);
	seen(41, there, 443);
	event_begin(&e, EVENT_DIAL, VERDICT_NONE, REASON_SHUTDOWN);
	assert_int_equal(ring_write(T.w, &e, &n), 0);
	for (int i = 0; i < 60 && !lines(from, DIAL, "x.test"); i++)
		usleep(50000);
	usleep(2500000);
	assert_int_equal(lines(from, DIAL, "\"reason\":\"shutdown\""), 1);
	assert_int_equal(lines(from, ALERT, ""), 0);
}

/* Killed between the two sides: what the next one cannot know is no alert, but a line. */
static void test_audit_anew(void **state)
{
	size_t from = here();
	(void)state;

	need_root();
	kill(T.a.pid, SIGSTOP);
	told(51, "a.test", there, 443, false);
	said(EVENT_HTTP_REQUEST, "a.test", there, 443);
	seen(51, there, 443);
	seen(52, there, 5252);
	auditor_end(&T.a, SIGKILL);
	begin();
	for (int i = 0; i < 60 && !lines(from, DIAL, "5252"); i++)
		usleep(50000);
	usleep(1500000);
	assert_int_equal(lines(from, DIAL, "5252"), 1);
	assert_int_equal(lines(from, ALERT, ""), 0);
	assert_int_equal(lines(from, "http.request", "a.test"), 1);
}

/* More than are kept: told, and bounded. */
static void test_bounded(void **state)
{
	size_t from = here();
	(void)state;

	need_root();
	for (unsigned i = 0; i < DIALS_MAX + 50; i++) {
		struct event e;
		uint64_t n;

		event_begin(&e, EVENT_DIAL, VERDICT_NONE, REASON_NONE);
		event_num(&e, FIELD_SOCKET, 1000 + i);
		event_text(&e, FIELD_DEST_HOST, STR("many.test"));
		event_addr(&e, FIELD_DEST_IP, there);
		event_num(&e, FIELD_DEST_PORT, 443);
		while (ring_write(T.w, &e, &n) == -EAGAIN)
			usleep(1000);
	}
	for (int i = 0; i < 100 && lines(from, ALERT, "many.test") < 50; i++)
		usleep(50000);
	assert_true(lines(from, ALERT, "many.test") >= 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_and_followed), cmocka_unit_test(test_not_told),
		cmocka_unit_test(test_told_otherwise),	  cmocka_unit_test(test_not_followed),
		cmocka_unit_test(test_proxy_anew),	  cmocka_unit_test(test_audit_anew),
		cmocka_unit_test(test_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, open_all, close_all);
}
