/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret lease list|revoke: what jobs hold of providers, and an early end of it. Names and hosts
 * come from root's own files, by way of the broker; they are escaped all the same.
 */
#include "cli/job_ask.h"
#include "cli/job_print.h"

#include "base/clock.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ANSWER_MS 30000

static const char usage[] =
	"Usage: egret lease list [--all] [--json]\n"
	"       egret lease revoke LEASE [--json]\n"
	"       egret lease revoke [--job JOB] [--credential NAME] | --all [--json]\n"
	"The credentials that jobs have at this moment; --all: and those that are over.\n"
	"revoke: its provider ends it now; a job that still needs it gets another one.\n"
	"Exit status: 0 done, 1 no such lease or no egretd, 2 usage.\n";

static const struct {
	uint16_t tag;
	const char *key;
} times[] = { { TAG_TIME, "minted" },
	      { TAG_NOW, "renewed" },
	      { TAG_EXPIRES, "expires" },
	      { TAG_REVOKED, "revoked" } };

static struct str text_of(const struct msg_in *m, uint16_t tag)
{
	struct str s = { "", 0 };

	(void)!msg_get_str(m, tag, PROTO_TEXT_MAX, &s);
	return s;
}

static uint64_t number_of(const struct msg_in *m, uint16_t tag)
{
	uint64_t v = 0;

	(void)!msg_get_u64(m, tag, &v);
	return v;
}

static void when(uint64_t us, char to[CLOCK_TEXT_MAX])
{
	snprintf(to, CLOCK_TEXT_MAX, "-");
	if (us)
		clock_text(us, to);
}

static void print_json(const struct msg_in *m)
{
	char text[CLOCK_TEXT_MAX];
	struct str host;
	size_t at = 0;
	bool first = true;

	printf("\n  {\"lease\": ");
	json_print_text(text_of(m, TAG_LEASE));
	printf(", \"credential\": ");
	json_print_text(text_of(m, TAG_NAME));
	printf(", \"job\": ");
	json_print_text(text_of(m, TAG_JOB_NAME));
	printf(", \"state\": ");
	json_print_text(text_of(m, TAG_STATE));
	printf(", \"static\": %s, \"hosts\": [", number_of(m, TAG_STATIC) ? "true" : "false");
	while (msg_each(m, TAG_HOSTS, &at, &host)) {
		printf("%s", first ? "" : ", ");
		json_print_text(host);
		first = false;
	}
	printf("], \"requests\": %llu", (unsigned long long)number_of(m, TAG_SIZE));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		when(number_of(m, times[i].tag), text);
		printf(", \"%s\": ", times[i].key);
		if (text[0] == '-')
			printf("null");
		else
			printf("\"%s\"", text);
	}
	if (text_of(m, TAG_TEXT).n) {
		printf(", \"failure\": ");
		json_print_text(text_of(m, TAG_TEXT));
	}
	printf("}");
}

static void print_row(const struct msg_in *m)
{
	char shown[1024], text[CLOCK_TEXT_MAX];
	struct str host;
	size_t at = 0;

	printf("%.*s  %.*s  job %.*s  %.*s%s\n", STR_ARG(text_of(m, TAG_LEASE)),
	       STR_ARG(text_of(m, TAG_NAME)), STR_ARG(text_of(m, TAG_JOB_NAME)),
	       STR_ARG(text_of(m, TAG_STATE)), number_of(m, TAG_STATIC) ? ", static" : "");
	printf("    %llu request%s to", (unsigned long long)number_of(m, TAG_SIZE),
	       number_of(m, TAG_SIZE) == 1 ? "" : "s");
	while (msg_each(m, TAG_HOSTS, &at, &host))
		printf(" %.*s", STR_ARG(host));
	printf("\n   ");
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		if (!number_of(m, times[i].tag))
			continue;
		when(number_of(m, times[i].tag), text);
		printf(" %s %.19sZ", times[i].key, text);
	}
	if (!number_of(m, TAG_EXPIRES))
		printf(" does not expire");
	printf("\n");
	if (text_of(m, TAG_TEXT).n) {
		text_escape(shown, sizeof(shown), text_of(m, TAG_TEXT));
		printf("    %s\n", shown);
	}
}

