/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egretd: start, signals, end. Starting either succeeds whole or leaves nothing half-started and
 * one sentence: exit 2 when the configuration or the usage is wrong, 1 when the host cannot. The
 * kernel programs stay pinned at the end of a daemon that is to come back; one started by `egret
 * run` (--once) takes its pins and cgroups away with it.
 */
#include "egretd/adopt.h"
#include "egretd/authority.h"
#include "egretd/container.h"
#include "egretd/doctor.h"
#include "egretd/control.h"
#include "egretd/handover.h"
#include "egretd/hostaddr.h"
#include "egretd/job.h"
#include "egretd/links.h"
#include "egretd/override.h"
#include "egretd/probe.h"
#include "egretd/rekey.h"
#include "egretd/share.h"
#include "egretd/supervisor.h"
#include "egretd/unit.h"
#include "egretd/walls.h"

#include "base/jail.h"
#include "base/log.h"
#include "base/storekey.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define LOCK_MS 500

static const char usage[] =
	"Usage: egretd [--config FILE] [--check]\n"
	"The gatekeeper's daemon: loads the kernel programs, keeps jobs, their proxies and the "
	"control socket.\n"
	"\n"
	"  --config FILE  instead of " CONFIG_DEFAULT "\n"
	"  --check        read configuration, policies and credentials, say what is wrong, and "
	"end\n"
	"  --doctor       look at what this host has of what egret needs, and end [--json]\n"
	"  --once         end when no job and no caller is left (egret run starts it so)\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 ended in order, 1 the host cannot, 2 usage or configuration. See "
	"egretd(8).\n";

void daemon_stop(struct daemon *d, int status)
{
	struct job *j, *next;

	if (d->stopping)
		return;
	handover_stop(d);
	d->stopping = true;
	units_close(d);
	supervisor_say("STOPPING=1");
	for (j = d->jobs; j; j = next) {
		next = j->next;
		if (j->state == JOB_RUNNING || j->state == JOB_ENDING)
			job_end(j);
		else
			job_fail(j, "egretd is ending");
	}
	if (!d->njobs)
		loop_stop(d->loop, status);
}

static void reload_done(void *owner, int err, const char *text)
{
	supervisor_say(err < 0 ? "READY=1\nSTATUS=the last reload failed; the policies before it "
				 "are in force"
			       : "READY=1\nSTATUS=serving");
}

static void on_signal(struct loop *l, const struct signalfd_siginfo *si, void *owner)
{
	struct daemon *d = owner;
	char why[WHY_MAX];

	switch (si->ssi_signo) {
	case SIGHUP:
		supervisor_say("RELOADING=1");
		control_signalled(d, si, EVENT_ADMIN_POLICY, "reload, by signal");
		library_reload(d, reload_done, d);
		break;
	case SIGUSR1:
		control_signalled(d, si, EVENT_ADMIN_UPGRADE, "upgrade, by signal");
		if (handover_begin(d, NULL, 0, why, sizeof(why)) < 0)
			log_err("upgrade: %s", why);
		break;
	case SIGTERM:
	case SIGINT:
		if (d->once && si->ssi_signo == SIGINT)
			break; /* the terminal's: `egret run` decides what it means */
		daemon_stop(d, 0);
		break;
	}
}

static void on_hostaddr(struct watch *w, uint32_t events)
{
	struct daemon *d = w->owner;
	uint8_t(*addrs)[16] = NULL;
	size_t n = 0;

	hostaddr_drain(w->fd);
	if (hostaddr_list(&addrs, &n) < 0 ||
	    kernel_hostaddr_set(d->kernel, (const uint8_t(*)[16])addrs, n) < 0)
		log_err("the host's addresses changed and cannot be told to the cage; it goes on "
			"with those before");
	free(addrs);
}

static int lock_folder(const char *path, mode_t mode, int *ret_lock, char *why, size_t n)
{
	char file[4200];
	int fd, r;

	if (mkdir(path, mode) < 0 && errno != EEXIST) {
		r = -errno;
		snprintf(why, n, "%s cannot be made: %s", path, strerror(-r));
		return r;
	}
	snprintf(file, sizeof(file), "%s/lock", path);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		r = -errno;
		snprintf(why, n, "%s cannot be made: %s", file, strerror(-r));
		return r;
	}
	/* Children that a killed egretd leaves die with it, but hold its lock until they are gone.
	 */
	for (int ms = 0; (r = flock(fd, LOCK_EX | LOCK_NB)) < 0 && ms < LOCK_MS; ms += 20)
		usleep(20000);
	if (r < 0) {
		close(fd);
		snprintf(
			why, n,
			"another egretd uses %s: end it first, or give this one folders of its own",
			path);
		return -EBUSY;
	}
	*ret_lock = fd;
	return 0;
}

