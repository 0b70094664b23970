/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for the build log. Called by the session. Everything in it that a client wrote (method,
 * URL) passes text_escape, so no control byte and no "::" workflow command reaches a terminal or a
 * log.
 */
#include "proxy/refuse.h"

#include "proxy/onward.h"

#include <stdio.h>
#include <strings.h>

#define TEXT_MAX 2048

static const char *lead(unsigned status)
{
	if (status == 403 || status == 421 || status == 200)
		return "Blocked by egret: ";
	return status < 500 ? "egret refused the request: " : "egret ";
}

size_t refusal_phrase(const struct refusal *r, char *to)
{
	char text[512], number[40] = "";
	const char *before = lead(r->status);
	size_t n, room;

	if (r->event)
		snprintf(number, sizeof(number), " (event %llu)", (unsigned long long)r->event);
	n = text_escape(text, sizeof(text), r->sentence);
	room = REFUSAL_PHRASE_MAX - strlen(before) - strlen(number);
	if (n > room) {
		text[room - 3] = 0;
		return (size_t)snprintf(to, REFUSAL_PHRASE_MAX + 1, "%s%s...%s", before, text,
					number);
	}
	return (size_t)snprintf(to, REFUSAL_PHRASE_MAX + 1, "%s%s%s", before, text, number);
}

static bool names_json(struct str accept)
{
	size_t i = 0;

	while (i < accept.n) {
		const char *p = accept.p + i, *end = memchr(p, ',', accept.n - i);
		size_t n = end ? (size_t)(end - p) : accept.n - i, k = n;
		const char *semi = memchr(p, ';', n);

		i += n + 1;
		if (semi)
			k = (size_t)(semi - p);
		while (k && (p[k - 1] == ' ' || p[k - 1] == '\t'))
			k--;
		if (k >= 5 && strncasecmp(p + k - 4, "json", 4) == 0 &&
		    (p[k - 5] == '/' || p[k - 5] == '+'))
			return true;
	}
	return false;
}

static int line(struct buf *b, const char *label, struct str s)
{
	char text[TEXT_MAX];

	if (!s.n)
		return 0;
	text_escape(text, sizeof(text), s);
	return buf_addf(b, "  %-9s %s\n", label, text);
}

static int text_body(const struct refusal *r, struct buf *b)
{
	char sentence[512], request[TEXT_MAX];
	struct str why = str_of(reason_sentence(r->reason));
	int e;

	text_escape(sentence, sizeof(sentence), r->sentence);
	e = buf_addf(b, "%s%s\n\n", lead(r->status), sentence);
	if (e == 0 && r->method.n) {
		snprintf(request, sizeof(request), "%.*s %.*s", STR_ARG(r->method),
			 STR_ARG(r->url));
		e = line(b, "request:", str_of(request));
	}
	if (e == 0)
		e = line(b, "why:", why);
	if (e == 0)
		e = line(b, "policy:", r->policy);
	if (e == 0)
		e = line(b, "rule:", r->rule);
	if (e == 0)
		e = line(b, "nearest:", r->nearest);
	if (e == 0)
		e = line(b, "to allow:", r->allow);
	if (e == 0 && r->event)
		e = buf_addf(b, "  %-9s egret why %llu\n", "more:", (unsigned long long)r->event);
	return e;
}

/* After text_escape only quotes and backslashes are left to escape. */
static int member(struct buf *b, const char *name, struct str s)
{
	char text[TEXT_MAX];
	int e;

	if (!s.n)
		return 0;
	text_escape(text, sizeof(text), s);
	e = buf_addf(b, ",\"%s\":\"", name);
	for (const char *p = text; e == 0 && *p; p++)
		e = buf_addf(b, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
	return e < 0 ? e : buf_add_str(b, STR("\""));
}

static int json_body(const struct refusal *r, const char *phrase, struct buf *b)
{
	int e;

	e = buf_addf(b, "{\"type\":\"about:blank\",\"status\":%u", r->status);
	if (e == 0)
		e = member(b, "title", str_of(phrase));
	if (e == 0)
		e = member(b, "detail", r->sentence);
	if (e == 0)
		e = member(b, "reason", str_of(reason_word(r->reason)));
	if (e == 0)
		e = member(b, "policy", r->policy);
	if (e == 0)
		e = member(b, "rule", r->rule);
	if (e == 0)
		e = member(b, "nearest", r->nearest);
	if (e == 0)
		e = member(b, "allow", r->allow);
	if (e == 0 && r->event)
		e = buf_addf(b, ",\"event\":%llu", (unsigned long long)r->event);
	return e < 0 ? e : buf_add_str(b, STR("}\n"));
}

int refusal_body(const struct refusal *r, struct str accept, struct buf *to, struct str *ret_type)
{
	char phrase[REFUSAL_PHRASE_MAX + 1];

	if (r->body.n) {
		*ret_type = r->type;
		return buf_add_str(to, r->body);
	}
	if (!names_json(accept)) {
		*ret_type = STR("text/plain; charset=utf-8");
		return text_body(r, to);
	}
	refusal_phrase(r, phrase);
	*ret_type = STR("application/problem+json");
	return json_body(r, phrase, to);
}

struct str refusal_grpc(const struct refusal *r, char *to)
{
	char phrase[REFUSAL_PHRASE_MAX + 1];

	refusal_phrase(r, phrase);
	for (const char *p = phrase; *p; p++) {
		if (*p == '%')
			to = stpcpy(to, "%25");
		else
			*to++ = *p;
	}
	*to = 0;
	switch (r->status) {
	case 403:
	case 421:
		return STR("7"); /* PERMISSION_DENIED */
	case 408:
	case 504:
		return STR("4"); /* DEADLINE_EXCEEDED */
	case 502:
	case 503:
		return STR("14"); /* UNAVAILABLE */
	default:
		return STR("3"); /* INVALID_ARGUMENT */
	}
}

int refusal_write(const struct refusal *r, struct str accept, bool head_only, bool close,
		  bool keep_alive, struct buf *to)
{
	char phrase[REFUSAL_PHRASE_MAX + 1];
	struct buf body;
	struct str type;
	int e;

	refusal_phrase(r, phrase);
	buf_init(&body, 1u << 18);
	e = refusal_body(r, accept, &body, &type);
	if (e == 0)
		e = buf_addf(to,
			     "HTTP/1.1 %03u %s\r\nDate: %s\r\nContent-Type: %.*s\r\n"
			     "Content-Length: %zu\r\nCache-Control: no-store\r\n%s\r\n",
			     r->status, phrase, onward_date().p, STR_ARG(type), body.n,
			     close	  ? "Connection: close\r\n"
			     : keep_alive ? "Connection: keep-alive\r\n"
					  : "");
	if (e == 0 && !head_only)
		e = buf_add_str(to, buf_str(&body));
	buf_done(&body);
	return e;
}
