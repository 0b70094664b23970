/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens and reads a credential's image: checked once, then safe whatever its bytes are. Called by
 * egretd, the broker, the proxy. The bytes come from the compiler, which is not trusted.
 */
#include "policy/image.h"

#include <errno.h>
#include <stdio.h>

static const char *const param_names[PARAM_END] = {
#define PARAM(id, key) [PARAM_##id] = key,
#include "policy/params.def"
#undef PARAM
};

const char *param_name(enum param id)
{
	return param_names[id];
}

bool param_is_secret(enum param id)
{
	switch (id) {
	case PARAM_VALUE:
	case PARAM_AUTH_SECRET_ID:
	case PARAM_AUTH_TOKEN:
	case PARAM_AUTH_CERT:
	case PARAM_AUTH_KEY:
	case PARAM_CLIENT_SECRET:
	case PARAM_CLIENT_KEY:
	case PARAM_CLIENT_CERT:
	case PARAM_KEY:
	case PARAM_SECRET_ACCESS_KEY:
	case PARAM_CERT:
		return true;
	default:
		return false;
	}
}

static struct for_view view(const uint8_t *p, const struct img_credential *h)
{
	return (struct for_view){ p, h->fors, h->conds, h->values, h->strings };
}

static bool hosts_ok(const uint8_t *p, struct img_table t, struct img_table strings)
{
	struct img_host h;

	for (uint32_t i = 0; i < t.n; i++) {
		IMG_GET(p, t, i, &h);
		if (h.kind > HOST_MANY || !str_ok(h.name, strings) || h.name.n == 0 ||
		    h.name.n > HOST_MAX)
			return false;
	}
	return true;
}

int credential_open(struct str image, struct credential *ret)
{
	const uint8_t *p = (const uint8_t *)image.p;
	struct img_credential h;
	struct img_inject in;
	struct img_param param;
	struct img_str s;
	struct for_view v;

	if (image.n < sizeof(h) || image.n > IMAGE_SIZE_MAX)
		return -EBADMSG;
	memcpy(&h, p, sizeof(h));
	if (h.magic != CREDENTIAL_MAGIC || !image_sealed(p, image.n) ||
	    h.provider < PROVIDER_STORE || h.provider > PROVIDER_LAST ||
	    h.flags > (CREDENTIAL_STATIC | CREDENTIAL_CLIENT_AUTH_PASS | CREDENTIAL_ANY_TIER |
		       CREDENTIAL_OPAQUE_PASS))
		return -EBADMSG;
	v = view(p, &h);
	if (for_view_check(&v, image.n) < 0 ||
	    !table_ok(h.hosts, sizeof(struct img_host), image.n) ||
	    !table_ok(h.inject_hosts, sizeof(struct img_host), image.n) ||
	    !table_ok(h.injects, sizeof(in), image.n) || !table_ok(h.env, sizeof(s), image.n) ||
	    !table_ok(h.params, sizeof(param), image.n))
		return -EBADMSG;
	if (!str_ok(h.name, h.strings) || h.name.n == 0 || h.name.n > PATTERN_MAX ||
	    !str_ok(h.placeholder, h.strings) || h.placeholder.n > PATTERN_MAX)
		return -EBADMSG;
	if (!hosts_ok(p, h.hosts, h.strings) || !hosts_ok(p, h.inject_hosts, h.strings))
		return -EBADMSG;
	for (uint32_t i = 0; i < h.injects.n; i++) {
		IMG_GET(p, h.injects, i, &in);
		if (in.kind < INJECT_HEADER || in.kind > INJECT_LAST ||
		    !range_ok(in.host, in.nhosts, h.inject_hosts.n) ||
		    !str_ok(in.name, h.strings) || in.name.n == 0 || in.name.n > PATTERN_MAX ||
		    !str_ok(in.format, h.strings) || in.format.n > PATTERN_MAX)
			return -EBADMSG;
	}
	for (uint32_t i = 0; i < h.env.n; i++) {
		IMG_GET(p, h.env, i, &s);
		if (!str_ok(s, h.strings) || s.n == 0 || s.n > PATTERN_MAX)
			return -EBADMSG;
	}
	for (uint32_t i = 0; i < h.params.n; i++) {
		IMG_GET(p, h.params, i, &param);
		if (param.id <= PARAM_NONE || param.id >= PARAM_END ||
		    !str_ok(param.value, h.strings) || param.value.n == 0 ||
		    param.value.n > PATTERN_MAX)
			return -EBADMSG;
	}
	*ret = (struct credential){ p, image.n };
	return 0;
}