static int open_files(struct daemon *d, char *why, size_t n)
{
	const struct config *c = &d->config;
	const char *system_roots[] = { "/etc/ssl/certs/ca-certificates.crt",
				       "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
				       "/etc/ssl/cert.pem" };
	char path[4200];
	unsigned i;
	int r = 0;

	/* In an upgrade they are the old egretd's until it gives them. */
	if (!d->hand)
		r = lock_folder(c->run_dir.p, 0755, &d->run_lock, why, n);
	if (r == 0 && !d->hand)
		r = lock_folder(c->state_dir.p, 0711, &d->state_lock, why, n);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/events.ndjson", c->state_dir.p);
	authority_groups(d);
	/* Append only, and made here: the audit process can add to it and nothing else. It reads
	 * the tail to go on counting. */
	d->log_fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (d->log_fd < 0) {
		r = -errno;
		snprintf(why, n, "%s cannot be opened: %s", path, strerror(-r));
		return r;
	}
	authority_log(d, path);
	r = storekey_open(c->state_dir.p, &d->store_key, why, n);
	if (r == 0)
		r = store_dir_open(c->state_dir.p, c->uid_broker, &d->store_dir, why, n);
	if (r < 0)
		return r;
	rekey_open(d);
	for (i = 0; i < c->upstream_ca_extra.n + 1; i++) {
		const char *roots = i			    ? c->upstream_ca_extra.at[i - 1].p
				    : c->upstream_ca_file.n ? c->upstream_ca_file.p
							    : NULL;
		unsigned s;

		for (s = 0; !roots && s < ARRAY_SIZE(system_roots); s++)
			if (access(system_roots[s], R_OK) == 0)
				roots = system_roots[s];
		if (!roots) {
			log_warn("this host has no CA bundle: install ca-certificates, or set "
				 "upstream.ca_file; until then no upstream is trusted");
			continue;
		}
		d->roots[d->nroots] = open(roots, O_RDONLY | O_CLOEXEC);
		if (d->roots[d->nroots] < 0) {
			r = -errno;
			snprintf(why, n, "upstream.%s: %s: %s", i ? "ca_extra" : "ca_file", roots,
				 strerror(-r));
			return r;
		}
		d->nroots++;
	}
	return 0;
}

static int start_kernel(struct daemon *d, char *why, size_t n)
{
	uint8_t(*addrs)[16] = NULL;
	size_t count = 0;
	int r = probe_required(why, n), fd = -1;

	if (r == 0)
		r = cgroups_open(d->instance, d->config.attach.n ? d->config.attach.p : NULL,
				 &d->cg, why, n);
	if (r < 0)
		return r;
	d->cg.shares = shares_open(&d->cg);
	d->where = (struct kernel_where){
		.instance = d->instance,
		.jobs = d->cg.jobs,
		.jobs_level = d->cg.jobs_level,
		.unknown_pass = d->cg.attached,
		.listen = d->cg.listen,
		.proxies = d->cg.proxies,
	};
	r = kernel_load(&d->where, &d->kernel, why, n);
	if (r < 0)
		return r;
	r = dials_close_synthetic(d);
	if (r < 0) {
		snprintf(why, n, "the synthetic ranges cannot be closed to proxies: %s",
			 strerror(-r));
		return r;
	}
	/* Watched before they are read: what comes between is read again. */
	r = hostaddr_watch_open(false, &fd);
	if (r == 0)
		r = hostaddr_list(&addrs, &count);
	if (r == 0)
		r = kernel_hostaddr_set(d->kernel, (const uint8_t(*)[16])addrs, count);
	free(addrs);
	if (r == 0)
		r = watch_add(d->loop, &d->hostaddr, fd, EPOLLIN, on_hostaddr, d);
	if (r < 0)
		snprintf(why, n, "the host's own addresses cannot be read: %s", strerror(-r));
	return r;
}

/* What egretd itself goes on with: loading and attaching programs, namespaces, mounts for jobs,
 * uids of its children, reading other processes' descriptors when it takes over. */
static int cut_capabilities(void)
{
	static const int kept[] = {
		CAP_BPF,
		CAP_PERFMON,
		CAP_NET_ADMIN,
		CAP_NET_RAW, /* the trial of the wall at links: a packet socket */
		CAP_SYS_ADMIN,
		CAP_SYS_PTRACE,
		CAP_SYS_CHROOT, /* setns(2) into a mount namespace: egret-mount */
		CAP_SETUID,
		CAP_SETGID,
		CAP_SETPCAP,
		CAP_KILL,
		CAP_DAC_OVERRIDE,
		CAP_CHOWN,
		CAP_FOWNER,
		CAP_IPC_LOCK,
		CAP_SYS_RESOURCE,
		CAP_NET_BIND_SERVICE,
		CAP_DAC_READ_SEARCH
	};
	size_t i;

	if (capng_get_caps_process() != 0)
		return -EPERM;
	for (i = 0; i <= CAP_LAST_CAP; i++) {
		bool keep = false;

		for (size_t k = 0; k < ARRAY_SIZE(kept); k++)
			keep |= kept[k] == (int)i;
		if (!keep)
			(void)capng_update(CAPNG_DROP,
					   CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
						   CAPNG_BOUNDING_SET,
					   (unsigned)i);
	}
	return capng_apply(CAPNG_SELECT_BOTH) == 0 ? 0 : -EPERM;
}

