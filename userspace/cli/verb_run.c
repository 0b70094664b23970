/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret run: one command as a job. Asks the running egretd, or starts one that ends with its last
 * job; hands over descriptors, shows events on a terminal, passes signals on, and ends with the
 * command's own status (125: egret failed, 126 and 127 as a shell has them).
 */
#include "cli/cli.h"
#include "cli/daemon_start.h"
#include "cli/job_tokens.h"
#include "cli/render.h"
#include "cli/sources.h"

#include "base/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LABELS_MAX 24
#define LINE_MAX_BYTES (64u << 10)
#define ORPHANED_MS 300 /* the same when nobody will say that they are */
#define AFTER_MS 6000	/* after the command's end: until its last events are here */

static const char usage[] =
	"Usage: egret run [OPTION]... [--] COMMAND [ARG]...\n"
	"Runs a command as a job: what it sends out goes through egret, by the rules of one "
	"policy.\n"
	"\n"
	"  --policy FILE      the policy (default: the installed one whose `for` fits)\n"
	"  --credential FILE  a credential for this job; may be repeated\n"
	"  --token-for AUDIENCE=FILE  an ID token for a provider of credentials; may be repeated\n"
	"  --config FILE      configuration of the egretd that is started if none runs\n"
	"  --events FILE|-    every event of the job as a JSON line to FILE or standard output\n"
	"  --net none|host    none (default): a network namespace of its own; host: the host's\n"
	"  --user USER        run it as USER (default: the caller, or who called sudo)\n"
	"  --label KEY=VALUE  a fact about the job, e.g. repo=acme/web; may be repeated\n"
	"  --quiet            no event lines on the terminal\n"
	"\n"
	"Exit status: the command's own; 125 egret failed, 126 the command cannot be executed, 127 "
	"it was not found,\n"
	"2 usage, configuration or policy. See egret-run(1).\n";

struct run {
	const char *policy, *config, *events, *net, *user;
	const char *credentials[8];
	unsigned ncredentials;
	struct job_tokens tokens;
	const char *labels[LABELS_MAX];
	unsigned nlabels;
	bool quiet;
	char **command;

	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	int ngroups;
	int sock, status[2], follow[2]; /* [0] ours; follow[0] -1: nothing to show */
	int events_out;
	char job[64];
	bool started, ended;
	bool once;	 /* its egretd was started by an `egret run`, and ends with its last job */
	bool orphaned;	 /* egretd died before the job's end */
	int exit_status; /* -1: not known yet */
	unsigned denied;
	struct buf lines;
};

