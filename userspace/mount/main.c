/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-mount: lays the job's bundles over the files that clients read in a container that runs
 * already. Started by egretd as root with one socket; answers one MSG_MOUNT and ends. It keeps the
 * capabilities that mounting in another namespace takes and no other.
 *
 * Trusts: the message. Does not trust: the container's tree, which is looked up below its root and
 * held by descriptors; the bytes of its bundles, which only trust_combine's jailed child reads.
 */
#include "mount/mount.h"

#include "base/jail.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAIT_MS 10000

/* SETUID and SETGID are for the child of trust_combine, which gives them up. */
static int keep_capabilities(void)
{
	static const unsigned keep[] = { CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_DAC_OVERRIDE,
					 CAP_SETUID,	CAP_SETGID,	CAP_SETPCAP };
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
		mask |= 1ull << keep[i];
	for (unsigned i = 0; i < 64 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (!(mask >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return -errno;
	for (unsigned i = 0; i < 2; i++)
		d[i].effective = d[i].permitted = (uint32_t)(mask >> (32 * i));
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

static int read_question(struct msg_in *m, struct mount_ask *ask)
{
	struct pollfd p = { .fd = PROTO_SOCKET_FD, .events = POLLIN };
	uint64_t uid = 0;
	int r;

	do
		r = poll(&p, 1, WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	r = msg_recv(PROTO_SOCKET_FD, m);
	if (r < 0)
		return r;
	if (m->type != MSG_MOUNT || msg_take_fd(m, TAG_FD_MNTNS, &ask->mntns) < 0 ||
	    msg_take_fd(m, TAG_FD_ROOT, &ask->root) < 0 ||
	    msg_take_fd(m, TAG_FD_CA, &ask->ca) < 0 ||
	    msg_take_fd(m, TAG_FD_BUNDLE, &ask->bundle) < 0 ||
	    msg_take_fd(m, TAG_FD_P12, &ask->p12) < 0 || msg_get_u64(m, TAG_UID, &uid) < 0 ||
	    uid == 0 || uid > INT32_MAX)
		return -EBADMSG;
	ask->uid = (uid_t)uid;
	return 0;
}

static int work(const struct mount_ask *ask, unsigned *ret_n, bool *ret_dir, char *why, size_t size)
{
	struct mount_peers host = { .proc = -1 };
	struct mount_targets t = { .dir = -1 };
	cleanup_close int stage = -1;
	int r = peers_open(ask->mntns, &host, why, size);

	if (r < 0)
		return r;
	r = stage_open(&stage, why, size);
	if (r == 0)
		r = targets_find(ask, host.proc, stage, &t, why, size);
	if (r == 0)
		r = lay_bundles(ask, &host, &t, ret_dir, why, size);
	*ret_n = t.n;
	targets_close(&t);
	peers_close(&host);
	return r;
}

static int answer(uint32_t id, int err, unsigned n, bool dir, const char *why)
{
	struct msg_out out;

	msg_begin(&out, err ? MSG_FAILED : MSG_OK, id);
	if (err) {
		msg_put_str(&out, TAG_TEXT, str_of(why));
		msg_put_u64(&out, TAG_CODE, (uint64_t)-err);
	} else {
		msg_put_u64(&out, TAG_INDEX, n);
		msg_put_u64(&out, TAG_FLAGS, dir ? MOUNT_DIR : 0);
	}
	return msg_send(PROTO_SOCKET_FD, &out);
}

int main(void)
{
	struct mount_ask ask = { .mntns = -1, .root = -1, .ca = -1, .bundle = -1, .p12 = -1 };
	struct msg_in m = { 0 };
	char why[512] = "";
	bool dir = false;
	unsigned n = 0;
	int r;

	log_init("egret-mount");
	if (fcntl(PROTO_SOCKET_FD, F_GETFD) < 0) {
		log_err("egret-mount is started by egretd; to attach a container, run: egret "
			"attach "
			"--container ID");
		return 2;
	}
	umask(022);
	r = jail_early();
	if (r == 0)
		r = keep_capabilities();
	if (r < 0) {
		log_err("privileges cannot be given up: %s", strerror(-r));
		return 1;
	}
	r = read_question(&m, &ask);
	if (r < 0) {
		log_err("the question from egretd is not well formed: %s", strerror(-r));
		return 1;
	}
	r = work(&ask, &n, &dir, why, sizeof(why));
	r = answer(m.id, r, n, dir, why);
	if (r < 0)
		log_err("the answer could not be given: %s", strerror(-r));
	return r < 0;
}
