/* SPDX-License-Identifier: Apache-2.0 */
/* See job_ask.h. */
#include "cli/job_ask.h"

#include "cli/job_print.h"

#include <stdio.h>

int job_connect(int *ret)
{
	int sock = cli_connect();

	if (sock < 0)
		return cli_fail(1,
				"no egretd answers: %s; systemctl start egretd, or egret run "
				"starts one for its job",
				strerror(-sock));
	*ret = sock;
	return -1;
}

int job_label_add(const char **list, unsigned *n, const char *label)
{
	const char *eq = strchr(label, '=');

	if (!eq || eq == label)
		return cli_fail(2, "--label %s: write it as KEY=VALUE", label);
	if (*n == JOB_LABELS_MAX)
		return cli_fail(2, "at most %d --label", JOB_LABELS_MAX);
	list[(*n)++] = label;
	return -1;
}

void job_put_sources(struct msg_out *m, const struct source_list *sources)
{
	unsigned i;

	for (i = 0; i < sources->n; i++) {
		msg_put_fd(m, TAG_FD_SOURCE, sources->at[i].fd);
		msg_put_str(m, TAG_NAME, str_of(sources->at[i].name));
		msg_put_str(m, TAG_KIND, str_of(sources->at[i].kind));
	}
}

int job_ask(int sock, struct msg_out *m, struct msg_in *ret)
{
	struct str text = STR("no reason was given");
	const char *at, *end, *line;
	int r = cli_ask(sock, m, ret);

	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	if (ret->type == MSG_JOB)
		return 0;
	(void)!msg_get_str(ret, TAG_TEXT, MSG_SIZE_MAX, &text);
	/* Faults of a policy come a line each. */
	for (at = text.p, end = at + text.n; at < end; at = line + 1) {
		line = memchr(at, '\n', (size_t)(end - at));
		if (!line)
			line = end;
		cli_fail(0, "%.*s", (int)(line - at), at);
	}
	msg_in_done(ret);
	return 1;
}

int job_answer(struct msg_in *in, bool json)
{
	struct str name = STR("");

	(void)!msg_get_str(in, TAG_JOB_NAME, 64, &name);
	if (json)
		job_print_json(in);
	else
		printf("%.*s", STR_ARG(name));
	putchar('\n');
	msg_in_done(in);
	return fflush(stdout) ? cli_fail(1, "the job's name cannot be written") : 0;
}
