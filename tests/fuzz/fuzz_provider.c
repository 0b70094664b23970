/* SPDX-License-Identifier: Apache-2.0 */
/* What whoever hands out credentials answers: a letter that says what it is (t: an OAuth token, r:
 * a refusal, m: metadata, e: a program's output, d: a time, v: Vault's, h: a handle of Vault's,
 * g: GitHub's), then its bytes. What comes out must be
 * fit for a header, and a sentence must be printable. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "provider/exec.h"
#include "provider/github_form.h"
#include "provider/oauth2.h"
#include "provider/question.h"
#include "provider/vault_form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			abort();
}

static int vault(struct question *q, const struct node *root, struct answer *a)
{
	struct vault_answer got = { 0 };
	const char *words;
	int r = vault_read(q, root, &got);

	clean(got.token);
	clean(got.lease);
	if (r == 0)
		r = vault_field(q, got.data, &a->value);
	(void)vault_fault(400, root, &words);
	clean(str_of(words));
	return r;
}

static int handle(struct question *q, struct str text)
{
	struct vault_handle h = { 0 };
	struct str again;

	if (vault_handle_read(text, &h) < 0)
		return question_fail(q, -EBADMSG, "no handle");
	clean(h.token);
	clean(h.lease);
	again = vault_handle_write(q, &h);
	return vault_handle_read(again, &h) < 0 ? abort(), -1 : 0;
}

static int github(struct question *q, const struct node *root, struct answer *a)
{
	struct github_token t = { 0 };
	const char *words;
	int64_t id = 1;
	bool clock;
	int r;

	(void)github_fault(401, root, false, &words, &clock);
	clean(str_of(words));
	if (github_installation(q, root, &id) == 0 && id < 1)
		abort();
	r = github_token_read(q, root, &t);
	clean(t.token);
	a->value = t.token;
	return r == 0 ? github_token_fits(q, root) : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct http_ask ask = { .at = "idp.example/token" };
	struct question q = { .provider = STR("oauth2"), .now = 1700000000 };
	struct http_answer got = { .status = n && data[0] == 'r' ? 400 : 200 };
	struct oauth2_ends ends = { 0 };
	struct answer a = { 0 };
	int64_t when = 0;
	int r;

	if (n < 1 || n > 65536)
		return 0;
	arena_init(&q.arena, QUESTION_ARENA_MAX);
	got.body = (struct str){ (const char *)data + 1, n - 1 };
	got.json = node_json(&q, got.body);
	switch (data[0]) {
	case 'm':
		r = oauth2_metadata(&q, got.json, n & 1, &ends);
		if (r == 0 && (!str_starts(ends.token, "https://") ||
			       (ends.revoke.n && !str_starts(ends.revoke, "https://"))))
			abort();
		clean(ends.token);
		clean(ends.revoke);
		break;
	case 'e':
		q.ttl_ms = n & 1 ? 1000 : 0;
		r = exec_answer(&q, got.body, &a);
		if (r == 0 && (!a.value.n || a.expires_ms <= q.now * 1000))
			abort();
		clean(a.value);
		break;
	case 'd':
		r = time_rfc3339(got.body, &when) == 0 || when == 0 ? 0 : -EINVAL;
		break;
	case 'v':
		r = vault(&q, got.json, &a);
		break;
	case 'h':
		r = handle(&q, got.body);
		break;
	case 'g':
		r = github(&q, got.json, &a);
		clean(a.value);
		break;
	default:
		r = oauth2_answer(&q, &ask, &got, &a);
		if (r == 0 && (!a.value.n || a.expires_ms <= q.now * 1000))
			abort();
		clean(a.value);
	}
	if (r < 0)
		clean(str_of(q.why));
	if (r < 0 && data[0] != 'd' && !q.why[0])
		abort();
	question_done(&q);
	return 0;
}
