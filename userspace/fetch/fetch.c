/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fetch.h. The only file that includes libcurl: its multi interface, whose sockets and timer
 * are ours to watch. libcurl takes the address apart once, so that the name that is looked up is
 * the name that it dials and verifies.
 */
#include "fetch/fetch.h"

#include "base/clock.h"
#include "base/noproxy.h"
#include "base/resolve.h"
#include "base/secret.h"
#include "fetch/names.h"
#include "fetch/roots.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADERS_MAX 65536
#define CONNECTIONS_MAX 16L

/* Whom a connection trusts and shows itself as: the connections that are kept are this one's. */
struct trust {
	struct fetch *f;
	CURLM *multi;
	CURLSH *sessions; /* of TLS: who is dialled again is not verified from the start */
	void *roots;
	struct str from; /* the roots' text, to tell whether others are meant */
	struct curl_blob cert, key;
	struct timer timer;
	unsigned users; /* asks, and the fetch while this is the current one */
};

struct fetch {
	struct loop *loop;
	const struct fetch_names *names;
	struct resolve *resolve;
	struct trust *trust;
	struct fetching *first;
};

struct fetching {
	struct fetch *f;
	struct trust *trust;
	struct fetching *next, **at;
	fetch_fn fn;
	void *owner;
	struct timer late;
	uint64_t ms;
	CURLU *url;
	char *host, *port, *method;
	char *parent;	       /* to CONNECT by; NULL: dialled from here */
	char *dialled, *dport; /* whose address is looked up: the host's, or the parent's */
	CURL *easy;
	struct curl_slist *names, *headers;
	struct buf body, head, answer;
	struct resolve_ask *looking;
	size_t size_max;
	bool too_large;
	char error[CURL_ERROR_SIZE];
};

int fetch_early(void)
{
	if (curl_global_init(CURL_GLOBAL_ALL) || resolve_early() || roots_early() < 0)
		return -EIO;
	return 0;
}

struct fetch *fetch_new(struct loop *l, const struct fetch_names *names)
{
	struct fetch *f = mem_new(sizeof(*f));

	f->loop = l;
	f->names = names;
	return f;
}

/* ---- the end of an ask ---- */

static void trust_drop(struct trust *t)
{
	if (!t || --t->users)
		return;
	curl_multi_cleanup(t->multi);
	curl_share_cleanup(t->sessions);
	timer_del(&t->timer);
	roots_free(t->roots);
	wipe(t->key.data, t->key.len);
	free(t->key.data);
	free(t->cert.data);
	free((char *)t->from.p);
	free(t);
}

static void fetching_free(struct fetching *g)
{
	*g->at = g->next;
	if (g->next)
		g->next->at = g->at;
	timer_del(&g->late);
	if (g->looking)
		resolve_cancel(g->looking);
	if (g->easy) {
		curl_multi_remove_handle(g->trust->multi, g->easy);
		curl_easy_cleanup(g->easy);
	}
	curl_slist_free_all(g->names);
	curl_slist_free_all(g->headers);
	curl_free(g->host);
	curl_free(g->port);
	curl_url_cleanup(g->url);
	free(g->method);
	free(g->parent);
	free(g->dialled);
	free(g->dport);
	if (g->body.p)
		wipe(g->body.p, g->body.n);
	buf_done(&g->body);
	buf_done(&g->head);
	if (g->answer.p)
		wipe(g->answer.p, g->answer.n);
	buf_done(&g->answer);
	trust_drop(g->trust);
	free(g);
}

static void finish(struct fetching *g, int err, const char *why)
{
	struct fetch_answer a = { .err = err, .why = why };

	timer_del(&g->late);
	if (g->easy)
		curl_easy_getinfo(g->easy, CURLINFO_RESPONSE_CODE, &a.status);
	a.head = buf_str(&g->head);
	a.body = buf_str(&g->answer);
	g->fn(g->owner, &a);
	fetching_free(g);
}

static void finish_late(struct fetching *g)
{
	char why[64];

	snprintf(why, sizeof(why), "no answer within %llu s",
		 (unsigned long long)((g->ms + 999) / 1000));
	finish(g, -ETIMEDOUT, why);
}

