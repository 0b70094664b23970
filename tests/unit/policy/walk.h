/* SPDX-License-Identifier: Apache-2.0 */
/* Reads everything that an image can be asked, and touches each byte of each answer: under ASan a
 * step outside is seen. */
#ifndef TEST_POLICY_WALK_H
#define TEST_POLICY_WALK_H

#include "policy/credential.h"

static volatile unsigned walk_sum;

static inline void walk_str(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		walk_sum += (unsigned char)s.p[i];
}

static inline void walk_verdict(const struct verdict *v)
{
	walk_str(v->rule);
	walk_str(v->nearest);
	walk_str(v->credential);
}

static inline void walk_facts(struct facts *f, struct fact *list, size_t n)
{
	static const char *const pairs[][2] = { { "repo", "acme/web" },
						{ "event", "push" },
						{ "ref", "refs/tags/v1" },
						{ "environment", "production" } };

	for (f->n = 0; f->n < ARRAY_SIZE(pairs) && f->n < n; f->n++)
		list[f->n] = (struct fact){ str_of(pairs[f->n][0]), str_of(pairs[f->n][1]) };
	f->list = list;
	f->assurance = ASSURANCE_SIGNED;
}

static inline void walk_policy(const struct policy *p)
{
	static const char *const hosts[] = {
		"api.github.com", "a.b.w.example.net", "x.w.example.net", "198.51.100.7", "",
		"q.example.net"
	};
	static const char *const paths[] = { "/",
					     "/repos/acme/web/x",
					     "/a/b/c/d",
					     "/acme/web.git/info/refs",
					     "/acme/web/git-upload-pack",
					     "/acme/web/git-receive-pack" };
	static const char *const methods[] = { "GET", "POST", "FOO" };
	static const uint8_t addr[16] = { [10] = 0xff, [11] = 0xff, [12] = 10, [14] = 5, [15] = 9 };
	static const uint16_t ports[] = { 443, 5432, 22 };
	struct policy_block b;
	struct policy_direct direct;
	struct fact list[4];
	struct verdict v;
	struct facts f;
	struct str id = { 0 };
	int64_t priority = 0;
	size_t at = 0;
	unsigned blocks = 0;

	walk_facts(&f, list, ARRAY_SIZE(list));
	walk_str(policy_name(p));
	if (policy_services(p, &id))
		walk_str(id);
	walk_sum += policy_inbound(p) + policy_capabilities(p);
	walk_str(policy_digest(p));
	walk_sum += policy_mode_of(p) + (unsigned)policy_for(p, &f, &priority);
	while (policy_each_block(p, &at, &b) && blocks++ < 10000)
		walk_sum += b.addr[15] + b.prefix + b.port_lo;
	at = blocks = 0;
	while (policy_each_direct(p, &at, &direct) && blocks++ < 10000)
		walk_sum += direct.addr[15] + direct.prefix + direct.port_lo + direct.udp;
	for (size_t k = 0; k < ARRAY_SIZE(ports); k++) {
		walk_sum += policy_direct(p, addr, ports[k], k % 2, &v);
		walk_verdict(&v);
	}
	for (size_t h = 0; h < ARRAY_SIZE(hosts); h++) {
		for (size_t k = 0; k < ARRAY_SIZE(ports); k++) {
			struct conn_query c = { (enum scheme)(k % 4), str_of(hosts[h]),
						hosts[h][0] ? NULL : addr, ports[k] };

			walk_sum += policy_connection(p, &c, &v);
			walk_verdict(&v);
			for (size_t i = 0; i < ARRAY_SIZE(paths) * ARRAY_SIZE(methods); i++) {
				struct request_query q = {
					.scheme = SCHEME_HTTPS,
					.host = str_of(hosts[h]),
					.addr = hosts[h][0] ? NULL : addr,
					.port = ports[k],
					.method = str_of(methods[i % 3]),
					.path = str_of(paths[i / 3]),
					.query = i % 3 == 1 ? STR("")
						 : i % 2    ? STR("service=git-upload-pack")
							    : STR("a=1&page=2")
				};

				policy_request(p, &q, &v);
				walk_verdict(&v);
				if (!v.refs)
					continue;
				q.ref = i % 2 ? STR("refs/tags/v1") : STR("refs/heads/a/b");
				policy_request(p, &q, &v);
				walk_verdict(&v);
			}
		}
	}
}

