/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image's own bundle and the job's CA become one file: see trust_combine in trust.h. The image's
 * bytes are hostile. They are read by a child that holds the three descriptors and a pipe, and has
 * no privilege, no file and no call but read and write; it takes base64 between the marks, wants
 * one whole DER element of a certificate's shape, and writes each anew. What clients make of the
 * certificates is theirs, as it was with the image's own file.
 */
#include "trust/trust.h"

#include "base/clock.h"
#include "base/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CERTIFICATES_MAX 4096u
#define CERTIFICATE_MAX (64u << 10) /* DER of one */
#define COMBINE_MS 10000
#define OUT_MAX (3 * TRUST_BUNDLE_MAX)

/* What the child says besides the bytes; the parent believes nothing but its bounds. */
struct said {
	int r;
	unsigned n;
};

/* ---- in the child ---- */

static int read_all(int fd, struct buf *to)
{
	off_t at = 0;

	for (;;) {
		ssize_t k;

		if (buf_reserve(to, 65536) < 0)
			return -E2BIG;
		k = pread(fd, to->p + to->n, 65536, at);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : 0;
		to->n += (size_t)k;
		at += k;
		if (to->n > TRUST_BUNDLE_MAX)
			return -E2BIG;
	}
}

static int digit(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 with line ends anywhere. The number of bytes, or -EBADMSG. */
static ssize_t decode(struct str in, uint8_t *to, size_t room)
{
	size_t n = 0, k = 0, pad = 0;
	uint32_t v = 0;

	for (size_t i = 0; i < in.n; i++) {
		int d = digit((unsigned char)in.p[i]);

		if (in.p[i] == '\n' || in.p[i] == '\r' || in.p[i] == ' ' || in.p[i] == '\t')
			continue;
		if (in.p[i] == '=')
			pad++;
		else if (d < 0 || pad)
			return -EBADMSG;
		v = v << 6 | (uint32_t)(d < 0 ? 0 : d);
		if (++k % 4)
			continue;
		if (pad > 2 || n + 3 > room)
			return -EBADMSG;
		to[n++] = (uint8_t)(v >> 16);
		to[n++] = (uint8_t)(v >> 8);
		to[n++] = (uint8_t)v;
		v = 0;
	}
	return k % 4 || n < pad ? -EBADMSG : (ssize_t)(n - pad);
}

/* SEQUENCE of exactly these bytes that starts with a SEQUENCE inside it. */
static bool looks_der(const uint8_t *p, size_t n)
{
	size_t head = 2, len;

	if (n < 4 || p[0] != 0x30)
		return false;
	len = p[1];
	if (len & 0x80) {
		unsigned bytes = len & 0x7f;

		if (!bytes || bytes > 3 || n < 2 + bytes + 2u)
			return false;
		len = 0;
		for (unsigned i = 0; i < bytes; i++)
			len = len << 8 | p[2 + i];
		head += bytes;
	}
	return n - head == len && p[head] == 0x30;
}

static int encode(const uint8_t *p, size_t n, struct buf *to)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t at = 0, column = 0;
	char *out;

	if (buf_reserve(to, n / 3 * 4 + n / 48 + 128) < 0)
		return -E2BIG;
	out = to->p + to->n;
	out = (char *)memcpy(out, "-----BEGIN CERTIFICATE-----\n", 28) + 28;
	for (; at < n; at += 3) {
		size_t left = n - at;
		uint32_t v = (uint32_t)p[at] << 16 | (left > 1 ? (uint32_t)p[at + 1] << 8 : 0) |
			     (left > 2 ? p[at + 2] : 0);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = left > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[v & 63] : '=';
		column += 4;
		if (column == 64 || left <= 3) {
			*out++ = '\n';
			column = 0;
		}
	}
	out = (char *)memcpy(out, "-----END CERTIFICATE-----\n", 26) + 26;
	to->n = (size_t)(out - to->p);
	return 0;
}

static bool take(struct str *from, struct str mark, struct str *ret_before)
{
	char *at = from->n ? memmem(from->p, from->n, mark.p, mark.n) : NULL;

	if (!at)
		return false;
	*ret_before = (struct str){ from->p, (size_t)(at - from->p) };
	from->n -= ret_before->n + mark.n;
	from->p = at + mark.n;
	return true;
}

