/* SPDX-License-Identifier: Apache-2.0 */
/* See fetch.h. The only file that includes libcurl. libcurl takes the address apart once, so that
 * the name that is looked up is the name that it dials and verifies. */
#include "identity/fetch.h"

#include "base/clock.h"
#include "base/loop.h"
#include "base/resolve.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADERS_MAX 65536

struct found {
	struct loop *loop;
	struct resolve_ask *ask;
	int err;
	unsigned n;
	uint8_t addrs[RESOLVE_MAX][16];
};

struct getting {
	struct buf *to;
	size_t headers;
	bool too_large;
};

int fetch_early(void)
{
	if (curl_global_init(CURL_GLOBAL_ALL) || resolve_early())
		return -EIO;
	return 0;
}

static void on_found(void *owner, int err, const uint8_t (*addrs)[16], unsigned n)
{
	struct found *f = owner;

	f->err = err;
	f->n = n;
	if (n)
		memcpy(f->addrs, addrs, n * sizeof(f->addrs[0]));
	loop_stop(f->loop, 0);
}

static void on_late(struct timer *t)
{
	struct found *f = t->owner;

	resolve_cancel(f->ask);
	loop_stop(f->loop, -ETIMEDOUT);
}

/* One resolver for both documents: a second one would want a seed from a file. */
static int look_up(struct fetch *f, struct str host, struct found *to)
{
	uint64_t now = clock_now();
	struct timer late = { 0 };
	int e;

	if (now >= f->until)
		return -ETIMEDOUT;
	if (!f->loop)
		f->loop = loop_new();
	if (!f->resolve) {
		e = resolve_new(f->loop, f->nameservers, f->nnameservers, FETCH_MS, &f->resolve);
		if (e < 0)
			return e;
	}
	to->loop = f->loop;
	to->ask = resolve_get(f->resolve, host, on_found, to);
	timer_set(f->loop, &late, f->until - now, on_late, to);
	e = loop_run(f->loop);
	timer_del(&late);
	return e ? e : to->err;
}

static int add_address(struct buf *line, const uint8_t addr[16], bool first)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];
	bool v4 = !memcmp(addr, mapped, sizeof(mapped));

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr + 12 : addr, text, sizeof(text));
	return buf_addf(line, v4 ? "%s%s" : "%s[%s]", first ? "" : ",", text);
}

/* "name=ip,ip" of the configuration. 1: the name is there. */
static int from_hosts(const struct fetch *f, struct str host, struct buf *line)
{
	for (unsigned i = 0; i < f->nhosts; i++) {
		struct str h = f->hosts[i];
		const char *eq = memchr(h.p, '=', h.n), *at, *end = h.p + h.n;
		bool first = true;

		if (!eq || !str_eq_nocase((struct str){ h.p, (size_t)(eq - h.p) }, host))
			continue;
		for (at = eq + 1; at < end; first = false) {
			const char *comma = memchr(at, ',', (size_t)(end - at));
			struct str ip = { at, (size_t)((comma ? comma : end) - at) };
			bool v6 = memchr(ip.p, ':', ip.n) != NULL;

			if (buf_addf(line, v6 ? "%s[%.*s]" : "%s%.*s", first ? "" : ",",
				     STR_ARG(ip)) < 0)
				return -EMSGSIZE;
			at = comma ? comma + 1 : end;
		}
		return 1;
	}
	return 0;
}

static bool is_literal(const char *host)
{
	unsigned char to[16];

	return host[0] == '[' || inet_pton(AF_INET, host, to) == 1;
}

/* "host:port:ip,ip" for libcurl's own table of names; empty for an address. */
static int resolve_line(struct fetch *f, const char *host, const char *port, struct buf *line)
{
	struct found found = { 0 };
	int e;

	if (is_literal(host))
		return 0;
	if (buf_addf(line, "%s:%s:", host, port) < 0)
		return -EMSGSIZE;
	e = from_hosts(f, str_of(host), line);
	if (e < 0)
		return e;
	if (e == 0) {
		e = look_up(f, str_of(host), &found);
		if (e < 0)
			return e;
		for (unsigned i = 0; i < found.n; i++)
			if (add_address(line, found.addrs[i], i == 0) < 0)
				return -EMSGSIZE;
	}
	return buf_add(line, "", 1);
}

static size_t on_body(char *p, size_t size, size_t n, void *owner)
{
	struct getting *g = owner;

	if (buf_add(g->to, p, size * n) == 0)
		return size * n;
	g->too_large = true;
	return 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *owner)
{
	struct getting *g = owner;

	g->headers += size * n;
	if (g->headers <= HEADERS_MAX)
		return size * n;
	g->too_large = true;
	return 0;
}

static int perform(const struct fetch *f, CURLU *url, struct curl_slist *names, struct buf *ret,
		   char *why, size_t n)
{
	struct curl_blob roots = { (void *)f->roots.p, f->roots.n, CURL_BLOB_NOCOPY };
	char error[CURL_ERROR_SIZE] = "", shown[CURL_ERROR_SIZE];
	struct getting g = { .to = ret };
	uint64_t now = clock_now();
	CURL *c = curl_easy_init();
	CURLcode code;
	long status = 0;

	if (!c || now >= f->until) {
		curl_easy_cleanup(c);
		snprintf(why, n, "no answer within 10 s");
		return -ETIMEDOUT;
	}
	curl_easy_setopt(c, CURLOPT_CURLU, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_RESOLVE, names);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &roots);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(f->until - now));
	curl_easy_setopt(c, CURLOPT_USERAGENT, "egret/" EGRET_VERSION);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &g);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &g);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	code = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(c);
	text_escape(shown, sizeof(shown), str_of(error[0] ? error : curl_easy_strerror(code)));
	if (g.too_large)
		snprintf(why, n, "the answer is larger than 64 KiB");
	else if (code == CURLE_OPERATION_TIMEDOUT)
		snprintf(why, n, "no answer within 10 s");
	else if (code)
		snprintf(why, n, "%s", shown);
	else if (status >= 300 && status < 400)
		snprintf(why, n, "answered %ld, a redirect: these are not followed", status);
	else if (status != 200)
		snprintf(why, n, "answered %ld, not 200", status);
	else
		return 0;
	return -EIO;
}

int fetch_get(struct fetch *f, const char *url, struct buf *ret, char *why, size_t n)
{
	char *host = NULL, *port = NULL, *scheme = NULL, shown[600], what[CURL_ERROR_SIZE] = "";
	struct curl_slist *names = NULL;
	CURLU *u = curl_url();
	struct buf line;
	int e = -EINVAL;

	buf_init(&line, 4096);
	text_escape(shown, sizeof(shown), str_of(url));
	if (!u || curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) || strcmp(scheme, "https") ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)) {
		snprintf(what, sizeof(what), "is not an https address");
		goto out;
	}
	e = resolve_line(f, host, port, &line);
	if (e < 0) {
		snprintf(what, sizeof(what), "%s",
			 e == -ENOENT	   ? "there is no such name"
			 : e == -ETIMEDOUT ? "the nameservers did not answer within 10 s"
					   : "the nameservers did not help");
		goto out;
	}
	if (line.n)
		names = curl_slist_append(NULL, line.p);
	e = perform(f, u, names, ret, what, sizeof(what));
out:
	if (e < 0)
		snprintf(why, n, "%s: %s", shown, what);
	curl_slist_free_all(names);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	buf_done(&line);
	return e;
}

void fetch_done(struct fetch *f)
{
	f->resolve = resolve_free(f->resolve);
	f->loop = loop_free(f->loop);
}
