// SPDX-License-Identifier: Apache-2.0
/*
 * The outside, and who keeps the score: opens sink and colluder, starts the agent by the command
 * that is given (confined or not: that is the command's matter), has it make each attempt with a
 * token of its own, and writes what was seen of each, a line an attempt, for report.c.
 *
 *	bypass drive phase=without|with setting=NAME origin=NETNS dev:origin=DEV ... -- COMMAND...
 *
 * As root in the host's namespaces; reads from the job what any outside world reads: bytes.
 */
#include "outside.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct outside O;

static char phase[16] = "with", label[32] = "own", agent_ns[256], agent_mnt[256], resolv[256],
	    pattern[128] = "*";
static char attach[512], out[256];
static int only_family, quiet_ms = 400;
static bool refused; /* the enforcer did not take the running agent: no attempt is made */
static char **command;

pid_t agent;
static int to_agent = -1, from_agent = -1;
static char lines[8192]; /* what the agent said and nobody read yet */
static size_t lines_n;

void die(const char *what)
{
	fprintf(stderr, "bypass drive: %s: %s\n", what, strerror(errno));
	if (agent > 0)
		kill(agent, SIGTERM);
	friend_stop();
	exit(1);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- everything that can be read ---- */

#define MAX_WATCHED 4096
static struct pollfd polled[MAX_WATCHED];
static struct {
	reader fn;
	void *arg;
} readers[MAX_WATCHED];
static size_t n_watched;

void watch(int fd, reader fn, void *arg)
{
	if (n_watched == MAX_WATCHED)
		die("too many connections");
	polled[n_watched] = (struct pollfd){ .fd = fd, .events = POLLIN };
	readers[n_watched].fn = fn;
	readers[n_watched++].arg = arg;
}

void pump(int ms)
{
	if (poll(polled, n_watched, ms) <= 0)
		return;
	/* Backwards: who closes is replaced by the last, who was asked already. */
	for (size_t i = n_watched; i-- > 0;) {
		if (!polled[i].revents)
			continue;
		if (!readers[i].fn(polled[i].fd, readers[i].arg)) {
			n_watched--;
			polled[i] = polled[n_watched];
			readers[i] = readers[n_watched];
		}
	}
}

int socket_in(const char *netns, int family, int type, int proto)
{
	static int own = -1;
	int there, fd;

	if (own < 0)
		own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	there = open(netns, O_RDONLY | O_CLOEXEC);
	if (own < 0 || there < 0 || setns(there, CLONE_NEWNET))
		die(netns);
	fd = socket(family, type, proto);
	if (fd < 0)
		die("socket");
	close(there);
	if (setns(own, CLONE_NEWNET))
		die("setns back");
	return fd;
}

int serve(const char *netns, int type, uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket_in(netns, AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int off = 0, on = 1;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    (type == SOCK_STREAM && listen(fd, 128)))
		die("a server's port");
	return fd;
}

/* ---- tokens: the run's ten letters, four digits of the attempt, a last letter ---- */

static bool trying;

struct attempted *now_trying(void)
{
	return trying ? &O.tries[O.n_tries - 1] : NULL;
}

bool seen(const void *data, size_t n, unsigned how)
{
	const uint8_t *p = data;
	size_t run = strlen(O.run), i, k, index;
	bool any = false;

	/* Names come back in any case. */
	for (i = 0; i + run + 5 <= n; i++) {
		for (k = 0; k < run && tolower(p[i + k]) == O.run[k]; k++)
			;
		if (k < run)
			continue;
		for (index = 0, k = run; k < run + 4 && isdigit(p[i + k]); k++)
			index = index * 10 + (size_t)(p[i + k] - '0');
		if (k < run + 4 || tolower(p[i + k]) != 'z' || index >= O.n_tries)
			continue;
		O.tries[index].how |= how;
		O.tries[index].tokens++;
		any = true;
	}
	return any;
}

/* ---- the agent ---- */

static bool read_agent(int fd, void *arg)
{
	ssize_t n = read(fd, lines + lines_n, sizeof(lines) - 1 - lines_n);

	(void)arg;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		close(fd);
		from_agent = -1;
		return false;
	}
	lines_n += (size_t)n;
	lines[lines_n] = '\0';
	return true;
}

/* The next line that is an object; others are some tool's words. What a case wants of the outside
 * is done on the way. */
static bool agent_says(char *to, size_t room, int ms)
{
	int64_t end = now_ms() + ms;
	char *nl;

	for (;;) {
		while ((nl = memchr(lines, '\n', lines_n))) {
			size_t n = (size_t)(nl - lines) + 1;

			*nl = '\0';
			snprintf(to, room, "%s", lines);
			memmove(lines, lines + n, lines_n - n);
			lines_n -= n;
			if (!strncmp(to, "{\"want\":\"", 9))
				ask_answer(to + 9, to_agent);
			else if (*to == '{')
				return true;
		}
		if (from_agent < 0 || now_ms() >= end || lines_n == sizeof(lines) - 1)
			return false;
		pump(20);
		sink_tick();
	}
}