static inline void walk_credential(const struct credential *c)
{
	static const char *const hosts[] = { "api.github.com", "a.w.example.net", "evil.test" };
	struct credential_inject in;
	struct fact list[4];
	struct facts f;
	enum param param;
	struct str s;
	size_t at = 0;

	walk_facts(&f, list, ARRAY_SIZE(list));
	walk_str(credential_name(c));
	for (size_t at = 0; credential_each_param(c, &at, &param, &s);)
		walk_str(s);
	walk_str(credential_placeholder(c));
	walk_sum += credential_provider(c) + credential_static(c) + credential_client_auth_pass(c) +
		    credential_any_tier(c) + (unsigned)credential_ttl_ms(c) +
		    (unsigned)credential_for(c, &f);
	while (credential_each_env(c, &at, &s))
		walk_str(s);
	for (size_t h = 0; h < ARRAY_SIZE(hosts); h++)
		for (at = 0; credential_each_inject(c, str_of(hosts[h]), &at, &in);) {
			walk_str(in.name);
			walk_str(in.format);
		}
}

/* Samples that use every table of the images. */
#define WALK_POLICY                                                                                \
	"{ \"name\": \"w\", \"for\": [ { \"repo\": \"acme/*\", \"event\": [\"push\", \"tag\"] } "  \
	"], \"rules\": ["                                                                          \
	"{ \"id\": \"r\", \"allow\": \"READ https://api.github.com:443,8443/repos/acme/web/**\", " \
	"\"query\": [\"a\", \"page\"] },"                                                          \
	"{ \"id\": \"w\", \"allow\": \"ANY https://*.w.example.net/a/*/c/**\", \"credential\": "   \
	"\"c\" },"                                                                                 \
	"{ \"id\": \"m\", \"allow\": \"POST https://**.w.example.net\", \"until\": "               \
	"\"2099-01-01\" },"                                                                        \
	"{ \"id\": \"g\", \"allow\": \"GIT-FETCH https://q.example.net/acme/**\" },"               \
	"{ \"id\": \"p\", \"allow\": \"GIT-PUSH https://q.example.net/acme/web\", \"refs\": "      \
	"[\"refs/tags/v*\", \"refs/heads/**\"] },"                                                 \
	"{ \"id\": \"d\", \"direct\": \"10.0.5.0/24:5432,6000-6010\" },"                           \
	"{ \"id\": \"u\", \"direct\": \"10.0.5.0/24:123,500-510/udp\" },"                          \
	"{ \"id\": \"nd\", \"deny\": \"tcp://10.0.5.9:6005\" },"                                   \
	"{ \"id\": \"nw\", \"deny\": \"https://10.0.5.9:500\" },"                                  \
	"{ \"id\": \"t\", \"allow\": \"tcp://198.51.100.7:22\" },"                                 \
	"{ \"id\": \"s\", \"allow\": \"services\" },"                                              \
	"{ \"id\": \"n\", \"deny\": \"https://api.github.com/gists/**\" } ] }"
#define WALK_CREDENTIAL                                                                      \
	"{ \"name\": \"c\", \"provider\": \"store\", \"value\": \"store:s\", \"for\": [ { "  \
	"\"repo\": \"acme/web\" } ],"                                                        \
	"\"hosts\": [\"api.github.com\", \"*.w.example.net\"], \"ttl\": \"10m\", \"tier\": " \
	"\"any\", \"inject\": [ { "                                                          \
	"\"hosts\": [\"api.github.com\"],"                                                   \
	"\"header\": \"Authorization\", \"format\": \"Bearer {token}\" }, { \"hosts\": "     \
	"[\"*.w.example.net\"], \"basic\": \"u:{token}\" } ],"                               \
	"\"placeholder\": { \"env\": [\"GH_TOKEN\"], \"value\": \"egret__c__\" } }"

#endif
