/* SPDX-License-Identifier: Apache-2.0 */
/* See question.h and provider.h. */
#include "provider/question.h"

#include "base/clock.h"
#include "base/proto.h"
#include "base/secret.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PARAMS_MAX 256
#define HIDDEN_LEAST 4 /* shorter secrets would blot out words */

struct question_param {
	enum param id;
	bool secret;
	struct str value;
};

static const char *const param_names[PARAM_END] = {
#define PARAM(id, key) [PARAM_##id] = key,
#include "policy/params.def"
#undef PARAM
};

static enum param param_of(struct str name)
{
	for (unsigned i = 1; i < PARAM_END; i++)
		if (str_is(name, param_names[i]))
			return (enum param)i;
	return PARAM_NONE;
}

/* Without the end of its last line, which editors put behind what people write into files. */
static struct str unended(struct str s)
{
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static int take_params(const struct msg_in *m, uint16_t tag, struct question *q)
{
	struct str field;
	size_t at = 0;

	while (msg_each(m, tag, &at, &field)) {
		const char *eq = field.n ? memchr(field.p, '=', field.n) : NULL;
		struct str name = { field.p, eq ? (size_t)(eq - field.p) : 0 };
		struct question_param *p = &q->params[q->nparams];

		if (!eq || q->nparams == PARAMS_MAX)
			return -EBADMSG;
		p->id = param_of(name);
		p->secret = tag == TAG_SECRET;
		p->value =
			arena_str(&q->arena, unended((struct str){ eq + 1, field.n - name.n - 1 }));
		if (p->id == PARAM_NONE || (!p->secret && memchr(p->value.p, 0, p->value.n)))
			return -EBADMSG;
		q->nparams++;
	}
	return 0;
}

static int take(const struct msg_in *m, uint16_t tag, bool must, struct question *q,
		struct str *ret)
{
	struct str s;
	int r = msg_get(m, tag, &s);

	if (r == -ENOENT && !must)
		return 0;
	if (r < 0)
		return -EBADMSG;
	*ret = arena_str(&q->arena, s);
	return 0;
}

static int take_number(const struct msg_in *m, uint16_t tag, uint64_t *ret)
{
	int r = msg_get_u64(m, tag, ret);

	return r == -ENOENT ? 0 : r;
}

int question_open(const struct msg_in *m, struct question *ret)
{
	uint64_t now = clock_wall_us();

	*ret = (struct question){ .id = m->id };
	arena_init(&ret->arena, QUESTION_ARENA_MAX);
	ret->params = arena_new(&ret->arena, PARAMS_MAX * sizeof(*ret->params));
	if (take(m, TAG_NAME, true, ret, &ret->name) < 0 ||
	    take(m, TAG_KIND, true, ret, &ret->provider) < 0 ||
	    take(m, TAG_TOKEN, false, ret, &ret->token) < 0 ||
	    take(m, TAG_HANDLE, m->type != MSG_PROVIDE, ret, &ret->handle) < 0 ||
	    take(m, TAG_VALUE, false, ret, &ret->value) < 0 || take_params(m, TAG_PARAM, ret) < 0 ||
	    take_params(m, TAG_SECRET, ret) < 0 || take_number(m, TAG_TTL, &ret->ttl_ms) < 0 ||
	    take_number(m, TAG_NOW, &now) < 0)
		return -EBADMSG;
	ret->token = unended(ret->token);
	ret->now = (int64_t)(now / 1000000);
	return 0;
}

void question_done(struct question *q)
{
	arena_done(&q->arena);
	wipe(q->why, sizeof(q->why));
}

struct question *question_dup(const struct question *q)
{
	struct question *to = mem_new(sizeof(*to));