/* What a parent did not do: its status, which no server gave. */
static const char *refused_by_parent(const struct fetching *g, char *to, size_t n)
{
	long code = 0;

	curl_easy_getinfo(g->easy, CURLINFO_HTTP_CONNECTCODE, &code);
	if (!g->parent || code < 300)
		return NULL;
	if (code == 407)
		snprintf(to, n,
			 "the parent proxy wants credentials (407), and egret has none for "
			 "it");
	else
		snprintf(to, n, "the parent proxy refused: it answered CONNECT with %ld", code);
	return to;
}

static void finish_code(struct fetching *g, CURLcode code)
{
	char shown[CURL_ERROR_SIZE + 32];
	size_t n = 0;

	if (g->too_large) {
		snprintf(shown, sizeof(shown), "the answer is larger than %zu KiB",
			 g->size_max / 1024);
		finish(g, -EFBIG, shown);
		return;
	}
	if (!code) {
		finish(g, 0, NULL);
		return;
	}
	if (!refused_by_parent(g, shown, sizeof(shown))) {
		if (g->parent)
			n = (size_t)snprintf(shown, sizeof(shown), "by the parent proxy: ");
		text_escape(shown + n, sizeof(shown) - n,
			    str_of(g->error[0] ? g->error : curl_easy_strerror(code)));
	}
	finish(g, -EIO, shown);
}

static void on_late(struct timer *t)
{
	finish_late(t->owner);
}

/* ---- libcurl's sockets and timer ---- */

static void drain(struct trust *t)
{
	CURLMsg *m;
	int left;

	t->users++; /* the last answer may bring another trust */
	while ((m = curl_multi_info_read(t->multi, &left))) {
		struct fetching *g = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&g);
		finish_code(g, code);
	}
	trust_drop(t);
}

