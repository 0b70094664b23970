/* SPDX-License-Identifier: Apache-2.0 */
/* See disk.h. Called by store.c, journal.c, root.c, and for what egretd opened by start.c and
 * job.c; bytes are not looked at. */
#include "broker/disk.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int disk_read(int fd, size_t max, char **ret, size_t *ret_n)
{
	cleanup_free char *p = NULL;
	struct stat st;
	size_t n = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	if (st.st_size > (off_t)max)
		return -EMSGSIZE;
	p = mem_new((size_t)st.st_size);
	while (n < (size_t)st.st_size) {
		ssize_t r = pread(fd, p + n, (size_t)st.st_size - n, (off_t)n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	*ret = TAKE_PTR(p);
	*ret_n = n;
	return 0;
}

int disk_write(int fd, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}