static bool wanted(const struct bypass_case *c, int family, int setting)
{
	bool named = strcmp(pattern, "@guest") == 0 ? c->expect == GUEST || c->lsm_only
						    : fnmatch(pattern, c->name, 0) == 0;

	return named && (c->settings & (unsigned)setting) &&
	       (c->families & (family == AF_INET ? FOUR : SIX)) &&
	       (!only_family || only_family == family) && (!*attach || c->before) &&
	       (!strcmp(phase, "without") || c->crash == (*ask_crash != '\0'));
}

/* What cases want to have from before, opened where nobody confines yet, for the agent to inherit
 * if the enforcer hands on descriptors. */
static void carry(void)
{
	static char names[8192];
	size_t n = 0;

	for (size_t i = 0; i < case_count(); i++) {
		for (int six = 0; six < 2; six++) {
			const struct bypass_case *c = case_at(i);
			struct request *r = six ? &O.six : &O.four;
			int fd, high;

			if (!c->before || !wanted(c, r->target.family, r->target.setting))
				continue;
			fd = c->before(&r->target);
			high = fd < 0 ? -1 : fcntl(fd, F_DUPFD, 200);
			if (high < 0 || n + 80 > sizeof(names))
				continue;
			close(fd);
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%d=%d,", c->name,
					      six ? 6 : 4, high);
		}
	}
	setenv("BYPASS_EARLY", names, 1);
}

/* Root of a namespace has what docker leaves a container, and no more: what needs CAP_NET_ADMIN is
 * impossible, and changes nothing in this world. */