static void on_ready(struct watch *w, uint32_t events)
{
	struct trust *t = w->owner;
	int running, what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			    (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			    (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

	curl_multi_socket_action(t->multi, w->fd, what, &running);
	drain(t);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *mine)
{
	struct trust *t = owner;
	struct watch *w = mine;
	uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);

	if (what == CURL_POLL_REMOVE) {
		if (w)
			watch_del(w);
		free(w);
		return 0;
	}
	if (w) {
		watch_set(w, events);
		return 0;
	}
	w = mem_new(sizeof(*w));
	if (watch_add(t->f->loop, w, fd, events, on_ready, t) < 0) {
		free(w);
		return -1;
	}
	curl_multi_assign(t->multi, fd, w);
	return 0;
}

static void on_time(struct timer *timer)
{
	struct trust *t = timer->owner;
	int running;

	curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	drain(t);
}

static int on_timer(CURLM *multi, long ms, void *owner)
{
	struct trust *t = owner;

	if (ms < 0)
		timer_del(&t->timer);
	else
		timer_set(t->f->loop, &t->timer, (uint64_t)ms, on_time, t);
	return 0;
}

/* ---- whom to trust ---- */

static struct curl_blob blob_of(struct str s)
{
	struct curl_blob b = { .len = s.n, .flags = CURL_BLOB_COPY };

	if (s.n) {
		b.data = mem_new(s.n);
		memcpy(b.data, s.p, s.n);
	}
	return b;
}

static bool same_blob(const struct curl_blob *b, struct str s)
{
	return secret_eq((struct str){ b->data, b->len }, s);
}

int fetch_trust(struct fetch *f, const struct fetch_trust *from, char *why, size_t n)
{
	struct trust *t = f->trust;

	if (t && str_eq(t->from, from->roots) && same_blob(&t->cert, from->cert) &&
	    same_blob(&t->key, from->key))
		return 0;
	t = mem_new(sizeof(*t));
	t->f = f;
	t->users = 1;
	t->multi = curl_multi_init();
	t->sessions = curl_share_init();
	if (!t->multi || !t->sessions)
		die("out of memory: libcurl");
	curl_share_setopt(t->sessions, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	t->roots = roots_new(from->roots);
	if (!t->roots) {
		snprintf(why, n, "there is no certificate among the trusted roots");
		trust_drop(t);
		return -EINVAL;
	}
	t->from = (struct str){ mem_dup(from->roots), from->roots.n };
	t->cert = blob_of(from->cert);
	t->key = blob_of(from->key);
	curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
	curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
	curl_multi_setopt(t->multi, CURLMOPT_MAX_HOST_CONNECTIONS, CONNECTIONS_MAX);
	/* Else four for each request under way: the more end at once, the fewer are kept. */
	curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
	trust_drop(f->trust);
	f->trust = t;
	return 0;
}

struct fetch *fetch_free(struct fetch *f)
{
	if (!f)
		return NULL;
	while (f->first)
		fetching_free(f->first);
	trust_drop(f->trust);
	f->resolve = resolve_free(f->resolve);
	free(f);
	return NULL;
}

/* ---- an ask ---- */

static size_t on_body(char *p, size_t size, size_t n, void *owner)
{
	struct fetching *g = owner;

	if (buf_add(&g->answer, p, size * n) == 0)
		return size * n;
	g->too_large = true;
	return 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *owner)
{
	struct fetching *g = owner;

	if (buf_add(&g->head, p, size * n) == 0)
		return size * n;
	g->too_large = true;
	return 0;
}

static CURLcode on_context(CURL *easy, void *ssl_ctx, void *owner)
{
	const struct trust *t = owner;

	roots_use(t->roots, ssl_ctx);
	return CURLE_OK;
}

static void ask_options(struct fetching *g, CURL *c)
{
	struct trust *t = g->trust;

	curl_easy_setopt(c, CURLOPT_CURLU, g->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_RESOLVE, g->names);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	/* Nothing of the environment. A parent sees the name and the port: what is asked, and the
	 * fields that hold secrets, go to the server alone. */
	curl_easy_setopt(c, CURLOPT_PROXY, g->parent ? g->parent : "");
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
	curl_easy_setopt(c, CURLOPT_PROXYTYPE, (long)CURLPROXY_HTTP);
	curl_easy_setopt(c, CURLOPT_HTTPPROXYTUNNEL, g->parent ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, on_context);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, t);
	curl_easy_setopt(c, CURLOPT_SHARE, t->sessions);
	if (t->cert.len) {
		curl_easy_setopt(c, CURLOPT_SSLCERTTYPE, "PEM");
		curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, &t->cert);
		curl_easy_setopt(c, CURLOPT_SSLKEYTYPE, "PEM");
		curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, &t->key);
	}
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "egret/" EGRET_VERSION);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, g->method);
	if (g->body.n) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)g->body.n);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, g->body.p);
	}
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, g->headers);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, g);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, g);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, g->error);
	curl_easy_setopt(c, CURLOPT_PRIVATE, g);
}

/* line: "host:port:ip,ip" for libcurl's own table of names; empty for an address. */
static void dial(struct fetching *g, const struct buf *line)
{
	if (line->n)
		g->names = curl_slist_append(NULL, line->p);
	g->easy = curl_easy_init();
	if (!g->easy || (line->n && !g->names))
		die("out of memory: libcurl");
	ask_options(g, g->easy);
	if (curl_multi_add_handle(g->trust->multi, g->easy))
		die("out of memory: libcurl");
}

static int line_begin(const struct fetching *g, struct buf *line)
{
	buf_init(line, 4096);
	return buf_addf(line, "%s:%s:", g->dialled, g->dport);
}

static void on_found(void *owner, int err, const uint8_t (*addrs)[16], unsigned n)
{
	struct fetching *g = owner;
	struct buf line;

	g->looking = NULL;
	if (err == -ETIMEDOUT) {
		finish(g, err, "the nameservers did not answer");
	} else if (err < 0) {
		finish(g, err,
		       err != -ENOENT ? "the nameservers did not help"
		       : g->parent    ? "there is no such name as the parent proxy's"
				      : "there is no such name");
	} else {
		err = line_begin(g, &line);
		for (unsigned i = 0; i < n && err == 0; i++)
			err = names_add(&line, addrs[i], i == 0);
		if (err == 0)
			err = buf_add(&line, "", 1);
		if (err == 0)
			dial(g, &line);
		buf_done(&line);
		if (err < 0)
			finish(g, err, "the name is too long");
	}
}

