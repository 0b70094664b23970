/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a parent proxy answers to CONNECT. The first byte says how the rest is cut. Whatever it
 * writes, the ask ends with one word, the same for every cut; it says yes to a head of 2xx alone;
 * and what stands behind the head is still in the socket, byte for byte, for whoever speaks next.
 */
#include "proxy/parent.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX 40000u /* two heads that are too large; both ends' buffers hold it */
#define PIECES 100u	 /* each costs the socket's buffer some 768 bytes until it is read */
#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static struct said {
	unsigned times;
	int err;
	char why[PARENT_WHY];
} said;

static void on_answer(void *owner, int err, const char *why)
{
	said.times++;
	said.err = err;
	snprintf(said.why, sizeof(said.why), "%s", why ? why : "");
}

/* How many bytes are left in the socket. */
static size_t ask(struct loop *l, const uint8_t *p, size_t n, size_t step)
{
	static char left[INPUT_MAX];
	char asked[256];
	ssize_t r;
	int fds[2];

	memset(&said, 0, sizeof(said));
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	parent_ask_start(l, fds[0], STR("up.test"), 443, 1000000, on_answer, NULL);
	r = recv(fds[1], asked, sizeof(asked), MSG_DONTWAIT);
	check(r > 0 && memmem(asked, (size_t)r, "CONNECT up.test:443 HTTP/1.1\r\n", 30));
	for (size_t at = 0, k; at < n; at += k) {
		k = n - at < step ? n - at : step;
		check(send(fds[1], p + at, k, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)k);
		while (!said.times && loop_turn(l, 0) > 0)
			;
	}
	shutdown(fds[1], SHUT_WR);
	for (int i = 0; i < 64 && !said.times; i++)
		check(loop_turn(l, 0) >= 0);
	check(said.times == 1);
	check(said.err ? said.why[0] : !said.why[0]);
	r = recv(fds[0], left, sizeof(left), MSG_DONTWAIT | MSG_WAITALL);
	check(r >= 0 && (size_t)r <= n && !memcmp(left, p + n - r, (size_t)r));
	close(fds[0]);
	close(fds[1]);
	return (size_t)r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct loop *l;
	struct said whole;
	size_t left, step;

	if (!n || n > INPUT_MAX)
		return 0;
	if (!l)
		l = loop_new();
	step = *p ? *p : 1;
	p++;
	n--;
	left = ask(l, p, n, INPUT_MAX);
	whole = said;
	/* A yes is a head that ends where the rest begins. */
	if (!whole.err)
		check(n - left >= 14 && !memcmp(p, "HTTP/1.", 7) && p[9] == '2' &&
		      p[n - left - 1] == '\n');
	if (step < n / PIECES + 1)
		step = n / PIECES + 1;
	check(ask(l, p, n, step) == left || whole.err);
	check(said.err == whole.err && !strcmp(said.why, whole.why));
	return 0;
}
