/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A provider's requests, from a fiber, and what it needs to write and read them. Hostile bytes: the
 * answers, which are bounded and taken apart by policy/scan.h.
 */
#ifndef EGRET_PROVIDER_HTTP_H
#define EGRET_PROVIDER_HTTP_H

#include "provider/provider.h"

#define HTTP_FORM "Content-Type: application/x-www-form-urlencoded"
#define HTTP_JSON "Content-Type: application/json"

struct http_ask {
	const char *method;
	struct str url;
	const char *at; /* how a sentence calls the place: "auth/jwt/login" */
	const char *headers[FETCH_HEADERS_MAX];
	struct str body;
	struct str cert, key; /* PEM of a client certificate: the same for all asks of a question,
			       * or connections are made anew */
};
struct http_answer {
	long status;
	struct str head, body;
	const struct node *json; /* of an object or array in JSON; NULL: it was none */
};

/* To whom ca_file trusts, or else this host; connections are kept for the next ask of any question.
 * 0 when the server answered, whatever it said; else -errno with the sentence made. */
int http_ask(struct question *q, const struct http_ask *ask, struct http_answer *ret) MUST_CHECK;
/* For an answer that is no good: "PROVIDER: 403 at auth/jwt/login: WORDS". Returns -EAGAIN for 408,
 * 429 and 5xx, else -EACCES. words: the server's own, n = 0 if there are none. */
int http_refused(struct question *q, const struct http_ask *ask, const struct http_answer *a,
		 struct str words);
/* The last field of this name (lower or upper case), without blanks around it. */
bool http_header(const struct http_answer *a, const char *name, struct str *ret);
/* A text of the answer, without control characters and at most `max` bytes; false: not there or of
 * another form. object may be NULL. (jansson, below cjose, has the names json_*.) */
bool node_text(const struct node *object, const char *key, size_t max, struct str *ret);
bool node_whole(const struct node *object, const char *key, int64_t *ret);
const struct node *node_object(const struct node *object, const char *key); /* NULL */

/* The tree of a JSON object or array, in the question's arena; NULL: it is none. */
const struct node *node_json(struct question *q, struct str text);
/* "2026-11-22T23:00:00Z" (RFC 3339), as seconds of the wall clock; a fraction is cut. 0 or -EINVAL.
 */
int time_rfc3339(struct str s, int64_t *ret) MUST_CHECK;

/* Bodies. Pairs of (key, value); a NULL key ends them, a value with n = 0 is left out. */
struct pair {
	const char *key;
	struct str value;
};
struct str form_body(struct question *q, const struct pair *pairs);
struct str json_body(struct question *q, const struct pair *pairs); /* of texts */
/* "text" with quotes, for JSON put together by hand. */
struct str json_quoted(struct question *q, struct str text);
struct str url_escaped(struct question *q, struct str text); /* RFC 3986: unreserved stays */
struct str base64(struct question *q, struct str bytes);
struct str base64url(struct question *q, struct str bytes);

#endif
