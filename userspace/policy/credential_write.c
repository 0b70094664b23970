/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a credential's image. Called by compile.c with what load_credential.c read. No value is in
 * it: only where to ask for one. */
#include "policy/image.h"

enum { T_FOR, T_COND, T_VALUE, T_HOST, T_INJECT, T_INJECT_HOST, T_ENV, T_PARAM, TABLES };

static void write_hosts(struct image_out *o, unsigned table, const struct host_pattern *hosts,
			unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct img_host h = { hosts[i].kind, image_str(o, hosts[i].name) };

		image_row(o, table, &h);
	}
}

int credential_image(struct arena *a, const struct credential_model *m, struct str *ret)
{
	static const size_t records[TABLES] = {
		[T_FOR] = sizeof(struct img_for),	[T_COND] = sizeof(struct img_cond),
		[T_VALUE] = sizeof(struct img_str),	[T_HOST] = sizeof(struct img_host),
		[T_INJECT] = sizeof(struct img_inject), [T_INJECT_HOST] = sizeof(struct img_host),
		[T_ENV] = sizeof(struct img_str),	[T_PARAM] = sizeof(struct img_param),
	};
	struct img_credential head = { .magic = CREDENTIAL_MAGIC,
				       .provider = m->provider,
				       .ttl_ms = m->ttl_ms,
				       .flags = (m->is_static ? CREDENTIAL_STATIC : 0) |
						(m->any_tier ? CREDENTIAL_ANY_TIER : 0) |
						(m->opaque_pass ? CREDENTIAL_OPAQUE_PASS : 0) |
						(m->client_auth_pass ? CREDENTIAL_CLIENT_AUTH_PASS
								     : 0) };
	struct img_table places[TABLES];
	struct image_out o;
	size_t at;
	int r;

	image_out_init(&o, records, TABLES);
	head.name = image_str(&o, m->name);
	head.placeholder = image_str(&o, m->placeholder);
	image_fors(&o, m->fors, T_FOR, T_COND, T_VALUE);
	write_hosts(&o, T_HOST, m->hosts, m->nhosts);
	for (const struct inject_model *in = m->injects; in; in = in->next) {
		struct img_inject row = { .kind = in->kind,
					  .host = o.tables[T_INJECT_HOST].n,
					  .nhosts = in->nhosts };

		write_hosts(&o, T_INJECT_HOST, in->hosts, in->nhosts);
		row.name = image_str(&o, in->name);
		row.format = image_str(&o, in->format);
		image_row(&o, T_INJECT, &row);
	}
	for (unsigned i = 0; i < m->nenv; i++) {
		struct img_str s = image_str(&o, m->env[i]);

		image_row(&o, T_ENV, &s);
	}
	for (const struct param_model *pm = m->params; pm; pm = pm->next) {
		struct img_param row = { pm->id, image_str(&o, pm->value) };

		image_row(&o, T_PARAM, &row);
	}
	/* Places are known once all rows are: the same order as image_finish lays them out. */
	at = sizeof(head);
	for (unsigned i = 0; i < TABLES; i++) {
		places[i] = (struct img_table){ (uint32_t)at, o.tables[i].n };
		at += o.tables[i].bytes.n;
	}
	head.fors = places[T_FOR];
	head.conds = places[T_COND];
	head.values = places[T_VALUE];
	head.hosts = places[T_HOST];
	head.injects = places[T_INJECT];
	head.inject_hosts = places[T_INJECT_HOST];
	head.env = places[T_ENV];
	head.params = places[T_PARAM];
	r = image_finish(&o, a, &head, sizeof(head), places, TABLES, &head.strings, ret);
	image_out_done(&o, TABLES);
	return r;
}
