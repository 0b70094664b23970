/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which repository a request of git's smart HTTP protocol is about, and for which of the two
 * services. Called by the loader for the paths of rules and by the matcher for each request, whose
 * path is canonical and otherwise a job's. The protocol is the same path and query in all its
 * versions (0, 1 and 2); the dumb one reads files and is none of this.
 */
#include "policy/model.h"

static bool ends(struct str s, struct str end)
{
	return s.n > end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

struct str git_repo_trim(struct str path)
{
	if (ends(path, STR("/")))
		path.n--;
	if (path.n > 5 && ends(path, STR(".git"))) {
		path.n -= 4;
		if (ends(path, STR("/")))
			path.n--;
	}
	return path;
}

static bool service_of(struct str path, struct str query, uint64_t bit, struct str service,
		       struct str *ret_repo)
{
	static const char key[] = "service=";
	const size_t key_n = sizeof(key) - 1;
	struct str tail = STR("/info/refs");

	*ret_repo = path;
	if (bit == method_bit(STR("GET"))) {
		if (!ends(path, tail) || query.n != key_n + service.n ||
		    memcmp(query.p, key, key_n) != 0 ||
		    memcmp(query.p + key_n, service.p, service.n) != 0)
			return false;
		ret_repo->n -= tail.n;
	} else if (bit == method_bit(STR("POST"))) {
		if (query.n || path.n < service.n + 2 || !ends(path, service) ||
		    path.p[path.n - service.n - 1] != '/')
			return false;
		ret_repo->n -= service.n + 1;
	} else {
		return false;
	}
	*ret_repo = git_repo_trim(*ret_repo);
	return true;
}

unsigned git_service(const struct request_query *q, uint64_t bit, struct str *ret_repo)
{
	if (service_of(q->path, q->query, bit, STR("git-upload-pack"), ret_repo))
		return GIT_FETCH;
	if (service_of(q->path, q->query, bit, STR("git-receive-pack"), ret_repo))
		return GIT_PUSH;
	return 0;
}
