// SPDX-License-Identifier: Apache-2.0
/* Another thread changes the address while connect() reads it: what was judged and what is dialled
 * could differ. */
#include "../wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_storage shared, good, bad;
static atomic_bool stop;

static void *turn(void *arg)
{
	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		memcpy(&shared, &bad, sizeof(bad));
		atomic_signal_fence(memory_order_seq_cst);
		memcpy(&shared, &good, sizeof(good));
		atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

static long ms_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void attempt(const struct target *t, struct attempt *a)
{
	struct timespec from;
	uint16_t port = 0;
	int own = listen_own(a, t->family, &port), fd, other, err = 0;
	socklen_t n = sa_make(t->family, t->addr, t->port, &bad);
	pthread_t thread;

	if (own < 0)
		return;
	sa_make(t->family, loopback(t->family), port, &good);
	shared = good;
	if (pthread_create(&thread, NULL, turn, NULL)) {
		failed(a, "pthread_create");
		close(own);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (ms_since(&from) < 200) {
		fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");
		if (fd < 0)
			break;
		if (connect(fd, (struct sockaddr *)&shared, n) && errno != EINPROGRESS)
			err = errno;
		else if (wait_connected(fd, 20) == 0)
			(void)send(fd, t->token, strlen(t->token), MSG_NOSIGNAL);
		close(fd);
		while ((other = accept4(own, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(other);
	}
	stop = true;
	pthread_join(thread, NULL);
	close(own);
	if (err && !a->err) {
		errno = err;
		failed(a, "connect, now and then");
	}
}

CASE(tcp_race) = { .title = "TCP, the address is rewritten during connect()",
		   .source = "field C45: bypass4netns #22, safedep/pmg",
		   .group = "tcp",
		   .families = FOUR | SIX,
		   .settings = EVERYWHERE,
		   .attempt = attempt };
