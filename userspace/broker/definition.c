/* SPDX-License-Identifier: Apache-2.0 */
/* See definition.h. Called by job.c, lease.c and journal.c. What references lead to is read here
 * and goes into locked memory, or into a frame for the one process that logs in with it. */
#include "broker/definition.h"

#include "broker/file.h"
#include "policy/sha256.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[] = {
	[PROVIDER_STORE] = "store",   [PROVIDER_FILE] = "file",
	[PROVIDER_EXEC] = "exec",     [PROVIDER_VAULT] = "vault",
	[PROVIDER_OAUTH2] = "oauth2", [PROVIDER_GITHUB_APP] = "github-app",
	[PROVIDER_AWS] = "aws",	      [PROVIDER_AWS_SECRET] = "aws-secret",
	[PROVIDER_MTLS] = "mtls",
};

struct definition *definition_hold(struct definition *d)
{
	d->refs++;
	return d;
}

struct definition *definition_get(struct broker *b, struct str image)
{
	struct credential c;
	struct definition *d;
	uint8_t key[HELPER_KEY];

	if (credential_open(image, &c) < 0)
		return NULL;
	sha256(image.p, image.n, key);
	for (d = b->definitions; d; d = d->next)
		if (!memcmp(d->key, key, sizeof(key)))
			return definition_hold(d);
	d = mem_new(sizeof(*d));
	d->refs = 1;
	d->bytes = mem_new(image.n);
	memcpy(d->bytes, image.p, image.n);
	d->n = image.n;
	memcpy(d->key, key, sizeof(key));
	if (credential_open((struct str){ d->bytes, d->n }, &d->cred) < 0)
		die("an image that was read twice is two");
	d->next = b->definitions;
	b->definitions = d;
	return d;
}

void definition_put(struct broker *b, struct definition *d)
{
	struct definition **at;

	if (!d || --d->refs)
		return;
	for (at = &b->definitions; *at != d; at = &(*at)->next)
		;
	*at = d->next;
	free(d->bytes);
	free(d);
}

const char *definition_provider(const struct definition *d)
{
	return names[credential_provider(&d->cred)];
}

bool definition_local(const struct definition *d)
{
	enum provider p = credential_provider(&d->cred);

	return p == PROVIDER_STORE || p == PROVIDER_FILE || p == PROVIDER_MTLS;
}

uint32_t definition_ask_ms(const struct definition *d)
{
	struct str text = credential_param(&d->cred, PARAM_TIMEOUT);
	uint32_t ms = 0;

	for (size_t i = 0; i < text.n && ms < 100000; i++)
		ms = ms * 10 + (uint32_t)(text.p[i] - '0');
	/* The process sees to its program's time itself, and has the answer a moment later. */
	return ms + 1000 > HELPER_ASK_MS ? ms + 1000 : HELPER_ASK_MS;
}

/* What "store:NAME" or "file:/PATH" names. */
static int resolve(struct broker *b, struct str ref, struct secret *ret, char *why, size_t size)
{
	if (str_starts(ref, "store:"))
		return store_get(&b->store, (struct str){ ref.p + 6, ref.n - 6 }, ret, why, size);
	if (str_starts(ref, "file:"))
		return file_get(b, (struct str){ ref.p + 5, ref.n - 5 }, ret, why, size);
	snprintf(why, size, "a secret is named by neither store: nor file:");
	return -EBADMSG;
}

int definition_value(struct broker *b, const struct definition *d, struct secret *ret_value,
		     struct secret *ret_cert, char *why, size_t size)
{
	const struct credential *c = &d->cred;
	struct secret cert = { 0 };
	int r;

	switch (credential_provider(c)) {
	case PROVIDER_STORE:
		return resolve(b, credential_param(c, PARAM_VALUE), ret_value, why, size);
	case PROVIDER_FILE:
		return file_get(b, credential_param(c, PARAM_PATH), ret_value, why, size);
	default:
		r = resolve(b, credential_param(c, PARAM_CERT), &cert, why, size);
		if (r == 0)
			r = resolve(b, credential_param(c, PARAM_KEY), ret_value, why, size);
		if (r < 0)
			secret_done(&cert);
		else
			*ret_cert = cert;
		return r;
	}
}

/* "key=" and bytes that must not lie in memory that is not wiped. */
static int put_secret(struct msg_out *m, uint16_t tag, const char *key, const struct secret *v)
{
	struct secret both;
	size_t n = strlen(key);
	int r = secret_new(n + 1 + v->n, &both);

	if (r < 0)
		return r;
	memcpy(both.p, key, n);
	both.p[n] = '=';
	memcpy(both.p + n + 1, v->p, v->n);
	msg_put(m, tag, both.p, both.n);
	secret_done(&both);
	return 0;
}

int definition_put_question(struct broker *b, const struct definition *d, struct msg_out *m,
			    char *why, size_t size)
{
	const struct credential *c = &d->cred;
	enum param id;
	struct str v;
	size_t at = 0;
	int r = 0;

	msg_put_str(m, TAG_NAME, credential_name(c));
	msg_put_str(m, TAG_KIND, str_of(definition_provider(d)));
	while (r == 0 && credential_each_param(c, &at, &id, &v)) {
		char text[PROTO_TEXT_MAX];
		struct secret value = { 0 };

		if (!param_is_secret(id) && id != PARAM_CA_FILE) {
			snprintf(text, sizeof(text), "%s=%.*s", param_name(id), STR_ARG(v));
			msg_put_str(m, TAG_PARAM, str_of(text));
			continue;
		}
		/* A file of roots is no secret, and its bytes go the same way. */
		r = id == PARAM_CA_FILE ? file_get(b, v, &value, why, size)
					: resolve(b, v, &value, why, size);
		if (r == 0)
			r = put_secret(m, TAG_SECRET, param_name(id), &value);
		if (r == -ENOMEM)
			snprintf(why, size, "there is no room left in locked memory");
		secret_done(&value);
	}
	return r;
}
