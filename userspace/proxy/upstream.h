/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to upstreams: resolve by c-ares (or the configuration's hosts), check each address,
 * dial, verify TLS, keep in a pool of this job. A connection is pooled by (host, port, tls,
 * credential-bearing or not) and the network namespace that it was dialled from; never across jobs,
 * never across credentials.
 */
#ifndef EGRET_PROXY_UPSTREAM_H
#define EGRET_PROXY_UPSTREAM_H

#include "event/event.h"
#include "http/h2.h"
#include "proxy/proxy.h"
#include "proxy/stream.h"

struct upstream_ask {
	struct str host;     /* canonical name; n = 0: dial addr */
	const uint8_t *addr; /* 16 bytes, mapped form: for rules that name an address, and for audit
				mode. NULL otherwise */
	uint16_t port;
	uint64_t netns;	       /* sockets_from() where it is asked for */
	bool tls;	       /* verified for host, or the handshake fails */
	struct str credential; /* name of the credential that requests on it will carry, or n = 0 */
	struct client_cert *cert; /* of that credential, or NULL. Held */
	bool h2;    /* may go by HTTP/2; that a dial offers it takes a client that does */
	bool fresh; /* not from the pool */
	const struct hello_shape *shape; /* of the client's hello: the upstream sees the like of it.
					    NULL: OpenSSL's own. Copied */
	bool recorded;			 /* what it is for is in the ring already */
};

struct upstream {
	/* Ready to use; borrowed from the upstream. A lane where the server speaks HTTP/2. */
	struct stream *stream;
	struct h2_lane *lane;
	uint8_t addr[16]; /* what was dialled */
	bool reused; /* it came from the pool: a failure before any answer byte may be retried when
			safe */
	bool verified; /* TLS, and the certificate was verified for host */
};

struct upstream_fault {
	enum reason
		reason; /* RESOLVE, ADDRESS, CONNECT, CERTIFICATE, UPSTREAM_TLS, TIMEOUT, LIMIT */
	char text[256]; /* for the person: "certificate expired 3 days ago", printable ASCII */
	bool alpn;	/* the server speaks nothing of what ALPN offered */
	bool lost;	/* it ended the connection, without a word, before TLS stood */
};

/* Exactly one call: with u, or with NULL and a fault. Never from inside upstream_get. */
typedef void (*upstream_fn)(void *owner, struct upstream *u, const struct upstream_fault *fault);

struct upstream_want; /* a pending ask */
struct upstream_want *upstream_get(struct proxy *px, const struct upstream_ask *ask, upstream_fn fn,
				   void *owner);
void upstream_cancel(struct upstream_want *w); /* fn will not be called */
/* A request that is allowed waits for something else before it asks with this: one connection is
 * made meanwhile, if none is there (ahead.h has what becomes of it when nobody takes it). */
void upstream_ahead(struct proxy *px, const struct upstream_ask *ask);
/* Gives it back: to the pool when reusable, else it is closed. */
void upstream_put(struct proxy *px, struct upstream *u, bool reusable);
void upstream_want(struct upstream *u, stream_fn on_read, stream_fn on_write, void *owner);
/* H2_ONLY: it refused who did not offer HTTP/2. */
enum upstream_speaks { SPEAKS_UNKNOWN, SPEAKS_H1, SPEAKS_H2, SPEAKS_H2_ONLY };
/* What this host was last seen to speak at this port, by TLS. */
enum upstream_speaks upstreams_speaks(const struct upstreams *u, struct str host, uint16_t port);
/* A request that goes by it is recorded: from now on who connects to its host is dialled for ahead
 * (ahead.h). shape: of its client's hello. */
void upstream_recorded(struct proxy *px, struct upstream *u, const struct hello_shape *shape);
/* A client of the job has connected to this host, which a rule allows; exact: some rule names the
 * host itself (ahead.h). What upstream_client_gone takes when it is gone. */
uint64_t upstream_client(struct proxy *px, struct str host, uint16_t port, uint64_t netns,
			 bool exact);
void upstream_client_gone(struct proxy *px, uint64_t place);
/* Takes the stream out for a tunnel; the upstream itself is freed. */
struct stream *upstream_take(struct proxy *px, struct upstream *u);

struct upstream_setup {
	const int *root_fds; /* PEM files */
	unsigned nroots;
	struct str *nameservers; /* "ip" or "ip:port" */
	unsigned nnameservers;
	struct str *hosts; /* "name=ip,ip" */
	unsigned nhosts;
	struct str *allow_private; /* CIDRs */
	unsigned nallow_private;
	struct str *local; /* the host's own addresses */
	unsigned nlocal;
	struct str *synthetic; /* our own ranges: never dialled */
	unsigned nsynthetic;
	struct str parent; /* "http://HOST:PORT", or n = 0 */
	struct str *no_proxy;
	unsigned nno_proxy;
};
int upstreams_new(struct proxy *px, const struct upstream_setup *s,
		  struct upstreams **ret) MUST_CHECK;
void upstreams_free(struct upstreams *u);
void upstreams_warm(struct upstreams *u, SSL *server); /* uptls_warm */
/* Connections at rest that were dialled from there are closed. */
void upstreams_leave(struct upstreams *u, uint64_t netns);
/* The policy is another one: nothing is dialled ahead before a request is recorded under it. */
void upstreams_forget(struct upstreams *u);
/* Does the configuration itself give this canonical name an address? */
bool upstreams_host(const struct upstreams *u, struct str name);

#endif