bool credential_same(const struct credential *a, const struct credential *b)
{
	return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

/* One part of the image's head: these are asked for each request, and all of it is four lines of
 * the cache. */
#define HEAD(c, part)                                                                          \
	({                                                                                     \
		__typeof__(((struct img_credential *)(uintptr_t)(c)->p)->part) part_;          \
		memcpy(&part_, (c)->p + offsetof(struct img_credential, part), sizeof(part_)); \
		part_;                                                                         \
	})

static struct str text_of(const struct credential *c, struct img_str s)
{
	return img_text(c->p, HEAD(c, strings), s);
}

struct str credential_name(const struct credential *c)
{
	return text_of(c, HEAD(c, name));
}

enum provider credential_provider(const struct credential *c)
{
	return (enum provider)HEAD(c, provider);
}

bool credential_each_param(const struct credential *c, size_t *at, enum param *ret_id,
			   struct str *ret)
{
	struct img_table params = HEAD(c, params);
	struct img_param param;

	if (*at >= params.n)
		return false;
	IMG_GET(c->p, params, (*at)++, &param);
	*ret_id = (enum param)param.id;
	*ret = text_of(c, param.value);
	return true;
}

struct str credential_param(const struct credential *c, enum param id)
{
	enum param found;
	struct str v;

	for (size_t at = 0; credential_each_param(c, &at, &found, &v);)
		if (found == id)
			return v;
	return STR("");
}

bool credential_static(const struct credential *c)
{
	return HEAD(c, flags) & CREDENTIAL_STATIC;
}

bool credential_client_auth_pass(const struct credential *c)
{
	return HEAD(c, flags) & CREDENTIAL_CLIENT_AUTH_PASS;
}

bool credential_opaque_pass(const struct credential *c)
{
	return HEAD(c, flags) & CREDENTIAL_OPAQUE_PASS;
}

bool credential_any_tier(const struct credential *c)
{
	return HEAD(c, flags) & CREDENTIAL_ANY_TIER;
}

uint64_t credential_ttl_ms(const struct credential *c)
{
	return HEAD(c, ttl_ms);
}

int credential_for(const struct credential *c, const struct facts *f)
{
	struct img_credential h;
	struct for_view v;

	memcpy(&h, c->p, sizeof(h));
	v = view(c->p, &h);
	return for_view_fits(&v, f);
}

static bool any_host(const uint8_t *p, struct img_table strings, struct img_table t, uint32_t at,
		     uint32_t n, struct str host)
{
	struct img_host h;

	for (uint32_t i = at; i < at + n; i++) {
		IMG_GET(p, t, i, &h);
		if (host_name_fits((enum host_kind)h.kind, img_text(p, strings, h.name), host))
			return true;
	}
	return false;
}

bool credential_each_host(const struct credential *c, size_t *at, char to[HOST_PATTERN_MAX])
{
	struct img_table hosts = HEAD(c, hosts);
	struct img_host host;

	if (*at >= hosts.n)
		return false;
	IMG_GET(c->p, hosts, (*at)++, &host);
	snprintf(to, HOST_PATTERN_MAX, "%s%.*s",
		 host.kind == HOST_MANY	 ? "**."
		 : host.kind == HOST_ONE ? "*."
					 : "",
		 STR_ARG(text_of(c, host.name)));
	return true;
}

bool credential_host(const struct credential *c, struct str host)
{
	struct img_table hosts = HEAD(c, hosts);

	return any_host(c->p, HEAD(c, strings), hosts, 0, hosts.n, host);
}

bool credential_each_inject(const struct credential *c, struct str host, size_t *at,
			    struct credential_inject *ret)
{
	struct img_table injects = HEAD(c, injects);
	struct img_inject in;

	if (*at == 0 && !credential_host(c, host))
		return false;
	while (*at < injects.n) {
		IMG_GET(c->p, injects, (*at)++, &in);
		if (in.nhosts && !any_host(c->p, HEAD(c, strings), HEAD(c, inject_hosts), in.host,
					   in.nhosts, host))
			continue;
		*ret = (struct credential_inject){ (enum inject_kind)in.kind, text_of(c, in.name),
						   text_of(c, in.format) };
		return true;
	}
	return false;
}

struct str credential_placeholder(const struct credential *c)
{
	return text_of(c, HEAD(c, placeholder));
}

bool credential_each_env(const struct credential *c, size_t *at, struct str *ret)
{
	struct img_table env = HEAD(c, env);
	struct img_str s;

	if (*at >= env.n)
		return false;
	IMG_GET(c->p, env, (*at)++, &s);
	*ret = text_of(c, s);
	return true;
}
