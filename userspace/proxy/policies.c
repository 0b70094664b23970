// SPDX-License-Identifier: Apache-2.0
/*
 * Policies from descriptors: see policies.h. Trusts egretd for which; what is in them came from the
 * compiler, so every image is checked by policy_open and the memfds must be sealed against change.
 */
#include "proxy/policies.h"

#include "base/proto.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int map_pack(struct policies *s, int fd, struct pack *ret)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EBADMSG;
	if (fstat(fd, &st) || st.st_size <= 0 || st.st_size > PACK_SIZE_MAX)
		return -EBADMSG;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	s->maps[s->nmaps].p = p;
	s->maps[s->nmaps].n = (size_t)st.st_size;
	s->nmaps++;
	return pack_open(p, (size_t)st.st_size, ret);
}

void policies_done(struct policies *p)
{
	for (unsigned i = 0; i < p->nmaps; i++)
		munmap(p->maps[i].p, p->maps[i].n);
	p->nmaps = 0;
}

static int take(struct msg_in *m, struct policies *s, const char **why)
{
	struct str field;
	size_t at = 0;
	struct pack k;
	int r = 0;

	while (!r && msg_each(m, TAG_FD_POLICY, &at, &field)) {
		cleanup_close int fd = -1;

		*why = "a policy is not a sealed, well-formed image";
		if (s->n == PROXY_POLICIES_MAX) {
			*why = "there are too many policies";
			return -EBADMSG;
		}
		r = msg_take_fd_of(m, field, &fd);
		if (!r)
			r = map_pack(s, fd, &k);
		if (!r && k.count != 1)
			r = -EBADMSG;
		if (!r)
			r = policy_open(pack_at(&k, 0), &s->list[s->n]);
		if (!r)
			s->n++;
	}
	if (r)
		return r;
	if (!s->n) {
		*why = "there is no policy";
		return -EBADMSG;
	}
	if (!msg_get(m, TAG_FD_CREDS, &field)) {
		cleanup_close int fd = -1;

		*why = "the credentials are not a sealed, well-formed image";
		r = msg_take_fd_of(m, field, &fd);
		if (!r)
			r = map_pack(s, fd, &s->creds);
	}
	return r;
}

int policies_take(struct msg_in *m, struct policies *ret, const char **why)
{
	struct policies s = { 0 };

	if (take(m, &s, why)) {
		policies_done(&s);
		return -EBADMSG;
	}
	*ret = s;
	return 0;
}
