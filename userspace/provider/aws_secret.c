/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Secrets Manager: one secret's value (GetSecretValue), asked for with the keys of a role that
 * the job's own token gets, or with a key that lasts. Whole, or one field of a secret that is a
 * JSON object. What is stored there lives on: the value is static.
 */
#include "provider/aws.h"

#include "provider/table.h"
#include "sigv4/sigv4.h"
#include <errno.h>
#include <openssl/evp.h>

#define SECRET_MAX 49152 /* what a frame holds beside its other fields is the broker's to say */

static int keys_of(struct question *q, struct aws_keys *ret)
{
	struct str id = question_param(q, PARAM_ACCESS_KEY_ID);

	if (!id.n)
		return aws_assume(q, ret);
	*ret = (struct aws_keys){ .access_key = id,
				  .secret = question_secret(q, PARAM_SECRET_ACCESS_KEY) };
	/* A file ends in a line's end, and no key does. */
	while (ret->secret.n && ret->secret.p[ret->secret.n - 1] <= ' ')
		ret->secret.n--;
	return ret->secret.n ? 0 : question_fail(q, -EINVAL, "secret_access_key is empty");
}

static struct str host_of(struct str url)
{
	struct str host = { url.p + 8, url.n - 8 }; /* "https://", as the loader saw */
	const char *slash = memchr(host.p, '/', host.n);

	if (slash)
		host.n = (size_t)(slash - host.p);
	return host;
}

static int sign(struct question *q, struct http_ask *ask, const struct aws_keys *keys)
{
	struct str region = question_param(q, PARAM_REGION), host = host_of(ask->url), scope;
	char time[SIGV4_TIME + 1], digest[SIGV4_HEX + 1], signature[SIGV4_HEX + 1];
	struct field f[5] = {
		{ .name = STR("content-type"), .value = STR("application/x-amz-json-1.1") },
		{ .name = STR("host"), .value = host },
		{ .name = STR("x-amz-target"), .value = STR("secretsmanager.GetSecretValue") }
	};
	struct sigv4_request r = { .method = STR("POST"),
				   .path = { host.p + host.n,
					     (size_t)(ask->url.p + ask->url.n - host.p - host.n) },
				   .fields = f,
				   .n = 3,
				   .payload = { digest, SIGV4_HEX } };
	uint8_t key[SIGV4_KEY];
	struct buf authorization;
	size_t n = 0;
	int e;

	sigv4_time((uint64_t)q->now * 1000000, time);
	scope = question_printf(q, "%.8s/%.*s/secretsmanager", time, STR_ARG(region));
	f[r.n++] = (struct field){ .name = STR("x-amz-date"), .value = str_of(time) };
	if (keys->session.n)
		f[r.n++] = (struct field){ .name = STR("x-amz-security-token"),
					   .value = keys->session };
	buf_init(&authorization, 1024);
	e = sigv4_hash(ask->body, digest);
	if (e == 0)
		e = sigv4_key(keys->secret, scope, key);
	if (e == 0)
		e = sigv4_sign(&r, key, time, scope, signature);
	if (e == 0)
		e = sigv4_authorization(&r, keys->access_key, scope, signature, &authorization);
	if (e == 0) {
		for (size_t i = 0; i < r.n; i++)
			if (!str_is(f[i].name, "host"))
				ask->headers[n++] =
					question_printf(q, "%.*s: %.*s", STR_ARG(f[i].name),
							STR_ARG(f[i].value))
						.p;
		ask->headers[n++] =
			question_printf(q, "Authorization: %.*s", STR_ARG(buf_str(&authorization)))
				.p;
	}
	OPENSSL_cleanse(key, sizeof(key));
	buf_done(&authorization);
	return e < 0 ? question_fail(q, e, "the question could not be signed") : 0;
}

