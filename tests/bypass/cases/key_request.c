// SPDX-License-Identifier: Apache-2.0
/* A key of a type that the host looks up for everybody: the kernel starts a program of the host's,
 * outside all namespaces, that asks DNS for the name. */
#include "../wire.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	char name[128];

	snprintf(name, sizeof(name), "%s.bypass.example", t->token);
	/* -2: the process's keyring. ENOKEY: the program was started and found nothing, or there is
	 * none. */
	if (syscall(SYS_request_key, "dns_resolver", name, "", -2) < 0)
		lacking(a, "request_key(dns_resolver)");
}

CASE(key_request) = { .title = "request_key() for a DNS name",
		      .source = "own; Documentation/networking/dns_resolver.rst",
		      .group = "world",
		      .families = FOUR,
		      .settings = EVERYWHERE,
		      .expect = IMPOSSIBLE,
		      .attempt = attempt };