	to->loop = q->loop;
	to->fetch = q->fetch;
	to->roots = q->roots;
	to->now = q->now;
	arena_init(&to->arena, QUESTION_ARENA_MAX);
	to->name = arena_str(&to->arena, q->name);
	to->provider = arena_str(&to->arena, q->provider);
	to->params = arena_new(&to->arena, (q->nparams + 1) * sizeof(*to->params));
	for (; to->nparams < q->nparams; to->nparams++) {
		to->params[to->nparams] = q->params[to->nparams];
		to->params[to->nparams].value = arena_str(&to->arena, q->params[to->nparams].value);
	}
	return to;
}

struct question *question_free(struct question *q)
{
	if (q)
		question_done(q);
	free(q);
	return NULL;
}

const struct provider_ops *question_ops(const struct question *q)
{
	for (size_t i = 0; providers[i]; i++)
		if (str_is(q->provider, providers[i]->name))
			return providers[i];
	return NULL;
}

static struct str find(const struct question *q, enum param id, bool secret)
{
	for (size_t i = 0; i < q->nparams; i++)
		if (q->params[i].id == id && q->params[i].secret == secret)
			return q->params[i].value;
	return (struct str){ "", 0 };
}

struct str question_param(const struct question *q, enum param id)
{
	return find(q, id, false);
}

struct str question_secret(const struct question *q, enum param id)
{
	return find(q, id, true);
}

bool question_each_param(const struct question *q, enum param id, size_t *at, struct str *ret)
{
	while (*at < q->nparams) {
		const struct question_param *p = &q->params[(*at)++];

		if (p->id == id && !p->secret) {
			*ret = p->value;
			return true;
		}
	}
	return false;
}

/* What a server answers may hold what it was asked with. */
static void hide(char *text, struct str secret)
{
	char *at;

	if (secret.n < HIDDEN_LEAST)
		return;
	while ((at = memmem(text, strlen(text), secret.p, secret.n)) != NULL) {
		char *behind = at + secret.n;

		memcpy(at, "***", 3);
		memmove(at + 3, behind, strlen(behind) + 1);
	}
}

int question_fail(struct question *q, int err, const char *fmt, ...)
{
	char raw[QUESTION_WHY_MAX];
	va_list ap;
	int n;

	n = snprintf(raw, sizeof(raw), "%.*s: ", STR_ARG(q->provider));
	if (n < 0 || (size_t)n >= sizeof(raw))
		n = 0;
	va_start(ap, fmt);
	(void)vsnprintf(raw + n, sizeof(raw) - (size_t)n, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < q->nparams; i++)
		if (q->params[i].secret && q->params[i].id != PARAM_CA_FILE)
			hide(raw, q->params[i].value);
	hide(raw, q->token);
	hide(raw, q->value);
	hide(raw, q->handle);
	text_escape(q->why, sizeof(q->why), str_of(raw));
	wipe(raw, sizeof(raw));
	return err;
}

struct str question_printf(struct question *q, const char *fmt, ...)
{
	struct str s;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("a text cannot be formed");
	s = (struct str){ arena_new(&q->arena, (size_t)n + 1), (size_t)n };
	va_start(ap, fmt);
	(void)vsnprintf((char *)s.p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

static void put(struct msg_out *m, uint16_t tag, struct str s)
{
	if (s.n)
		msg_put_str(m, tag, s);
}

void answer_put(struct msg_out *m, const struct answer *a)
{
	msg_put_str(m, TAG_VALUE, a->value);
	msg_put_u64(m, TAG_EXPIRES, a->expires_ms > 0 ? (uint64_t)a->expires_ms * 1000 : 0);
	if (a->renew_by_ms > 0)
		msg_put_u64(m, TAG_RENEW_BY, (uint64_t)a->renew_by_ms * 1000);
	msg_put_u64(m, TAG_STATIC, a->is_static);
	msg_put_u64(m, TAG_RENEWABLE, a->renewable);
	put(m, TAG_HANDLE, a->handle);
	put(m, TAG_CERT, a->cert);
	put(m, TAG_ACCESS_KEY, a->access_key);
	put(m, TAG_SESSION, a->session);
}