static int programs(struct daemon *d, char *why, size_t n)
{
	int r = kernel_attach(d->kernel, &d->where, why, n);

	if (r < 0)
		return r;
	/* Those of before would refuse the canary, which they do not know. */
	if (d->nold_links) {
		park_links_done(d);
		park_jobs(d);
	}
	if (kernel_no_hold(d->kernel))
		log_warn("containers cannot be held at their start: %s", kernel_no_hold(d->kernel));
	r = kernel_guard_own(d->kernel, &d->cg);
	if (r < 0) {
		snprintf(why, n, "the kernel's table of egret's own cgroups cannot be written: %s",
			 strerror(-r));
		return r;
	}
	return links_attached(d, why, n);
}

static int start(struct daemon *d, char *why, size_t n)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	d->loop = loop_new();
	/* Answers to an earlier egretd's questions may still come in: no number of this one's is
	 * theirs. */
	if (getrandom(&d->serial, sizeof(d->serial), 0) != sizeof(d->serial))
		return -EIO;
	r = loop_signals(d->loop, &set, on_signal, d);
	if (r < 0)
		return r;
	if (d->hand)
		r = handover_same(d, why, n);
	/* A file of the wrong owner or mode is a matter of configuration, as a broken policy is. */
	if (r == 0)
		r = open_files(d, why, n);
	if (r == -EPERM)
		r = -EINVAL;
	if (r == 0)
		r = start_kernel(d, why, n);
	if (r == 0)
		r = cut_capabilities();
	/* Without jobs of another version the programs come first, and are tried at once. Where the
	 * pins are gone, the programs of before hang on what is parked: they go when these stand.
	 */
	d->before_walls = r == 0 && (d->hand || kernel_is_older(d->kernel) ||
				     (!kernel_reused(d->kernel) && adopt_waited(d)));
	if (r == 0 && !d->before_walls)
		r = programs(d, why, n);
	if (r == 0)
		r = library_load(d, why, n) < 0 ? -EINVAL : 0;
	/* Everything before was for this process alone. */
	if (r == 0 && d->hand)
		r = handover_ready(d, why, n);
	if (r == 0)
		r = services_start(d, why, n);
	if (r == 0)
		overrides_open(d);
	if (r == 0)
		r = control_open(d, why, n);
	if (r == 0)
		r = adopt_jobs(d, why, n);
	handover_point("new-adopted");
	/* The tables say what they shall say: now the programs that read them. */
	if (r == 0 && d->before_walls)
		r = programs(d, why, n);
	d->before_walls = false;
	handover_point("new-attached");
	if (r == 0) {
		net_links_open(d);
		forget_open(d);
		services_tell_jobs(d);
		walls_tell(d);
		r = units_open(d, why, n);
	}
	if (r == 0)
		r = held_open(d, why, n);
	if (r == 0 && d->hand)
		r = handover_serving(d, why, n);
	if (r < 0)
		return r;
	/* Jobs are served: what is left behind is no reason to end them. */
	if (kernel_settle(d->kernel, why, n) < 0)
		log_err("%s", why);
	park_jobs(d); /* now with the links */
	links_open(d);
	return 0;
}

static void finish(struct daemon *d)
{
	char why[WHY_MAX];
	bool fresh, waited_for, gone;
	unsigned i;

	units_close(d);
	net_links_close(d);
	forget_close(d);
	walls_close(d);
	links_close(d);
	if (d->kernel)
		held_close(d);
	if (d->control >= 0)
		control_close(d);
	/* Where a start failed, jobs of an earlier egretd wait in its services for one that serves.
	 */
	snprintf(why, sizeof(why), "%s/services", d->config.run_dir.p);
	waited_for = !d->served && !d->broker.fresh && access(why, F_OK) == 0;
	if (!waited_for)
		services_stop(d);
	/* The pins stay for a daemon that is to come back, and always when another one's: only what
	 * this start made is taken away. */
	fresh = d->kernel && !kernel_reused(d->kernel) && !d->served;
	if (d->kernel)
		kernel_free(d->kernel);
	gone = d->run_lock >= 0 && (fresh || (d->once && !waited_for));
	if (gone && kernel_unpin(d->instance, why, sizeof(why)) < 0)
		log_warn("%s", why);
	if (gone && !waited_for) {
		if (d->cg.jobs_path[0])
			(void)!cgroups_remove(&d->cg);
		snprintf(why, sizeof(why), "%s/services", d->config.run_dir.p);
		(void)unlink(why);
	}
	if (d->cg.jobs_path[0])
		cgroups_close(&d->cg);
	library_close(&d->library);
	identity_close(d);
	for (i = 0; i < d->nroots; i++)
		close(d->roots[i]);
}