static int parse(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {
		{ "policy", required_argument, NULL, 'p' },
		{ "credential", required_argument, NULL, 'c' },
		{ "token-for", required_argument, NULL, 't' },
		{ "config", required_argument, NULL, 'f' },
		{ "events", required_argument, NULL, 'e' },
		{ "net", required_argument, NULL, 'n' },
		{ "user", required_argument, NULL, 'u' },
		{ "label", required_argument, NULL, 'l' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	optind = 1;
	while ((o = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (o) {
		case 'p':
			r->policy = optarg;
			break;
		case 'c':
			if (r->ncredentials == ARRAY_SIZE(r->credentials))
				return cli_fail(2, "at most 8 --credential");
			r->credentials[r->ncredentials++] = optarg;
			break;
		case 't':
			o = job_token_option(&r->tokens, optarg);
			if (o >= 0)
				return o;
			break;
		case 'f':
			r->config = optarg;
			break;
		case 'e':
			r->events = optarg;
			break;
		case 'n':
			if (strcmp(optarg, "none") && strcmp(optarg, "host"))
				return cli_fail(2, "--net %s: it is none or host", optarg);
			r->net = optarg;
			break;
		case 'u':
			r->user = optarg;
			break;
		case 'l':
			if (r->nlabels == LABELS_MAX)
				return cli_fail(2, "at most %d --label", LABELS_MAX);
			if (!strchr(optarg, '='))
				return cli_fail(2, "--label %s: write it as KEY=VALUE", optarg);
			r->labels[r->nlabels++] = optarg;
			break;
		case 'q':
			r->quiet = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind >= argc) {
		fputs(usage, stderr);
		return cli_fail(2, "which command? Write it behind --");
	}
	r->command = argv + optind;
	return -1;
}

/* Who the command runs as: --user, else the caller; under sudo who called it. */
static int choose_user(struct run *r)
{
	const char *sudo = geteuid() == 0 ? getenv("SUDO_UID") : NULL;
	struct passwd *pw = NULL;
	uint64_t number;

	r->uid = getuid();
	r->gid = getgid();
	if (r->user) {
		pw = getpwnam(r->user);
		if (!pw && str_u64(str_of(r->user), &number) == 0 && number < UINT32_MAX) {
			pw = getpwuid((uid_t)number);
			r->uid = (uid_t)number;
			r->gid = pw ? pw->pw_gid : (gid_t)number;
		} else if (!pw) {
			return cli_fail(2, "--user %s: no such user", r->user);
		}
	} else if (sudo && str_u64(str_of(sudo), &number) == 0 && number > 0 &&
		   number < UINT32_MAX) {
		pw = getpwuid((uid_t)number);
		r->uid = (uid_t)number;
		r->gid = pw ? pw->pw_gid : (gid_t)number;
	}
	if (pw) {
		r->uid = pw->pw_uid;
		r->gid = pw->pw_gid;
		r->ngroups = ARRAY_SIZE(r->groups);
		if (getgrouplist(pw->pw_name, pw->pw_gid, r->groups, &r->ngroups) < 0)
			r->ngroups = ARRAY_SIZE(r->groups);
	} else if (r->uid == getuid()) {
		r->ngroups = getgroups(ARRAY_SIZE(r->groups), r->groups);
		if (r->ngroups < 0)
			r->ngroups = 0;
	}
	/* Another user's home and name would mislead the command. */
	if (r->uid != getuid() || sudo) {
		char text[32];

		snprintf(text, sizeof(text), "%u", (unsigned)r->uid);
		setenv("HOME", pw ? pw->pw_dir : "/tmp", 1);
		setenv("USER", pw ? pw->pw_name : text, 1);
		setenv("LOGNAME", pw ? pw->pw_name : text, 1);
	}
	return 0;
}

static int open_events(struct run *r)
{
	r->events_out = -1;
	r->follow[0] = r->follow[1] = -1;
	if (r->events && strcmp(r->events, "-")) {
		struct stat st;
		int fd =
			open(r->events, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

		if (fd < 0 || fstat(fd, &st) < 0)
			return cli_fail(2, "--events %s: %s", r->events, strerror(errno));
		/* Root's file goes to the audit process as it is: its lines are never late. */
		if (S_ISREG(st.st_mode) && geteuid() == 0) {
			r->follow[1] = fd;
			return 0;
		}
		r->events_out = fd;
	} else if (r->events) {
		r->events_out = STDOUT_FILENO;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, r->follow) < 0)
		return cli_fail(125, "no socket: %s", strerror(errno));
	return 0;
}

static int ask(struct run *r, const struct source_list *sources)
{
	struct msg_out m;
	char cwd[PROTO_TEXT_MAX], number[16];
	int spec = -1, e, i;
	extern char **environ;

	if (!getcwd(cwd, sizeof(cwd)))
		return cli_fail(125, "the working folder cannot be named: %s", strerror(errno));
	e = spec_write(r->command, environ, &spec);
	if (e < 0)
		return cli_fail(125, "the command and its environment are too large: %s",
				strerror(-e));
	if (pipe2(r->status, O_CLOEXEC) < 0)
		return cli_fail(125, "no pipe: %s", strerror(errno));
	msg_begin(&m, MSG_RUN, 1);
	msg_put_fd(&m, TAG_FD_SPEC, spec);
	msg_put_fd(&m, TAG_FD_STDIN, STDIN_FILENO);
	msg_put_fd(&m, TAG_FD_STDOUT, STDOUT_FILENO);
	msg_put_fd(&m, TAG_FD_STDERR, STDERR_FILENO);
	msg_put_fd(&m, TAG_FD_STATUS, r->status[1]);
	if (r->follow[1] >= 0)
		msg_put_fd(&m, TAG_FD_FOLLOW, r->follow[1]);
	msg_put_str(&m, TAG_CWD, str_of(cwd));
	msg_put_str(&m, TAG_NET, str_of(r->net ? r->net : "none"));
	msg_put_u64(&m, TAG_UID, r->uid);
	msg_put_u64(&m, TAG_GID, r->gid);
	for (i = 0; i < r->ngroups; i++) {
		snprintf(number, sizeof(number), "%u", (unsigned)r->groups[i]);
		msg_put_str(&m, TAG_GROUP, str_of(number));
	}
	for (i = 0; i < (int)r->nlabels; i++)
		msg_put_str(&m, TAG_LABEL, str_of(r->labels[i]));
	for (i = 0; i < (int)sources->n; i++) {
		msg_put_fd(&m, TAG_FD_SOURCE, sources->at[i].fd);
		msg_put_str(&m, TAG_NAME, str_of(sources->at[i].name));
		msg_put_str(&m, TAG_KIND, str_of(sources->at[i].kind));
	}
	job_put_tokens(&m, &r->tokens);
	e = msg_send(r->sock, &m);
	msg_out_done(&m);
	close(spec);
	close(r->status[1]);
	if (r->follow[1] >= 0)
		close(r->follow[1]);
	return e < 0 ? cli_fail(125, "egretd cannot be asked: %s", strerror(-e)) : 0;
}

/* One NDJSON line of the job's events. */
static void show_line(struct run *r, struct str line)
{
	struct buf text;

	/* What every lookup of a resolver library does is in the stream, but says nothing to the
	 * person at the terminal. */
	bool sorting = memmem(line.p, line.n, "\"reason\":\"udp_connect\"", 22) != NULL;

	if (!sorting && memmem(line.p, line.n, "\"verdict\":\"deny\"", 16))
		r->denied++;
	if (r->events_out >= 0) {
		(void)!write(r->events_out, line.p, line.n);
		(void)!write(r->events_out, "\n", 1);
		return;
	}
	if (r->quiet || sorting || !isatty(STDERR_FILENO))
		return;
	buf_init(&text, LINE_MAX_BYTES);
	if (render_compact(line, cli_color(STDERR_FILENO), &text) == 0)
		fprintf(stderr, "%.*s", STR_ARG(buf_str(&text)));
	buf_done(&text);
}

/* 0: more may come; -1: the end. */
static int show_events(struct run *r)
{
	char *newline;
	ssize_t n;

	for (;;) {
		if (buf_reserve(&r->lines, 4096) < 0)
			r->lines.n = 0; /* a line longer than any event: not ours */
		n = read(r->follow[0], r->lines.p + r->lines.n, r->lines.size - r->lines.n);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (n == 0)
			return -1;
		r->lines.n += (size_t)n;
		while ((newline = memchr(r->lines.p, '\n', r->lines.n)) != NULL) {
			size_t len = (size_t)(newline - r->lines.p);

			show_line(r, (struct str){ r->lines.p, len });
			buf_consume(&r->lines, len + 1);
		}
	}
}

/* -1: go on; else the exit status of egret run. */
static int on_daemon(struct run *r)
{
	struct msg_in m;
	struct str text = STR("no reason was given");
	uint64_t code = 0, flags = 0;
	int e = msg_recv(r->sock, &m);
	char shown[PROTO_TEXT_MAX];

	if (e == -EAGAIN)
		return -1;
	if (e < 0) {
		/* The job goes on without egretd (running jobs do); the status pipe tells its end.
		 */
		r->ended = r->orphaned = true;
		if (!r->started)
			return cli_fail(125, "egretd ended before the job began; its log says why");
		return -1;
	}
	if (m.type == MSG_JOB) {
		if (msg_get_str(&m, TAG_JOB_NAME, sizeof(r->job) - 1, &text) == 0)
			snprintf(r->job, sizeof(r->job), "%.*s", STR_ARG(text));
		if (msg_get_u64(&m, TAG_FLAGS, &flags) == 0 && (flags & JOB_ONCE))
			r->once = true;
		r->started = true;
	} else if (m.type == MSG_JOB_ENDED) {
		r->ended = true;
		if (r->exit_status < 0 && msg_get_u64(&m, TAG_CODE, &code) == 0)
			r->exit_status = (int)(code & 0xff);
	} else if (m.type == MSG_FAILED) {
		(void)!msg_get_str(&m, TAG_TEXT, MSG_SIZE_MAX, &text);
		(void)!msg_get_u64(&m, TAG_CODE, &code);
		if (!r->started) {
			const char *at = text.p, *end = text.p + text.n, *line;

			/* Faults of a policy come a line each. */
			for (; at < end; at = line + 1) {
				line = memchr(at, '\n', (size_t)(end - at));
				if (!line)
					line = end;
				text_escape(shown, sizeof(shown),
					    (struct str){ at, (size_t)(line - at) });
				cli_fail(0, "%s", shown);
			}
			msg_in_done(&m);
			return code == EINVAL || code == EPERM ? 2 : 125;
		}
	}
	msg_in_done(&m);
	return -1;
}

static void on_signal(struct run *r, int sigfd)
{
	struct signalfd_siginfo si;
	struct msg_out m;

	while (read(sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (!r->started || r->ended || si.ssi_signo == SIGCHLD)
			continue;
		msg_begin(&m, MSG_SIGNAL, 2);
		msg_put_str(&m, TAG_JOB_NAME, str_of(r->job));
		msg_put_u64(&m, TAG_CODE, si.ssi_signo);
		(void)!msg_send(r->sock, &m);
		msg_out_done(&m);
	}
}

/* Neither the command's first process nor egretd said how it ended. */
static int untold(const struct run *r)
{
	return cli_fail(125,
			"how the command of job %s ended was not told%s; egret events --job %s "
			"shows what it did",
			r->job, r->orphaned ? ": egretd ended before it" : "", r->job);
}

static int watch_job(struct run *r, int sigfd)
{
	struct pollfd p[] = { { r->sock, POLLIN, 0 },
			      { r->status[0], POLLIN, 0 },
			      { r->follow[0], POLLIN, 0 },
			      { sigfd, POLLIN, 0 } };
	uint32_t status;
	int wait = -1, e;

	for (;;) {
		if (r->ended && r->exit_status >= 0)
			p[1].fd = -1;
		/* Everything is over when egretd said so, the status is known and the events' pipe
		 * is empty. */
		if (r->ended && r->exit_status >= 0 && p[2].fd < 0)
			return r->exit_status;
		e = poll(p, ARRAY_SIZE(p), wait);
		if (e < 0 && errno != EINTR)
			return 125;
		if (e == 0)
			return r->exit_status >= 0 ? r->exit_status : untold(r);
		if (p[3].revents)
			on_signal(r, sigfd);
		if (p[2].fd >= 0 && p[2].revents && show_events(r) < 0)
			p[2].fd = -1;
		if (p[1].fd >= 0 && p[1].revents) {
			if (read(r->status[0], &status, sizeof(status)) == (ssize_t)sizeof(status))
				r->exit_status = (int)(status & 0xff);
			p[1].fd = -1;
			wait = r->orphaned ? ORPHANED_MS : AFTER_MS;
		}
		if (p[0].fd >= 0 && p[0].revents) {
			e = on_daemon(r);
			if (e >= 0)
				return e;
			if (r->ended) {
				p[0].fd = -1;
				wait = r->exit_status >= 0 ? AFTER_MS : wait;
			}
		}
	}
}

int verb_run(int argc, char **argv)
{
	struct run r = { .exit_status = -1, .sock = -1 };
	cleanup_sources struct source_list sources = { .n = 0 };
	sigset_t set;
	int e, sigfd;
	unsigned i;

	e = parse(&r, argc, argv);
	if (e >= 0)
		return e;
	if (getenv("EGRET_JOB") && access("/run/egret/ca.pem", F_OK) == 0)
		return cli_fail(125, "this is already inside job %s: a job may not start another",
				getenv("EGRET_JOB"));
	if (r.policy)
		e = sources_policy(&sources, r.policy);
	for (i = 0; e < 0 && i < r.ncredentials; i++)
		e = sources_credential(&sources, r.credentials[i]);
	if (e > 0)
		return e;
	e = choose_user(&r);
	if (e > 0)
		return e;
	e = open_events(&r);
	if (e > 0)
		return e;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGWINCH);
	e = daemon_connect(r.config, &r.sock, &r.once);
	if (e > 0)
		return e;
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	buf_init(&r.lines, 1u << 20);
	e = ask(&r, &sources);
	sources_done(&sources);
	job_tokens_done(&r.tokens);
	if (e > 0)
		return e;
	e = watch_job(&r, sigfd);
	if (r.denied && r.events_out < 0 && !r.quiet && r.follow[0] >= 0 && !isatty(STDERR_FILENO))
		fprintf(stderr,
			"egret: %u refused in job %s; egret events --job %s --verdict deny shows "
			"them\n",
			r.denied, r.job, r.job);
	buf_done(&r.lines);
	if (r.orphaned && r.once && geteuid() == 0)
		daemon_sweep(r.config);
	return e;
}
