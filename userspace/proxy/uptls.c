// SPDX-License-Identifier: Apache-2.0
/*
 * TLS towards upstreams: see uptls.h. Hostile bytes: the upstream's handshake (OpenSSL) and
 * certificates (verify.c). A session is offered again only to the same host, address-or-name and
 * port that was verified when it began, and for an hour at most.
 */
#include "proxy/uptls.h"

#include "base/clock.h"
#include "policy/policy.h"
#include "proxy/address.h"
#include "proxy/roots.h"
#include "proxy/storm.h"
#include "proxy/verify.h"
#include "proxy/whole.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define SESSIONS 64
#define SESSION_MS (3600u * 1000)
/* Two records of the largest size a read(2): more would cost moving what is left over inside of
 * OpenSSL. Held only while bytes wait in it. */
#define READ_BYTES ((size_t)2 * 16709)

struct peer {
	char host[HOST_MAX + 1];
	size_t host_n;
	uint8_t addr[16];
	uint16_t port;
	uint64_t cert; /* client_cert_number: who came with one is not who came without */
};

/* Hangs on the SSL. */
struct judged {
	struct uptls *uptls;
	struct peer peer;
	char why[VERIFY_WHY];
	bool asked;   /* the peer asked for a client certificate; there is none */
	bool refused; /* and ended the connection for that */
};

struct kept {
	struct peer peer;
	SSL_SESSION *session;
	uint64_t until;
};

struct uptls {
	SSL_CTX *ctx;
	struct roots *roots;
	size_t chain_bytes;
	struct kept sessions[SESSIONS];
	unsigned next;
};

static int judged_index = -1;

static void judged_free(void *parent, void *p, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	free(p);
}

static bool same_peer(const struct peer *a, const struct peer *b)
{
	return a->port == b->port && a->cert == b->cert && a->host_n == b->host_n &&
	       !memcmp(a->host, b->host, a->host_n) && (a->host_n || !memcmp(a->addr, b->addr, 16));
}

static int judge(X509_STORE_CTX *ctx, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct judged *j = SSL_get_ex_data(ssl, judged_index);
	struct verify_want want = { .host = { j->peer.host, j->peer.host_n },
				    .addr = j->peer.addr,
				    .chain_bytes = j->uptls->chain_bytes };

	return verify_chain(ctx, &want, j->why) ? 0 : 1;
}

static struct kept *find(struct uptls *u, const struct peer *peer)
{
	for (unsigned i = 0; i < SESSIONS; i++)
		if (u->sessions[i].session && same_peer(&u->sessions[i].peer, peer))
			return &u->sessions[i];
	return NULL;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct judged *j = SSL_get_ex_data(ssl, judged_index);
	struct uptls *u = j->uptls;
	struct kept *k = find(u, &j->peer);

	if (SSL_get_verify_result(ssl) != X509_V_OK)
		return 0;
	if (!k) {
		k = &u->sessions[u->next];
		u->next = (u->next + 1) % SESSIONS;
	}
	SSL_SESSION_free(k->session);
	k->session = session;
	k->peer = j->peer;
	k->until = clock_now() + SESSION_MS;
	return 1;
}

static int on_asked(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct judged *j = SSL_get_ex_data(ssl, judged_index);

	j->asked = true;
	return 0;
}

/* TLS 1.3 has an alert of its own for it, which comes behind the handshake; TLS 1.2 has not. */
static void on_info(const SSL *ssl, int where, int value)
{
	struct judged *j = SSL_get_ex_data(ssl, judged_index);
	int alert = value & 0xff;

	if (where == SSL_CB_READ_ALERT && (j->asked || j->peer.cert) &&
	    (alert == SSL_AD_CERTIFICATE_REQUIRED || alert == SSL_AD_HANDSHAKE_FAILURE ||
	     alert == SSL_AD_BAD_CERTIFICATE || alert == SSL_AD_UNKNOWN_CA ||
	     alert == SSL_AD_CERTIFICATE_EXPIRED || alert == SSL_AD_ACCESS_DENIED))
		j->refused = true;
}

static int make_context(struct uptls *u)
{
	X509_STORE *store;
	SSL_CTX *ctx;

	if (judged_index < 0)
		judged_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, judged_free);
	ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx || judged_index < 0 || roots_store(u->roots, &store)) {
		SSL_CTX_free(ctx);
		return -EIO;
	}
	SSL_CTX_set_cert_store(ctx, store);
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_max_cert_list(ctx, (long)u->chain_bytes);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, judge, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	SSL_CTX_set_client_cert_cb(ctx, on_asked);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_BYTES);
	storm_watch(ctx);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(ctx);
		return -EIO;
	}
	u->ctx = ctx;
	return 0;
}