static int parse(struct daemon *d, int argc, char **argv, bool *ret_check, int *ret_ready)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "check", no_argument, NULL, 'k' },
						 { "once", no_argument, NULL, 'o' },
						 { "ready-fd", required_argument, NULL, 'r' },
						 { "take-over", required_argument, NULL, 't' },
						 { "help", no_argument, NULL, 'h' },
						 { "version", no_argument, NULL, 'v' },
						 { "doctor", no_argument, NULL, 'd' },
						 { "json", no_argument, NULL, 'j' },
						 { NULL, 0, NULL, 0 } };
	bool look = false, json = false;
	uint64_t fd;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'd':
			look = true;
			break;
		case 'j':
			json = true;
			break;
		case 'c':
			d->config_path = optarg;
			break;
		case 'k':
			*ret_check = true;
			break;
		case 'o':
			d->once = true;
			break;
		case 'r':
			if (str_u64(str_of(optarg), &fd) < 0 || fd > 1000)
				return 2;
			*ret_ready = (int)fd;
			fcntl((int)fd, F_SETFD, FD_CLOEXEC);
			break;
		case 't':
			if (str_u64(str_of(optarg), &fd) < 0 || fd > 1000)
				return 2;
			handover_open(d, (int)fd);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("egretd " EGRET_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	if (look)
		return doctor(d->config_path, json);
	return -1;
}

int main(int argc, char **argv)
{
	static struct daemon d = { .control = -1,
				   .log_fd = -1,
				   .store_key = -1,
				   .store_key_next = -1,
				   .store_dir = -1,
				   .run_lock = -1,
				   .state_lock = -1,
				   .park = { -1, -1 } };
	char why[WHY_MAX] = "";
	bool check = false;
	int ready = -1, r;

	handover_here();
	r = parse(&d, argc, argv, &check, &ready);
	if (r >= 0)
		return r;
	if (d.once)
		setenv("EGRET_QUIET", "1", 1); /* it and its children share a person's terminal */
	log_init("egretd");
	supervisor_init(d.once);
	umask(0022);
	if (geteuid() != 0) {
		fprintf(stderr, "egretd loads kernel programs: run it as root, by systemctl start "
				"egretd or with sudo\n");
		return 1;
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return 1;
	child_raise_descriptors(); /* a job needs some twenty */
	r = config_load(d.config_path, &d.config, why, sizeof(why));
	if (r < 0) {
		fprintf(stderr, "egretd: %s\n", why);
		if (d.hand)
			handover_no(&d, why);
		return 2;
	}
	if (d.once && d.config.attach.n) {
		/* Its end would open what it governs. */
		fprintf(stderr,
			"egretd: \"attach\" is set: only a standing egretd serves this host: "
			"start it\n");
		return 2;
	}
	config_instance(&d.config, d.instance, sizeof(d.instance));
	if (gethostname(d.node, sizeof(d.node) - 1) < 0)
		snprintf(d.node, sizeof(d.node), "localhost");
	if (check) {
		d.loop = loop_new();
		r = cgroups_open(d.instance, d.config.attach.n ? d.config.attach.p : NULL, &d.cg,
				 why, sizeof(why));
		if (r == 0)
			r = library_load(&d, why, sizeof(why));
		if (r < 0)
			fprintf(stderr, "egretd: %s\n", why);
		else
			printf("%u policies, %u credentials: good\n", d.library.policies.count,
			       d.library.credentials.count);
		return r < 0 ? 2 : 0;
	}
	r = start(&d, why, sizeof(why));
	if (r == -EBUSY && d.once)
		return EX_TEMPFAIL; /* whoever holds the folders serves soon, or is just ending:
				       `egret run` looks again */
	if (r < 0) {
		fprintf(stderr, "egretd: %s\n", why[0] ? why : strerror(-r));
		if (d.hand)
			handover_no(&d, why[0] ? why : strerror(-r));
		finish(&d);
		return r == -EINVAL ? 2 : 1;
	}
	if (!d.once)
		log_info("serving; control socket %s/control.sock, events in %s/events.ndjson",
			 d.config.run_dir.p, d.config.state_dir.p);
	if (ready >= 0) {
		(void)!write(ready, "R", 1);
		close(ready);
	}
	d.served = true;
	supervisor_ready(&d);
	services_renew(&d);
	daemon_check_idle(&d);
	r = loop_run(d.loop);
	finish(&d);
	return r < 0 ? 1 : r;
}
