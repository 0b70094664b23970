// SPDX-License-Identifier: Apache-2.0
/*
 * egret-proxy: the proxy of one job. Started by egretd with its uid, its cgroup and one socket
 * (descriptor 3). Everything that needs a file or a privilege is done here, before the jail; what
 * comes after reads hostile bytes.
 */
#include "base/jail.h"
#include "base/log.h"
#include "base/proto.h"
#include "base/secret.h"
#include "base/resolve.h"
#include "proxy/sockets.h"
#include "proxy/start.h"
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Locked where it is touched: leases, what is searched for in answers, and what origins handed out
 * to who came with a lease (derived.c). */
#define SECRETS (2048u * 1024)
/* The intermediate's key, decoded, and the 32 bytes of key exchange that OpenSSL keeps of each TLS
 * connection as long as it stands: 16,000 of them. Where it is full no handshake succeeds. */
#define SECURE_HEAP (512u * 1024)
#define SECURE_LEAST 32

static int libraries(void)
{
	unsigned char b;

	tzset(); /* gmtime_r() would read the time zone's file when first called */
	/* No configuration file: it could load code and name providers. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
		return -1;
	if (CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_LEAST) < 1)
		return -1;
	/* Seeds from getrandom(2) now, so that nothing is left to open. */
	if (RAND_bytes(&b, 1) != 1)
		return -1;
	return resolve_early();
}

/* limits.connections is the bound; each of them takes two descriptors, a tunnel six. */
static void more_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

/* egretd started it in a job's network namespace, for a proxy that runs. */
static int sockets_main(void)
{
	const struct jail jail = { .may = JAIL_MAY_SOCKET_INET | JAIL_MAY_PASS_FDS };
	char why[256];

	if (jail_enter(&jail, why, sizeof(why))) {
		log_err("cannot enter the jail: %s", why);
		return 1;
	}
	return source_serve(PROTO_SOCKET_FD);
}

int main(int argc, char **argv)
{
	const struct jail jail = { .may = JAIL_MAY_SOCKET_INET | JAIL_MAY_ACCEPT |
					  JAIL_MAY_BPF_LOOKUP | JAIL_MAY_SPLICE |
					  JAIL_MAY_PASS_FDS };
	struct loop *l;
	char why[256];
	int r;

	if (argc == 2 && str_is(str_of(argv[1]), "--version")) {
		printf("egret-proxy %s\n", EGRET_VERSION);
		return 0;
	}
	/* The one argument is the job's name, for whoever reads a list of processes, or what it is
	 * instead of a proxy. */
	if (argc > 2) {
		fprintf(stderr, "egret-proxy is started by egretd, see egret-proxy(8)\n");
		return 2;
	}
	log_init("egret-proxy");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || jail_early()) {
		log_err("cannot give up privileges");
		return 1;
	}
	if (argc == 2 && str_is(str_of(argv[1]), "--sockets"))
		return sockets_main();
	more_descriptors();
	/* One heap, given back early: a proxy that idles is small. */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	if (secret_arena_init(SECRETS) || libraries()) {
		log_err("cannot set up memory for secrets or the TLS library (RLIMIT_MEMLOCK?)");
		return 1;
	}
	r = jail_enter(&jail, why, sizeof(why));
	if (r) {
		log_err("cannot enter the jail: %s", why);
		return 1;
	}
	l = loop_new();
	if (!l) {
		log_err("cannot make an event loop");
		return 1;
	}
	r = proxy_serve(l, PROTO_SOCKET_FD);
	return r;
}
