/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-provider: asks who hands out a credential - an authorisation server, a vault, a cloud, a
 * program - so that the broker, which holds everything, reads none of their bytes. Started by
 * egretd under a uid of its own with one socket; serves one credential's definition and holds that
 * login alone, and none before its first question. Goes to jail before it reads a byte. Its one
 * argument is "net", or "exec" for the one provider that starts a program.
 */
#include "base/jail.h"
#include "base/log.h"
#include "base/proto.h"
#include "base/secret.h"
#include "fetch/fetch.h"
#include "provider/serve.h"
#include "provider/sign.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define SECRETS (256u * 1024)

/*
 * Every block of this program's heap is wiped when it is freed, whoever asked for it: libcurl,
 * OpenSSL, cjose, jansson, cJSON and nghttp2 copy secrets as they please, and not all of them take
 * allocators. These take the place of glibc's own two functions, for the libraries too. Here, not
 * in a file of their own: an archive's would get into every test. A sanitizer has its own heap.
 */
#ifndef EGRET_ASAN
extern void *__libc_malloc(size_t n);
extern void __libc_free(void *p);

void free(void *p)
{
	if (!p)
		return;
	wipe(p, malloc_usable_size(p));
	__libc_free(p);
}

/* Never in place: what realloc cuts off or leaves behind would stay. */
void *realloc(void *p, size_t n)
{
	size_t had;
	void *q;

	if (!p)
		return __libc_malloc(n);
	if (!n) {
		free(p);
		return NULL;
	}
	had = malloc_usable_size(p);
	if (n <= had && n > had / 2)
		return p;
	q = __libc_malloc(n);
	if (!q)
		return NULL;
	memcpy(q, p, had < n ? had : n);
	free(p);
	return q;
}
#endif

/* No configuration file: it could load code and name providers. Seeds and error texts now. */
static int libraries(void)
{
	unsigned char b;

	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1 ||
	    RAND_bytes(&b, 1) != 1)
		return -1;
	return fetch_early() < 0 || sign_early() < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct jail jail = { .may = JAIL_MAY_PASS_FDS | JAIL_MAY_SOCKET_INET |
				    JAIL_MAY_SOCKET_PAIR };
	const struct str kind = str_of(argc == 2 ? argv[1] : "");
	char why[256];

	log_init("egret-provider");
	if (fcntl(PROTO_SOCKET_FD, F_GETFD) < 0 || !(str_is(kind, "net") || str_is(kind, "exec"))) {
		log_err("egret-provider is started by egretd and is of no use by hand");
		return 2;
	}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || jail_early() < 0) {
		log_err("cannot give up privileges");
		return 1;
	}
	if (str_is(kind, "exec"))
		jail.may |= JAIL_MAY_EXEC;
	if (secret_arena_init(SECRETS) < 0 || libraries() < 0) {
		log_err("cannot set up memory for secrets (RLIMIT_MEMLOCK?) or the libraries");
		return 1;
	}
	if (jail_enter(&jail, why, sizeof(why)) < 0) {
		log_err("%s", why);
		return 1;
	}
	return provider_serve(PROTO_SOCKET_FD, kind);
}