struct uptls *uptls_new(const int *root_fds, unsigned nroots, size_t chain_bytes)
{
	struct uptls *u = mem_new(sizeof(*u));

	u->roots = roots_new(root_fds, nroots);
	u->chain_bytes = chain_bytes;
	return u;
}

struct uptls *uptls_free(struct uptls *u)
{
	if (!u)
		return NULL;
	for (unsigned i = 0; i < SESSIONS; i++)
		SSL_SESSION_free(u->sessions[i].session);
	SSL_CTX_free(u->ctx);
	roots_free(u->roots);
	free(u);
	return NULL;
}

/* A copy: the first handshake that resumes a session of TLS 1.3 spoils it for those that begin
 * before the next ticket has come, a round trip later. Dials come in flocks. */
static void offer_session(SSL *ssl, const SSL_SESSION *session)
{
	SSL_SESSION *copy = SSL_SESSION_dup(session);

	if (copy)
		(void)SSL_set_session(ssl, copy);
	SSL_SESSION_free(copy);
}

int uptls_ssl(struct uptls *u, int fd, struct str host, const uint8_t *addr, uint16_t port,
	      const struct client_cert *cert, SSL **ret)
{
	struct judged *j;
	struct kept *k;
	SSL *ssl;

	if (host.n > HOST_MAX || (!u->ctx && make_context(u)))
		return -EIO;
	ssl = SSL_new(u->ctx);
	if (!ssl)
		return -EIO;
	j = mem_new(sizeof(*j));
	j->uptls = u;
	if (host.n)
		memcpy(j->peer.host, host.p, host.n);
	else
		memcpy(j->peer.addr, addr, 16);
	j->peer.host_n = host.n;
	j->peer.port = port;
	j->peer.cert = client_cert_number(cert);
	if (SSL_set_ex_data(ssl, judged_index, j) != 1) {
		free(j);
		SSL_free(ssl);
		return -EIO;
	}
	if (SSL_set_fd(ssl, fd) != 1 || whole_new(ssl, fd) ||
	    (host.n && SSL_set_tlsext_host_name(ssl, j->peer.host) != 1) ||
	    (cert && client_cert_show(cert, ssl) < 0)) {
		SSL_free(ssl);
		return -EIO;
	}
	k = find(u, &j->peer);
	if (k && k->until > clock_now())
		offer_session(ssl, k->session);
	SSL_set_connect_state(ssl);
	*ret = ssl;
	return 0;
}

const char *uptls_why(const SSL *ssl)
{
	const struct judged *j = SSL_get_ex_data(ssl, judged_index);

	return j->why;
}

const char *uptls_lost(const SSL *ssl)
{
	const struct judged *j = ssl ? SSL_get_ex_data(ssl, judged_index) : NULL;

	if (!j || !j->refused)
		return NULL;
	return j->peer.cert ? "does not take the client certificate of the credential"
			    : "demands a client certificate, and egret has none";
}

bool uptls_chose_h2(const SSL *ssl)
{
	const unsigned char *p;
	unsigned n;

	SSL_get0_alpn_selected(ssl, &p, &n);
	return n == 2 && !memcmp(p, "h2", 2);
}

bool uptls_verified(const SSL *ssl)
{
	return SSL_get_verify_result(ssl) == X509_V_OK && SSL_is_init_finished(ssl) &&
	       SSL_get0_peer_certificate(ssl);
}

void uptls_warm(struct uptls *u, SSL *server)
{
	static const uint8_t addr[16];
	static char record[SSL3_RT_MAX_PLAIN_LENGTH];
	BIO *near = NULL, *far = NULL;
	SSL *client = NULL;
	size_t n;

	if (uptls_ssl(u, -1, STR("egret.invalid"), addr, 0, NULL, &client) == 0 &&
	    BIO_new_bio_pair(&near, 0, &far, 0) == 1) {
		SSL_set_bio(client, near, near);
		SSL_set_bio(server, far, far);
		/* The chain is looked at like any other, and found to be none that is known. */
		SSL_set_verify(client, SSL_VERIFY_NONE, NULL);
		for (int i = 0; i < 2; i++) {
			(void)SSL_do_handshake(client);
			(void)SSL_do_handshake(server);
		}
		(void)SSL_write_ex(server, record, sizeof(record), &n);
		(void)SSL_read_ex(client, record, sizeof(record), &n);
	}
	SSL_free(client);
	SSL_free(server);
	ERR_clear_error();
}