/* The certificates of one file behind what is in `to`. */
static int add_file(int fd, struct buf *to, unsigned *ret_n)
{
	cleanup_free uint8_t *der = mem_new(CERTIFICATE_MAX);
	struct buf text;
	struct str left, body;
	unsigned n = 0;
	int r;

	buf_init(&text, TRUST_BUNDLE_MAX + 2 * 65536);
	r = read_all(fd, &text);
	left = buf_str(&text);
	while (r == 0 && take(&left, STR("-----BEGIN CERTIFICATE-----"), &body)) {
		ssize_t k = -EBADMSG;

		if (n++ == CERTIFICATES_MAX)
			r = -E2BIG;
		else if (take(&left, STR("-----END CERTIFICATE-----"), &body))
			k = decode(body, der, CERTIFICATE_MAX);
		if (r == 0)
			r = k > 0 && looks_der(der, (size_t)k) ? encode(der, (size_t)k, to)
							       : -EBADMSG;
	}
	buf_done(&text);
	if (r == 0)
		*ret_n = n;
	return r;
}

static int write_all(int fd, struct str s)
{
	while (s.n) {
		ssize_t k = write(fd, s.p, s.n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		s.p += k;
		s.n -= (size_t)k;
	}
	return 0;
}

static int combine(int image, int roots, int ca, int to, unsigned *ret_n)
{
	struct buf out;
	unsigned own = 0, n = 0;
	int r = 0;

	buf_init(&out, OUT_MAX);
	if (image >= 0)
		r = add_file(image, &out, &own);
	if (r == 0 && own == 0 && roots >= 0)
		r = add_file(roots, &out, &n);
	if (r == 0)
		r = add_file(ca, &out, &n);
	if (r == 0 && n == 0)
		r = -EBADMSG; /* a CA's file without a certificate */
	if (r == 0)
		r = write_all(to, buf_str(&out));
	buf_done(&out);
	*ret_n = own;
	return r;
}

/* Only the four descriptors, as 3 to 6. */
static int keep_only(int fds[4])
{
	for (int i = 0; i < 4; i++) {
		if (fds[i] < 0)
			continue;
		fds[i] = fcntl(fds[i], F_DUPFD, 64);
		if (fds[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 4; i++) {
		if (fds[i] < 0) {
			close(3 + i);
			continue;
		}
		if (dup2(fds[i], 3 + i) < 0)
			return -errno;
		fds[i] = 3 + i;
	}
	return close_range(7, ~0u, 0) < 0 ? -errno : 0;
}

static _Noreturn void child(int fds[4], uid_t uid, struct said *said)
{
	struct jail jail = { 0 };
	char why[256];
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = keep_only(fds);
	if (r == 0 && geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
	     setresuid(uid, uid, uid) < 0))
		r = -errno;
	if (r == 0)
		r = jail_enter(&jail, why, sizeof(why));
	if (r == 0)
		r = combine(fds[0], fds[1], fds[2], fds[3], &said->n);
	said->r = r;
	_exit(r < 0);
}

/* ---- in the caller ---- */

static int copy_bounded(int from, int to)
{
	cleanup_free char *block = mem_new(65536);
	uint64_t until = clock_now() + COMBINE_MS;
	size_t total = 0;

	for (;;) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		uint64_t now = clock_now();
		ssize_t k;
		int r = now < until ? poll(&p, 1, (int)(until - now)) : 0;

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -ETIMEDOUT;
		k = read(from, block, 65536);
		if (k <= 0)
			return k < 0 ? -errno : 0;
		total += (size_t)k;
		if (total > OUT_MAX)
			return -E2BIG;
		r = write_all(to, (struct str){ block, (size_t)k });
		if (r < 0)
			return r;
	}
}

int trust_combine(int image, int roots, int ca, int to, uid_t uid, unsigned *ret_n)
{
	cleanup_close int from = -1;
	struct said *said;
	int ends[2], status = 0, r;
	unsigned n;
	pid_t pid;

	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED)
		return -errno;
	said->r = -EIO;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		r = -errno;
		munmap(said, sizeof(*said));
		return r;
	}
	from = ends[0];
	pid = fork();
	if (pid == 0)
		child((int[]){ image, roots, ca, ends[1] }, uid, said);
	r = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (r == 0) {
		r = copy_bounded(from, to);
		if (r < 0)
			kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	n = said->n;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
		r = said->r < 0 && said->r > -4096 ? said->r : -EIO;
	munmap(said, sizeof(*said));
	if (r == 0 && n > CERTIFICATES_MAX)
		r = -EIO;
	if (r == 0)
		*ret_n = n;
	return r;
}