static int refused(struct question *q, const struct http_ask *ask, const struct http_answer *got)
{
	struct str type = STR(""), words = STR("");
	const char *hash;

	(void)node_text(got->json, "__type", 128, &type);
	hash = type.n ? memchr(type.p, '#', type.n) : NULL; /* "com.amazonaws.x#Name" */
	if (hash)
		type = (struct str){ hash + 1, (size_t)(type.p + type.n - hash - 1) };
	if (!node_text(got->json, "message", 512, &words))
		(void)node_text(got->json, "Message", 512, &words);
	return http_refused(q, ask, got,
			    question_printf(q, "%.*s%s%.*s", STR_ARG(type),
					    type.n && words.n ? ": " : "", STR_ARG(words)));
}

/* One field of a secret that is a JSON object. */
static int field_of(struct question *q, struct str *value)
{
	struct str field = question_param(q, PARAM_FIELD);
	struct diag_file f = { STR("secret"), *value };
	const struct node *root, *v;
	struct diag d;

	if (!field.n)
		return 0;
	diag_init(&d);
	root = json_load_loose(&q->arena, &f, &d);
	diag_done(&d);
	v = root && root->kind == NODE_OBJECT ? node_get(root, arena_str(&q->arena, field).p)
					      : NULL;
	if (!v)
		return question_fail(q, -EBADMSG, "the secret is no JSON object with a field %.*s",
				     STR_ARG(field));
	if (v->kind != NODE_STRING)
		return question_fail(q, -EBADMSG, "the secret's field %.*s is not a text",
				     STR_ARG(field));
	*value = v->text;
	return 0;
}

static int value_of(struct question *q, const struct http_answer *got, struct str *ret)
{
	const struct node *v = got->json && got->json->kind == NODE_OBJECT
				       ? node_get(got->json, "SecretString")
				       : NULL;
	struct str s = STR("");
	size_t pad = 0;
	int n;

	if (v && v->kind == NODE_STRING) {
		s = v->text;
	} else {
		char *to;

		v = got->json && got->json->kind == NODE_OBJECT
			    ? node_get(got->json, "SecretBinary")
			    : NULL;
		if (!v || v->kind != NODE_STRING || !v->text.n || v->text.n % 4)
			return question_fail(q, -EBADMSG,
					     "the answer of secretsmanager has neither "
					     "SecretString nor SecretBinary");
		to = arena_new(&q->arena, v->text.n);
		n = EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)v->text.p,
				    (int)v->text.n);
		while (pad < 2 && v->text.p[v->text.n - 1 - pad] == '=')
			pad++;
		if (n < 0)
			return question_fail(q, -EBADMSG, "SecretBinary is not Base64");
		s = (struct str){ to, (size_t)n - pad };
	}
	*ret = s;
	n = field_of(q, ret);
	if (n == 0 && (!ret->n || ret->n > SECRET_MAX))
		n = question_fail(q, -EMSGSIZE, "the secret is empty or over 48 KiB");
	return n;
}

static int provide(struct question *q, struct answer *ret)
{
	struct str url = question_param(q, PARAM_ENDPOINT);
	struct http_ask ask = { .method = "POST", .at = "secretsmanager" };
	struct http_answer got;
	struct aws_keys keys;
	int r = keys_of(q, &keys);

	if (r < 0)
		return r;
	ask.url = url.n ? url : aws_endpoint(q, "secretsmanager", question_param(q, PARAM_REGION));
	ask.body = json_body(q, (struct pair[]){ { "SecretId", question_param(q, PARAM_SECRET_ID) },
						 { NULL, { NULL, 0 } } });
	r = sign(q, &ask, &keys);
	if (r == 0)
		r = http_ask(q, &ask, &got);
	if (r == 0 && got.status != 200)
		r = refused(q, &ask, &got);
	if (r == 0)
		r = value_of(q, &got, &ret->value);
	ret->is_static = true;
	ret->expires_ms = q->ttl_ms ? q->now * 1000 + (int64_t)q->ttl_ms : 0;
	return r;
}

const struct provider_ops provider_aws_secret = { "aws-secret", provide, NULL, NULL, NULL };
