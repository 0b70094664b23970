/* SPDX-License-Identifier: Apache-2.0 */
/* Two streams that are each other's peer, over real sockets, in clear or in TLS. */
#ifndef TESTS_PROXY_TLS_PAIR_H
#define TESTS_PROXY_TLS_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proxy/hand.h"
#include "proxy/stream.h"
#include "unit/proxy/certs.h"
#include "unit/proxy/pairs.h"
#include <openssl/ssl.h>
#include <signal.h>

static struct loop *loop;
static SSL_CTX *server_ctx, *client_ctx;
static int hands;

static void shaken(void *owner, int err, int reason, struct watch *watched)
{
	assert_int_equal(err, 0);
	hands++;
}

static void pair(bool tls, struct stream **ret_client, struct stream **ret_server)
{
	SSL *c = tls ? SSL_new(client_ctx) : NULL, *s = tls ? SSL_new(server_ctx) : NULL;
	int a, b;

	pair_tcp(&a, &b);
	if (tls) {
		SSL_set_fd(c, a);
		SSL_set_fd(s, b);
		SSL_set_connect_state(c);
		SSL_set_accept_state(s);
		hands = 0;
		hand_start(loop, a, c, 5000, NULL, shaken, NULL);
		hand_start(loop, b, s, 5000, NULL, shaken, NULL);
		for (int i = 0; i < 200 && hands < 2; i++)
			turns(loop, 1);
		assert_int_equal(hands, 2);
	}
	*ret_client = stream_new(loop, a, c);
	*ret_server = stream_new(loop, b, s);
}

static void pair_setup(void)
{
	static const struct cert_form form = LEAF_FORM("x", "DNS:x.test");
	struct made_cert m = cert_make(&form, NULL);

	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	server_ctx = SSL_CTX_new(TLS_server_method());
	client_ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_use_certificate(server_ctx, m.cert);
	SSL_CTX_use_PrivateKey(server_ctx, m.key);
	SSL_CTX_set_read_ahead(server_ctx, 1);
	SSL_CTX_set_read_ahead(client_ctx, 1);
	cert_free(&m);
}

static void pair_teardown(void)
{
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	loop_free(loop);
}

#endif