static int refused(struct msg_in *m)
{
	struct str text = STR("no reason was given");

	if (m->type == MSG_FAILED)
		(void)!msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text);
	else
		text = STR("the answer could not be read");
	return cli_fail(1, "%.*s", STR_ARG(text));
}

static int list(int sock, bool all, bool json)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct msg_out q;
	struct msg_in m;
	unsigned n = 0;
	int r, status = 0;

	msg_begin(&q, MSG_LEASE_LIST, 1);
	if (all)
		msg_put_u64(&q, TAG_FLAGS, LEASE_ALL);
	r = cli_ask(sock, &q, &m);
	if (r == 0 && m.type != MSG_LEASE && m.type != MSG_END) {
		status = refused(&m);
		msg_in_done(&m);
		return status;
	}
	if (r == 0 && json)
		printf("[");
	while (r == 0 && m.type == MSG_LEASE) {
		if (json && n)
			printf(",");
		(json ? print_json : print_row)(&m);
		n++;
		msg_in_done(&m);
		do {
			r = poll(&p, 1, ANSWER_MS) > 0 ? msg_recv(sock, &m) : -ETIMEDOUT;
		} while (r == -EAGAIN);
	}
	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	if (m.type != MSG_END)
		status = refused(&m);
	msg_in_done(&m);
	if (json)
		printf("%s]\n", n ? "\n" : "");
	else if (!n)
		printf(all ? "no job has had a lease\n" : "no job has a lease\n");
	return status;
}

static int revoke_them(int sock, struct msg_out *q, bool json)
{
	unsigned long long n, fixed;
	struct msg_in m;
	int r = cli_ask(sock, q, &m), status = 0;

	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	n = number_of(&m, TAG_SIZE);
	fixed = number_of(&m, TAG_STATIC);
	if (m.type != MSG_OK)
		status = refused(&m);
	else if (json)
		printf("{ \"ok\": true, \"leases\": %llu, \"static\": %llu }\n", n, fixed);
	else
		printf("%llu lease%s: %llu with its provider now (egret lease list --all says when "
		       "it "
		       "is done), %llu static or without an end to ask for: nothing is revoked, "
		       "only "
		       "forgotten\n",
		       n, n == 1 ? "" : "s", n - fixed, fixed);
	msg_in_done(&m);
	return status;
}

int verb_lease(int argc, char **argv)
{
	static const struct option options[] = { { "all", no_argument, NULL, 'a' },
						 { "json", no_argument, NULL, 'j' },
						 { "job", required_argument, NULL, 'J' },
						 { "credential", required_argument, NULL, 'c' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	const char *job = NULL, *credential = NULL, *lease = NULL;
	bool all = false, json = false, is_list, is_revoke;
	struct msg_out q;
	int o, sock, r;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (o == 'a')
			all = true;
		else if (o == 'j')
			json = true;
		else if (o == 'J')
			job = optarg;
		else if (o == 'c')
			credential = optarg;
		else
			return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
	}
	is_list = argc - optind == 1 && !strcmp(argv[optind], "list") && !job && !credential;
	is_revoke = argc - optind >= 1 && argc - optind <= 2 && !strcmp(argv[optind], "revoke");
	lease = argc - optind == 2 ? argv[optind + 1] : NULL;
	if (!is_list &&
	    !(is_revoke && (lease ? !all && !job && !credential : all != (job || credential))))
		return fputs(usage, stderr), 2;
	r = job_connect(&sock);
	if (r >= 0)
		return r;
	if (is_list) {
		r = list(sock, all, json);
		close(sock);
		return r;
	}
	msg_begin(&q, MSG_LEASE_REVOKE, 1);
	if (all)
		msg_put_u64(&q, TAG_FLAGS, LEASE_ALL);
	if (lease)
		msg_put_str(&q, TAG_LEASE, str_of(lease));
	if (job)
		msg_put_str(&q, TAG_JOB_NAME, str_of(job));
	if (credential)
		msg_put_str(&q, TAG_NAME, str_of(credential));
	r = revoke_them(sock, &q, json);
	close(sock);
	return r;
}
