/* SPDX-License-Identifier: Apache-2.0 */
/*
 * So many requests a second, whatever happens meanwhile: each is begun when it is due, also while
 * others wait, and what could not be begun in time is begun at once. For tests/chaos/upgrade.sh.
 *
 *	paced URL KEPT NEW FOLDER
 *
 * KEPT a second on connections that are kept, in turns over HTTP/1.1 and whatever the server
 * chooses; NEW a second on a connection each. While FOLDER/go is there; a line for each that ended
 * goes to FOLDER/codes.kept and codes.new: its status, 0 when there was none. Said at the end: how
 * many, in which time, and the longest of each kind.
 */
#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 256 /* more are not begun before others end */

struct kind {
	const char *name;
	double rate;
	unsigned long begun, ended, longest_ms;
	int codes;
};

static struct kind kinds[2] = { { .name = "kept" }, { .name = "new" } };
static CURL *idle[2][AT_ONCE];
static unsigned nidle[2], running;
static CURLM *multi;
static const char *url;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t nowhere(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

static CURL *handle(int k, unsigned long n)
{
	const char *bundle = getenv("CURL_CA_BUNDLE");
	CURL *e;

	if (nidle[k])
		return idle[k][--nidle[k]];
	e = curl_easy_init();
	if (!e)
		exit(1);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, nowhere);
	curl_easy_setopt(e, CURLOPT_PRIVATE, (void *)&kinds[k]);
	curl_easy_setopt(e, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
			 k || n % 2 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS);
	if (bundle)
		curl_easy_setopt(e, CURLOPT_CAINFO, bundle);
	if (k) {
		curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	}
	return e;
}

static void begin(int k)
{
	CURL *e = handle(k, kinds[k].begun);
	char at[512];

	snprintf(at, sizeof(at), "%s?%s-%lu", url, kinds[k].name, ++kinds[k].begun);
	curl_easy_setopt(e, CURLOPT_URL, at);
	if (curl_multi_add_handle(multi, e) != CURLM_OK)
		exit(1);
	running++;
}

static void ended(CURL *e, CURLcode result)
{
	char *private = NULL;
	double took = 0;
	long code = 0;
	struct kind *k;

	curl_easy_getinfo(e, CURLINFO_PRIVATE, &private);
	curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(e, CURLINFO_TOTAL_TIME, &took);
	k = (struct kind *)(void *)private;
	if (result != CURLE_OK)
		fprintf(stderr, "%s: %s\n", k->name, curl_easy_strerror(result));
	dprintf(k->codes, "%ld\n", result == CURLE_OK ? code : 0);
	k->ended++;
	if ((unsigned long)(took * 1000) > k->longest_ms)
		k->longest_ms = (unsigned long)(took * 1000);
	curl_multi_remove_handle(multi, e);
	idle[k - kinds][nidle[k - kinds]++] = e;
	running--;
}

static void begin_due(double since)
{
	for (int k = 0; k < 2; k++) {
		while (running < AT_ONCE && (double)kinds[k].begun < since * kinds[k].rate)
			begin(k);
	}
}

static void turn(void)
{
	int left, any;
	CURLMsg *m;

	curl_multi_perform(multi, &any);
	while ((m = curl_multi_info_read(multi, &left))) {
		if (m->msg == CURLMSG_DONE)
			ended(m->easy_handle, m->data.result);
	}
	curl_multi_poll(multi, NULL, 0, 4, NULL);
}

int main(int argc, char **argv)
{
	char path[512];
	double start, took;

	if (argc != 5) {
		fprintf(stderr, "usage: paced URL KEPT NEW FOLDER\n");
		return 2;
	}
	url = argv[1];
	kinds[0].rate = strtod(argv[2], NULL);
	kinds[1].rate = strtod(argv[3], NULL);
	for (int k = 0; k < 2; k++) {
		snprintf(path, sizeof(path), "%s/codes.%s", argv[4], kinds[k].name);
		kinds[k].codes = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (kinds[k].codes < 0) {
			perror(path);
			return 1;
		}
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	/* Kept ones do not pile up behind a slow answer, nor grow without end. */
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 32L);
	snprintf(path, sizeof(path), "%s/go", argv[4]);
	start = now();
	while (access(path, F_OK) == 0) {
		begin_due(now() - start);
		turn();
	}
	took = now() - start;
	while (running) /* what is under way ends by itself */
		turn();
	for (int k = 0; k < 2; k++)
		printf("%s: %lu in %.1f s, %.1f a second, the longest %lu ms\n", kinds[k].name,
		       kinds[k].ended, took, (double)kinds[k].ended / took, kinds[k].longest_ms);
	return 0;
}
