// SPDX-License-Identifier: Apache-2.0
/*
 * The real egret-proxy, executed, with this test as its egretd and broker: start, names, refusal
 * without a record, reload, restart with the same table, egretd's death, stop; how long a start
 * takes and how much memory is the proxy's own.
 */
#include "unit/proxy/start_rig.h"

static void serves(void **state)
{
	uint8_t first[4], a[4], again[4];
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(rig.tcp),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd p;
	struct msg_out m;
	struct msg_in in;
	int fd, pack;
	char c;

	spawn();
	tell(POLICY);
	assert_int_equal(ask("api.shop.test", DNS_A, first), 0);
	assert_int_equal(first[0], 198);
	assert_true(event_seen(EVENT_DNS_QUERY, VERDICT_ALLOW, 0));
	assert_int_equal(ask("API.shop.test", DNS_A, again), 0);
	assert_memory_equal(first, again, 4);
	assert_int_equal(ask("api.shop.test", DNS_AAAA, a), 0);
	assert_int_equal(a[1], 1);
	assert_int_equal(ask("other.test", DNS_A, a), 0);
	assert_memory_not_equal(a, first, 4);
	/* What has no answer. */
	assert_int_equal(ask("api.shop.test", DNS_TXT, a), 0);
	assert_int_equal(a[0], 0);
	assert_true(event_seen(EVENT_DNS_QUERY, VERDICT_DENY, REASON_DNS_TYPE));
	assert_int_equal(ask("api.shop.test", DNS_HTTPS, a), 0);
	assert_int_equal(ask("intranet", DNS_A, a), DNS_NXDOMAIN);
	assert_int_equal(ask("api.shop.test.corp.example", DNS_A, a), DNS_NXDOMAIN);
	assert_int_equal(ask("printer.local", DNS_A, a), DNS_NXDOMAIN);
	assert_true(event_seen(EVENT_DNS_QUERY, VERDICT_DENY, REASON_DNS_NAME));
	assert_int_equal(ask("198.51.100.7", DNS_A, a), DNS_NXDOMAIN);
	assert_int_equal(ask("localhost", DNS_A, a), 0);
	assert_memory_equal(a, "\x7f\0\0\1", 4);

	/* Nothing explains this connection: reset, and an event. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 3000), 1);
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	assert_true(event_seen(EVENT_CONNECT, VERDICT_DENY, REASON_NO_RECORD));

	/* A reload with something broken changes nothing; a good one is answered. */
	msg_begin(&m, MSG_PROXY_POLICY, 11);
	msg_put_fd(&m, TAG_FD_POLICY, rig.names);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	receive(rig.sock, &in);
	assert_int_equal(in.type, MSG_FAILED);
	assert_int_equal(in.id, 11);
	msg_in_done(&in);
	pack = pack_of(POLICY);
	for (uint32_t i = 0; i < 100; i++) {
		msg_begin(&m, MSG_PROXY_POLICY, 100 + i);
		msg_put_fd(&m, TAG_FD_POLICY, pack);
		assert_int_equal(msg_send(rig.sock, &m), 0);
		receive(rig.sock, &in);
		assert_int_equal(in.type, MSG_OK);
		assert_int_equal(in.id, 100 + i);
		msg_in_done(&in);
	}
	close(pack);
	stop();

	/* The next one knows what this one gave away. */
	spawn();
	tell(POLICY);
	assert_int_equal(ask("fresh.test", DNS_A, a), 0);
	assert_int_equal(ask("api.shop.test", DNS_A, again), 0);
	assert_memory_equal(first, again, 4);
	assert_memory_not_equal(a, first, 4);
	/* egretd dies: the job is served on. */
	close(rig.sock);
	usleep(50000);
	assert_int_equal(ask("api.shop.test", DNS_A, again), 0);
	rig.sock = dup(rig.broker);
	assert_int_equal(kill(rig.pid, SIGKILL), 0);
	(void)ended();
}

static void cannot_start(void **state)
{
	struct msg_out m;
	struct msg_in in;

	spawn();
	rig.broker = dup(rig.sock);
	msg_begin(&m, MSG_PROXY_START, 3);
	msg_put_u64(&m, TAG_JOB, 42);
	assert_int_equal(msg_send(rig.sock, &m), 0);
	receive(rig.sock, &in);
	assert_int_equal(in.type, MSG_FAILED);
	msg_in_done(&in);
	assert_int_equal(WEXITSTATUS(ended()), 1);
	/* Nobody ever says START. */
	spawn();
	rig.broker = dup(rig.sock);
	shutdown(rig.sock, SHUT_RDWR);
	assert_int_equal(WEXITSTATUS(ended()), 1);
}

static void namespaces_come_and_go(void **state)
{
	uint16_t tcp_port, port = 0, again_port = 0;
	int tcp = listen_tcp(&tcp_port), udp = resolver_socket(&port),
	    other = resolver_socket(&again_port);
	uint8_t first[4], a[4];

	spawn();
	tell(POLICY);
	assert_int_equal(serve_here(2, tcp, udp), MSG_OK);
	/* One table of names a job. */
	assert_int_equal(ask("api.shop.test", DNS_A, first), 0);
	assert_int_equal(ask_at(port, "api.shop.test", DNS_A, a), 0);
	assert_memory_equal(first, a, 4);
	/* The same again: the new listeners instead of the old. */
	assert_int_equal(serve_here(2, tcp, other), MSG_OK);
	assert_int_equal(ask_at(again_port, "api.shop.test", DNS_A, a), 0);
	assert_int_equal(leave(2), MSG_OK);
	assert_int_equal(leave(2), MSG_OK);
	assert_int_equal(ask("api.shop.test", DNS_A, a), 0);
	/* Without a listener, or with something that is none. */
	assert_int_equal(serve_here(3, -1, udp), MSG_FAILED);
	assert_int_equal(serve_here(3, rig.names, -1), MSG_FAILED);
	for (uint64_t i = 0; i < 255; i++)
		assert_int_equal(serve_here(100 + i, tcp, udp), MSG_OK);
	assert_int_equal(serve_here(99, tcp, udp), MSG_FAILED);
	assert_int_equal(serve_here(100, tcp, udp), MSG_OK);
	assert_int_equal(leave(101), MSG_OK);
	assert_int_equal(serve_here(99, tcp, udp), MSG_OK);
	assert_int_equal(ask_at(port, "api.shop.test", DNS_A, a), 0);
	stop();
	close(tcp);
	close(udp);
	close(other);
}

static long private_kib(pid_t pid)
{
	char path[64], line[256];
	long sum = 0, kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_Clean: %ld", &kib) == 1 ||
		    sscanf(line, "Private_Dirty: %ld", &kib) == 1)
			sum += kib;
	fclose(f);
	return sum;
}

static int by_size(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void small(void **state)
{
	int us[21];
	long kib = 0;

	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		uint64_t before = clock_now_us();

		spawn();
		tell(POLICY);
		us[i] = (int)(clock_now_us() - before);
		usleep(2000);
		kib = private_kib(rig.pid);
		stop();
	}
	qsort(us, ARRAY_SIZE(us), sizeof(us[0]), by_size);
	print_message("# fork to ready: median %d us, largest %d us; private %ld KiB\n", us[10],
		      us[20], kib);
#ifndef EGRET_ASAN
	assert_true(kib < 6 * 1024);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(serves),
					    cmocka_unit_test(cannot_start),
					    cmocka_unit_test(namespaces_come_and_go),
					    cmocka_unit_test(small) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
