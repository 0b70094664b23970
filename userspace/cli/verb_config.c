/* SPDX-License-Identifier: Apache-2.0 */
/* egret config show: the configuration in force, with defaults filled in. */
#include "cli/cli.h"
#include "cli/job_print.h"
#include "config/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"Usage: egret config show [--config FILE]\n"
	"The effective configuration as JSON: " CONFIG_DEFAULT ", its conf.d, and the defaults.\n"
	"Exit status: 0 good, 2 usage or a broken file.\n";

static void text(const char *key, struct str s, const char *end)
{
	printf("\"%s\": ", key);
	json_print_text(s);
	printf("%s", end);
}

static void list(const char *key, const struct config_list *l, const char *end)
{
	unsigned i;

	printf("\"%s\": [", key);
	for (i = 0; i < l->n; i++) {
		printf("%s", i ? ", " : "");
		json_print_text(l->at[i]);
	}
	printf("]%s", end);
}

static void hosts(const struct config_list *l)
{
	unsigned i;

	printf("\"hosts\": {");
	for (i = 0; i < l->n; i++) {
		const char *eq = memchr(l->at[i].p, '=', l->at[i].n), *at = eq + 1,
			   *end = l->at[i].p + l->at[i].n;

		printf("%s", i ? ", " : "");
		json_print_text((struct str){ l->at[i].p, (size_t)(eq - l->at[i].p) });
		printf(": [");
		while (at < end) {
			const char *comma = memchr(at, ',', (size_t)(end - at));

			json_print_text((struct str){ at, (size_t)((comma ? comma : end) - at) });
			at = comma ? comma + 1 : end;
			printf("%s", comma ? ", " : "");
		}
		printf("]");
	}
	printf("}, ");
}

static void managed(const struct config *c)
{
	unsigned i;

	printf("\"managed\": [");
	for (i = 0; i < c->nmanaged; i++) {
		const struct config_managed *m = &c->managed[i];

		printf("%s\n    { ", i ? "," : "");
		if (m->unit.n)
			text("unit", m->unit, ", ");
		if (m->engine.n)
			text("engine", m->engine, ", ");
		if (m->root.n)
			text("root", m->root, ", ");
		if (m->registrar >= 0)
			printf("\"registrar\": %lld, ", (long long)m->registrar);
		printf("%s%s%s", m->adopt_sole ? "\"adopt\": \"sole\", " : "",
		       m->jobs_gitlab	    ? "\"jobs\": \"gitlab\", "
		       : m->jobs_kubernetes ? "\"jobs\": \"kubernetes\", "
					    : "",
		       m->hide_sockets ? "\"engine_socket\": \"hide\", " : "");
		if (m->nexempt) {
			printf("\"exempt_namespaces\": [");
			for (unsigned k = 0; k < m->nexempt; k++)
				printf("%s\"%.*s\"", k ? ", " : "", STR_ARG(m->exempt[k]));
			printf("], ");
		}
		printf("\"unregistered\": ");
		if (m->unregistered == UNREGISTERED_POLICY)
			printf("\"policy:%.*s\" }", STR_ARG(m->policy));
		else
			printf("\"%s\" }", m->unregistered == UNREGISTERED_HOLD ? "hold" : "deny");
	}
	printf("%s],\n  ", c->nmanaged ? "\n  " : "");
	printf("\"identity\": [");
	for (i = 0; i < c->nidentity; i++) {
		printf("%s\n    { ", i ? "," : "");
		text("issuer", c->identity[i].issuer, ", ");
		text("audience", c->identity[i].audience, ", ");
		text("kind", c->identity[i].kind, ", ");
		text("replay", c->identity[i].by_jti ? STR("jti") : STR("nonce"), "");
		for (unsigned k = 0; k < c->identity[i].nalgorithms; k++)
			printf("%s\"%s\"", k ? ", " : ", \"algorithms\": [",
			       c->identity[i].algorithms[k].p);
		printf("%s }", c->identity[i].nalgorithms ? "]" : "");
	}
	printf("%s],\n  ", c->nidentity ? "\n  " : "");
}

static void show(const struct config *c)
{
	size_t i;
	uint64_t v;

	printf("{\n  ");
	text("state_dir", c->state_dir, ",\n  ");
	text("run_dir", c->run_dir, ",\n  ");
	list("policies", &c->policies, ",\n  ");
	list("credentials", &c->credentials, ",\n  ");
	printf("\"run\": { ");
	text("policy", c->run_policy, " },\n  ");
	if (c->attach.n)
		text("attach", c->attach, ",\n  ");
	managed(c);
	printf("\"ca\": { \"mode\": \"%s\" },\n  ", c->ca_root ? "root" : "job");
	list("require", &c->require, ",\n  ");
	printf("\"upstream\": { ");
	list("nameservers", &c->nameservers, ", ");
	hosts(&c->hosts);
	text("ca_file", c->upstream_ca_file, ", ");
	list("ca_extra", &c->upstream_ca_extra, ", ");
	if (c->upstream_proxy.n)
		text("proxy", c->upstream_proxy, ", ");
	list("no_proxy", &c->no_proxy, ", ");
	list("allow_private", &c->allow_private, " },\n  ");
	list("synthetic", &c->synthetic, ",\n  ");
	printf("\"audit\": { \"sync\": \"%s\" },\n", c->audit_sync_each ? "each" : "batch");
	printf("  \"uids\": { \"broker\": %u, \"audit\": %u, \"compile\": %u, \"identity\": %u, "
	       "\"provider\": %u, \"proxy_first\": %u },\n",
	       c->uid_broker, c->uid_audit, c->uid_compile, c->uid_identity, c->uid_provider,
	       c->uid_proxy_first);
	printf("  \"limits\": {\n");
	for (i = 0; i < limit_rows_n; i++) {
		memcpy(&v, (const char *)&c->limits + limit_rows[i].offset, sizeof(v));
		printf("    \"%s\": %llu%s // %s; past it: %s\n", limit_rows[i].key,
		       (unsigned long long)v, i + 1 < limit_rows_n ? "," : "", limit_rows[i].unit,
		       limit_rows[i].past);
	}
	printf("  }\n}\n");
}

int verb_config(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	cleanup_free struct config *c = mem_new(sizeof(*c));
	const char *file = NULL;
	char why[1024];
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'h')
			return fputs(usage, stdout), 0;
		if (o != 'c')
			return fputs(usage, stderr), 2;
		file = optarg;
	}
	if (argc - optind != 1 || strcmp(argv[optind], "show"))
		return fputs(usage, stderr), 2;
	if (config_load(file, c, why, sizeof(why)) < 0)
		return cli_fail(2, "%s", why);
	show(c);
	config_done(c);
	return 0;
}
