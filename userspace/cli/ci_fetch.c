/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl for the CLI: one GET to the CI server for a job's own token (ci_token.h). The address and
 * the bearer come from the runner; the answer is bounded and read by the caller. Nothing of it is
 * ever in a command line or a log.
 */
#include "cli/ci_token.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FETCH_S 10L

static size_t take(char *p, size_t size, size_t n, void *owner)
{
	return buf_add(owner, p, size * n) ? 0 : size * n;
}

int ci_fetch(const char *url, const char *bearer, struct buf *to, char *why, size_t n)
{
	CURL *c = curl_easy_init();
	struct curl_slist *fields = NULL;
	cleanup_free char *field = mem_new(strlen(bearer) + 64);
	const char *roots = getenv("SSL_CERT_FILE");
	char said[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode r;

	if (!c) {
		snprintf(why, n, "libcurl cannot be used");
		return -EIO;
	}
	snprintf(field, strlen(bearer) + 64, "Authorization: bearer %s", bearer);
	fields = curl_slist_append(fields, field);
	fields = curl_slist_append(fields, "Accept: application/json");
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, FETCH_S);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, said);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, to);
	/* The runner's unit may be under a policy itself, its bundle is named there. */
	if (roots && *roots && access(roots, R_OK) == 0)
		curl_easy_setopt(c, CURLOPT_CAINFO, roots);
	r = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(fields);
	curl_easy_cleanup(c);
	explicit_bzero(field, strlen(field));
	if (r == CURLE_OK && status == 200)
		return 0;
	if (r == CURLE_OK)
		snprintf(why, n, "the server answered %ld", status);
	else
		snprintf(why, n, "%s", *said ? said : curl_easy_strerror(r));
	return -EIO;
}