static int look_up(struct fetching *g)
{
	struct fetch *f = g->f;
	int r;

	if (!f->resolve) {
		r = resolve_new(f->loop, f->names->nameservers, f->names->nnameservers, FETCH_MS,
				&f->resolve);
		if (r < 0)
			return r;
	}
	g->looking = resolve_get(f->resolve, str_of(g->dialled), on_found, g);
	return 0;
}

/* 0 or -EINVAL. Addresses, names of the configuration and of no_proxy are dialled from here. */
static int choose_way(struct fetching *g)
{
	const struct fetch_names *f = g->f->names;
	struct str name = str_of(g->host), host;
	char dport_text[8];
	struct buf line;
	uint64_t port;
	uint16_t dport;
	bool named;

	buf_init(&line, 4096);
	named = names_literal(g->host) || names_find(f, name, &line) != 0;
	buf_done(&line);
	if (str_u64(str_of(g->port), &port) < 0 || port > 65535)
		return -EINVAL;
	for (unsigned i = 0; i < f->nno_proxy && !named; i++)
		named = no_proxy_covers(f->no_proxy[i], name, (uint16_t)port);
	if (named || !f->proxy.n) {
		g->dialled = mem_dup(name);
		g->dport = mem_dup(str_of(g->port));
		return 0;
	}
	if (proxy_url_split(f->proxy, &host, &dport) < 0)
		return -EINVAL;
	g->dialled = mem_dup(host);
	snprintf(dport_text, sizeof(dport_text), "%u", dport);
	g->dport = mem_dup(str_of(dport_text));
	g->parent = mem_dup(f->proxy);
	return 0;
}

static int find_addresses(struct fetching *g)
{
	struct buf line = { 0 };
	int r = choose_way(g);

	if (r < 0)
		return r;
	if (names_literal(g->dialled)) {
		dial(g, &line);
		return 0;
	}
	r = line_begin(g, &line);
	if (r == 0)
		r = names_find(g->f->names, str_of(g->dialled), &line);
	if (r == 1) {
		r = buf_add(&line, "", 1);
		if (r == 0)
			dial(g, &line);
	} else if (r == 0) {
		r = look_up(g);
	}
	buf_done(&line);
	return r;
}

static bool open_url(struct fetching *g, const char *text)
{
	char *scheme = NULL;
	bool good;

	g->url = curl_url();
	good = g->url && !curl_url_set(g->url, CURLUPART_URL, text, CURLU_DISALLOW_USER) &&
	       !curl_url_get(g->url, CURLUPART_SCHEME, &scheme, 0) && !strcmp(scheme, "https") &&
	       !curl_url_get(g->url, CURLUPART_HOST, &g->host, 0) &&
	       !curl_url_get(g->url, CURLUPART_PORT, &g->port, CURLU_DEFAULT_PORT);
	curl_free(scheme);
	return good;
}

static int copy_ask(struct fetching *g, const struct fetch_ask *q)
{
	g->method = mem_dup(str_of(q->method));
	g->ms = q->ms ? q->ms : FETCH_MS;
	g->size_max = q->size_max ? q->size_max : FETCH_SIZE_MAX;
	buf_init(&g->head, HEADERS_MAX);
	buf_init(&g->answer, g->size_max);
	buf_init(&g->body, q->body.n);
	for (unsigned i = 0; i < FETCH_HEADERS_MAX && q->headers[i]; i++) {
		struct curl_slist *l = curl_slist_append(g->headers, q->headers[i]);

		if (!l)
			die("out of memory: libcurl");
		g->headers = l;
	}
	return q->body.n ? buf_add_str(&g->body, q->body) : 0;
}

int fetch_start(struct fetch *f, const struct fetch_ask *q, fetch_fn fn, void *owner)
{
	struct fetching *g = mem_new(sizeof(*g));
	int r;

	g->f = f;
	g->fn = fn;
	g->owner = owner;
	g->trust = f->trust;
	g->trust->users++;
	g->next = f->first;
	g->at = &f->first;
	if (g->next)
		g->next->at = &g->next;
	f->first = g;
	r = copy_ask(g, q);
	if (r == 0 && !open_url(g, q->url))
		r = -EINVAL;
	if (r == 0)
		r = find_addresses(g);
	if (r < 0) {
		fetching_free(g);
		return r;
	}
	timer_set(f->loop, &g->late, g->ms, on_late, g);
	return 0;
}
