// SPDX-License-Identifier: Apache-2.0
/*
 * What a handshake with the job costs without sockets: CPU of the server's side for a name seen
 * before and for one never seen, of making a leaf alone, and the heap that a connection keeps when
 * it rests. Both ends in memory, TLS 1.3, chain verified by the client; only the server's steps are
 * timed. Bound: a new name under 300 us more than a known one. Argument: handshakes (400); under
 * `valgrind --tool=callgrind --toggle-collect=leaves_cert` it shows where a leaf goes.
 */
#include "proxy/leaf.h"

#include "base/clock.h"
#include "unit/proxy/certs.h"
#include <malloc.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>

static struct made_cert root, middle;

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
	if (!ok)
		die("bench_leaf: %s", what);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double median_us(uint64_t *ns, unsigned n)
{
	qsort(ns, n, sizeof(*ns), by_value);
	return (double)ns[n / 2] / 1000;
}

/* Both ends; *ret_ns is the server's CPU. */
static SSL *shake(struct leaves *l, SSL_CTX *ctx, const char *name, SSL **ret_client,
		  uint64_t *ret_ns)
{
	SSL *server = NULL, *client = SSL_new(ctx);
	uint64_t spent = 0, t;
	bool done = false;
	BIO *a, *b;

	must(client && BIO_new_bio_pair(&a, 32768, &b, 32768), "pair");
	SSL_set_bio(client, b, b);
	must(SSL_set_tlsext_host_name(client, name) && SSL_set1_host(client, name), "name");
	SSL_set_connect_state(client);
	t = cpu_ns();
	must(leaves_ssl(l, str_of(name), NULL, &server) == 0, "leaves_ssl");
	SSL_set_bio(server, a, a);
	SSL_set_mode(server, SSL_MODE_RELEASE_BUFFERS);
	spent += cpu_ns() - t;
	for (int i = 0; i < 10 && !done; i++) {
		int c = SSL_do_handshake(client), s;

		t = cpu_ns();
		s = SSL_do_handshake(server);
		spent += cpu_ns() - t;
		done = c == 1 && s == 1;
	}
	must(done, "handshake");
	*ret_client = client;
	*ret_ns = spent;
	return server;
}

static double shakes(struct leaves *l, SSL_CTX *ctx, unsigned n, bool fresh)
{
	static unsigned names;
	uint64_t *ns = mem_new(n * sizeof(*ns));
	char name[64] = "known.bench.test";
	SSL *client;
	double r;

	for (unsigned i = 0; i < n; i++) {
		if (fresh)
			snprintf(name, sizeof(name), "n%u.bench.test", names++);
		SSL_free(shake(l, ctx, name, &client, &ns[i]));
		SSL_free(client);
	}
	r = median_us(ns, n);
	free(ns);
	return r;
}

static double leaves_alone(struct leaves *l, unsigned n)
{
	uint64_t *ns = mem_new(n * sizeof(*ns));
	char name[64];
	X509 *cert;
	double r;

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "alone%u.bench.test", i);
		ns[i] = cpu_ns();
		must(leaves_cert(l, str_of(name), NULL, &cert) == 0, "leaves_cert");
		ns[i] = cpu_ns() - ns[i];
	}
	r = median_us(ns, n);
	free(ns);
	return r;
}

/* What stays of the server's end once the handshake's buffers are gone: the pair's own memory is
 * no part of it. */
static double resting(struct leaves *l, SSL_CTX *ctx, unsigned n)
{
	SSL **servers = mem_new(n * sizeof(*servers)), *client;
	size_t before, spare;
	uint64_t ns;

	before = mallinfo2().uordblks;
	for (unsigned i = 0; i < n; i++) {
		servers[i] = shake(l, ctx, "known.bench.test", &client, &ns);
		SSL_free(client);
		SSL_set_bio(servers[i], NULL, NULL);
	}
	spare = mallinfo2().uordblks - before;
	for (unsigned i = 0; i < n; i++)
		SSL_free(servers[i]);
	free(servers);
	return (double)spare / n / 1024;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 400;
	static const struct cert_form a = CA_FORM("root");
	struct cert_form b = CA_FORM("job");
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	unsigned char *cert = NULL, *key = NULL;
	double known, fresh;
	struct leaves *l;
	int cert_n, key_n;

	must(n > 0 && ctx, "arguments");
	b.basic = "critical,CA:TRUE,pathlen:0";
	root = cert_make(&a, NULL);
	middle = cert_make(&b, &root);
	cert_n = i2d_X509(middle.cert, &cert);
	key_n = i2d_PrivateKey(middle.key, &key);
	must(cert_n > 0 && key_n > 0, "certificates");
	must(leaves_new((struct str){ (char *)cert, (size_t)cert_n },
			&(struct secret){ key, (size_t)key_n }, 8 * n, &l) == 0,
	     "leaves_new");
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root.cert);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)shakes(l, ctx, n / 4 + 1, false);
	known = shakes(l, ctx, n, false);
	fresh = shakes(l, ctx, n, true);
	printf("server's side of a handshake: known name %.1f us, new name %.1f us: %.1f us more "
	       "(bound 300); a leaf alone %.1f us; heap of a resting connection %.1f KiB\n",
	       known, fresh, fresh - known, leaves_alone(l, n), resting(l, ctx, n));
	leaves_free(l);
	SSL_CTX_free(ctx);
	return 0;
}