static void bound_as_docker(void)
{
	static const unsigned char left[] = {
		CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,	    CAP_FSETID,	 CAP_KILL,
		CAP_SETGID, CAP_SETUID,	      CAP_SETPCAP,	    CAP_NET_RAW, CAP_SYS_CHROOT,
		CAP_MKNOD,  CAP_AUDIT_WRITE,  CAP_NET_BIND_SERVICE, CAP_SETFCAP,
	};

	for (unsigned cap = 0; cap < 64; cap++) {
		if (!memchr(left, (int)cap, sizeof(left)))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
}

static void agent_exec(void)
{
	int ns, mnt;

	if (!strcmp(phase, "with") && !*attach) {
		ns = open(O.host_ns, O_RDONLY | O_CLOEXEC);
		if (ns < 0 || setns(ns, CLONE_NEWNET))
			_exit(95);
		carry();
	}
	mnt = *agent_mnt ? open(agent_mnt, O_RDONLY | O_CLOEXEC) : -1;
	if (*agent_ns) {
		ns = open(agent_ns, O_RDONLY | O_CLOEXEC);
		if (ns < 0 || setns(ns, CLONE_NEWNET))
			_exit(97);
	}
	if (*agent_mnt && (mnt < 0 || setns(mnt, CLONE_NEWNS)))
		_exit(94);
	if (*resolv &&
	    (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	     mount(resolv, "/etc/resolv.conf", NULL, MS_BIND, NULL)))
		_exit(98);
	if (*agent_ns)
		bound_as_docker();
	execvp(command[0], command);
	_exit(99);
}

static void agent_end(void)
{
	int64_t end = now_ms() + 20000;

	if (agent <= 0)
		return;
	close(to_agent);
	while (waitpid(agent, NULL, WNOHANG) == 0) {
		/* Who was to tell of the job's end may be dead too. */
		if (now_ms() > end || *ask_crash)
			kill(agent, SIGKILL);
		pump(20);
	}
	agent = 0;
}

static void agent_start(void)
{
	int in[2], back[2];
	char line[1024];

	agent_end();
	if (pipe2(in, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		die("pipe");
	agent = fork();
	if (agent < 0)
		die("fork");
	if (agent == 0) {
		if (dup2(in[0], 0) < 0 || dup2(back[1], 1) < 0)
			_exit(96);
		agent_exec();
	}
	close(in[0]);
	close(back[1]);
	to_agent = in[1];
	from_agent = back[0];
	lines_n = 0;
	watch(from_agent, read_agent, NULL);
	errno = ETIMEDOUT;
	if (!agent_says(line, sizeof(line), 90000) || !strstr(line, "\"agent\""))
		die("the agent did not start: its command failed");
}

/* "errno":"EPERM","said":"connect","absent":false: our own program's words, from inside. */
static void field(const char *line, const char *key, char *to, size_t room)
{
	char want[32];
	const char *p;
	size_t n = 0;

	snprintf(want, sizeof(want), "\"%s\":\"", key);
	p = strstr(line, want);
	for (p = p ? p + strlen(want) : ""; *p && *p != '"' && n + 1 < room; p++) {
		if (*p == '\\' && p[1])
			p++;
		to[n++] = *p < ' ' ? ' ' : *p;
	}
	to[n] = '\0';
}

static void ask(const struct bypass_case *c, const struct request *r, const char *verb, char *line,
		size_t room)
{
	char text[2048];
	FILE *f = fmemopen(text, sizeof(text), "w");

	if (!f)
		die("memory");
	fprintf(f, "%s%s ", verb, c->name);
	request_write(r, f);
	fputc('\n', f);
	fclose(f);
	*line = '\0';
	if (write(to_agent, text, strlen(text)) != (ssize_t)strlen(text) ||
	    !agent_says(line, room, CASE_LIMIT_MS + 4000))
		snprintf(line, room, "{\"errno\":\"EPIPE\",\"said\":\"the agent ended\"}");
}

/* ---- attempts ---- */

static struct {
	char err[24], said[128];
	bool absent;
} answers[MAX_TRIES];

static void try_one(const struct bypass_case *c, int family)
{
	struct attempted *a = &O.tries[O.n_tries], *before = O.n_tries ? a - 1 : NULL;
	struct request r = family == AF_INET ? O.four : O.six;
	struct sockaddr_storage group;
	char line[2048];
	int64_t end;

	if (O.n_tries == MAX_TRIES)
		die("too many cases");
	snprintf(r.token, sizeof(r.token), "%s%04zuz", O.run, O.n_tries);
	/* The copy's texts are its own. */
	r.target.addr = r.addr, r.target.other = r.other, r.target.token = r.token;
	r.target.dev = r.dev, r.target.self = r.self, r.target.gateway = r.gateway;
	r.target.friend_ = r.friend_, r.target.late = r.late, r.target.abstract = r.abstract;
	r.target.run = r.run;
	r.target.host = r.host;
	a->c = c;
	a->family = family;
	/* To end a connection is to send a packet. */
	a->excused = *attach || c->inbound || c->listens ||
		     (before && before->excused && !before->c->inbound);
	token_group(&r.target, &group);
	memcpy(a->group,
	       family == AF_INET ? (uint8_t *)&((struct sockaddr_in *)&group)->sin_addr + 1
				 : (uint8_t *)&((struct sockaddr_in6 *)&group)->sin6_addr + 13,
	       3);
	O.n_tries++;
	trying = true;
	sink_inbound(c->inbound || c->listens);
	if (c->before && !strcmp(phase, "without"))
		ask(c, &r, "before ", line, sizeof(line));
	if (refused)
		snprintf(line, sizeof(line), "{\"errno\":\"EPERM\",\"said\":\"not attached\"}");
	else
		ask(c, &r, "", line, sizeof(line));
	field(line, "errno", answers[a - O.tries].err, sizeof(answers->err));
	field(line, "said", answers[a - O.tries].said, sizeof(answers->said));
	answers[a - O.tries].absent = strstr(line, "\"absent\":true");
	end = now_ms() + (c->wait_ms ? c->wait_ms : 60);
	/* Without an enforcer there is nothing more to learn once it is out. */
	while (now_ms() < end && !(a->tokens && !strcmp(phase, "without")))
		pump((int)(end - now_ms()));
	if (from_agent < 0)
		agent_start();
}

/* False: it was not taken. */
static bool attach_now(void)
{
	char line[1024];
	int status = 0;
	pid_t pid;

	for (size_t i = 0; i < case_count(); i++) {
		if (wanted(case_at(i), AF_INET, HOST))
			ask(case_at(i), &O.four, "before ", line, sizeof(line));
		if (wanted(case_at(i), AF_INET6, HOST))
			ask(case_at(i), &O.six, "before ", line, sizeof(line));
	}
	if (write(to_agent, "drop\n", 5) != 5 || !agent_says(line, sizeof(line), 4000))
		die("the agent has ended");
	snprintf(line, sizeof(line), "%d", (int)agent);
	pid = fork();
	if (pid == 0) {
		setenv("BYPASS_AGENT", line, 1);
		execl("/bin/sh", "sh", "-c", attach, (char *)NULL);
		_exit(99);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("what should take hold of the running agent");
	return status == 0;
}

/* Addresses are tentative and neighbours unknown for a second or two; what is lost by that must not
 * look like a wall. */
static void settle(const struct request *r)
{
	const struct bypass_case *c = case_named("tcp_connect");
	int64_t end = now_ms() + 5000;
	char line[1024] = "";

	if (strcmp(phase, "without") || !*r->target.self || !c)
		return;
	while (!strstr(line, "\"errno\":\"\"") && now_ms() < end)
		ask(c, r, "", line, sizeof(line));
	if (!strstr(line, "\"errno\":\"\""))
		fprintf(stderr, "the outside world is not reached by IPv%d: %s\n",
			r->target.family == AF_INET ? 4 : 6, line);
}

/* What an attempt without the enforcer set off - retransmissions, an unknown neighbour that is
 * given up after seconds - must not be taken for a leak with it. */
static void quiet(void)
{
	int64_t end = now_ms() + 15000, since = now_ms();
	size_t n = O.n_frames;

	while (now_ms() < end && now_ms() - since < quiet_ms) {
		pump(50);
		if (n != O.n_frames)
			since = now_ms();
		n = O.n_frames;
	}
}

static void write_scores(void)
{
	FILE *f = *out ? fopen(out, "ae") : stdout;

	if (!f)
		die(out);
	for (size_t i = 0; i < O.n_tries; i++) {
		const struct attempted *a = &O.tries[i];

		fprintf(f, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%u\t%u\t%u\t%d\t%s\n", phase, label,
			a->c->name, a->family == AF_INET ? 4 : 6, answers[i].err, answers[i].absent,
			answers[i].said, a->how, a->tokens, a->frames, a->excused, a->frame);
	}
	if (f != stdout && fclose(f))
		die(out);
}

static bool option(const char *kv)
{
	struct {
		const char *key;
		char *to;
		size_t room;
	} const texts[] = {
		{ "phase=", phase, sizeof(phase) },
		{ "label=", label, sizeof(label) },
		{ "case=", pattern, sizeof(pattern) },
		{ "netns=", agent_ns, sizeof(agent_ns) },
		{ "mnt=", agent_mnt, sizeof(agent_mnt) },
		{ "resolv=", resolv, sizeof(resolv) },
		{ "attach=", attach, sizeof(attach) },
		{ "crash=", ask_crash, sizeof(ask_crash) },
		{ "out=", out, sizeof(out) },
		{ "origin=", O.origin_ns, sizeof(O.origin_ns) },
		{ "origin_dev=", O.origin_dev, sizeof(O.origin_dev) },
		{ "host_ns=", O.host_ns, sizeof(O.host_ns) },
		{ "run_at=", O.run_at, sizeof(O.run_at) },
		{ "taps=", O.taps, sizeof(O.taps) },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (!strncmp(kv, texts[i].key, strlen(texts[i].key))) {
			snprintf(texts[i].to, texts[i].room, "%s", kv + strlen(texts[i].key));
			return true;
		}
	}
	if (!strncmp(kv, "quiet=", 6)) {
		quiet_ms = (int)strtol(kv + 6, NULL, 10);
		return true;
	}
	if (!strncmp(kv, "only=", 5)) {
		only_family = kv[5] == '6' ? AF_INET6 : AF_INET;
		return true;
	}
	if (!strncmp(kv, "4:", 2))
		return request_set(&O.four, kv + 2);
	if (!strncmp(kv, "6:", 2))
		return request_set(&O.six, kv + 2);
	return request_set(&O.four, kv) && request_set(&O.six, kv);
}

int drive_main(int argc, char **argv)
{
	unsigned char random[10];
	int i = 0, setting;

	request_init(&O.four);
	request_init(&O.six);
	for (; i < argc && strcmp(argv[i], "--"); i++) {
		if (!option(argv[i])) {
			fprintf(stderr, "bypass drive: %s is not known\n", argv[i]);
			return 2;
		}
	}
	if (i + 1 >= argc) {
		fprintf(stderr, "bypass drive: which command runs the agent?\n");
		return 2;
	}
	command = argv + i + 1;
	O.four.target.family = AF_INET;
	O.six.target.family = AF_INET6;
	setting = O.four.target.setting;
	O.tries = calloc(MAX_TRIES, sizeof(*O.tries));
	if (!O.tries || getentropy(random, sizeof(random)))
		die("memory");
	for (i = 0; i < 10; i++)
		O.run[i] = (char)('a' + random[i] % 26);
	signal(SIGPIPE, SIG_IGN);
	sink_open();
	friend_start();
	agent_start();
	if (*O.four.target.late)
		friend_late();
	settle(&O.four);
	settle(&O.six);
	if (!strcmp(phase, "with"))
		quiet();
	refused = *attach && !attach_now();
	for (size_t n = 0; n < case_count(); n++) {
		const struct bypass_case *c = case_at(n);

		if (wanted(c, AF_INET, setting))
			try_one(c, AF_INET);
		if (wanted(c, AF_INET6, setting))
			try_one(c, AF_INET6);
	}
	/* What is still on its way has a name on it. */
	for (i = 0; i < 10; i++)
		pump(50);
	agent_end();
	pump(0);
	friend_stop();
	write_scores();
	return 0;
}
