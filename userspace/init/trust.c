/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How clients in the job come to trust the job's CA without being changed: the combined bundle lies
 * over the system's own bundle files, and the variables that clients know point at it. Replacing
 * variables get the combined bundle, additive ones the CA alone; one that the caller has set
 * already gets that file's content and the CA. Bytes of the caller's own bundles are copied, never
 * parsed.
 */
#include "init/init.h"

#include "base/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE_MAX (16u << 20)

/* Files that clients read when no variable says otherwise; those that the system has are covered.
 */
static const char *const system_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch, Gentoo */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/ca-bundle.pem", /* SUSE */
	"/etc/ssl/cert.pem",	  /* Alpine */
	"/etc/pki/tls/cacert.pem",
};
static const char *const java_stores[] = { "/etc/ssl/certs/java/cacerts", "/etc/pki/java/cacerts",
					   "/etc/pki/ca-trust/extracted/java/cacerts" };

enum trust_kind { REPLACES, ADDS, SWITCH };
static const struct trust_variable {
	const char *name;
	enum trust_kind kind;
	const char *value; /* of a switch */
} variables[] = {
	{ "SSL_CERT_FILE", REPLACES, NULL },
	{ "CURL_CA_BUNDLE", REPLACES, NULL },
	{ "GIT_SSL_CAINFO", REPLACES, NULL },
	{ "REQUESTS_CA_BUNDLE", REPLACES, NULL },
	{ "PIP_CERT", REPLACES, NULL },
	{ "CARGO_HTTP_CAINFO", REPLACES, NULL },
	{ "AWS_CA_BUNDLE", REPLACES, NULL },
	{ "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", REPLACES, NULL },
	{ "NPM_CONFIG_CAFILE", REPLACES, NULL },
	{ "YARN_HTTPS_CA_FILE_PATH", REPLACES, NULL },
	{ "BUNDLE_SSL_CA_CERT", REPLACES, NULL },
	{ "COMPOSER_CAFILE", REPLACES, NULL },
	{ "NIX_SSL_CERT_FILE", REPLACES, NULL },
	{ "HEX_CACERTS_PATH", REPLACES, NULL },
	{ "PERL_LWP_SSL_CA_FILE", REPLACES, NULL },
	{ "CONAN_CACERT_PATH", REPLACES, NULL },
	{ "JULIA_SSL_CA_ROOTS_PATH", REPLACES, NULL },
	{ "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", REPLACES, NULL },
	{ "NODE_EXTRA_CA_CERTS", ADDS, NULL },
	{ "DENO_CERT", ADDS, NULL },
	{ "UV_SYSTEM_CERTS", SWITCH, "true" },
	{ "DENO_TLS_CA_STORE", SWITCH, "system,mozilla" },
};

/* A proxy of the caller's is a host of the caller's network: the job reaches hosts through egret,
 * and egret a parent proxy through its own configuration. Compared without case. */
static const char *const proxy_variables[] = { "http_proxy",
					       "https_proxy",
					       "all_proxy",
					       "ftp_proxy",
					       "no_proxy",
					       "npm_config_proxy",
					       "npm_config_https_proxy",
					       "npm_config_http_proxy",
					       "npm_config_noproxy",
					       "global_agent_http_proxy",
					       "cargo_http_proxy",
					       "pip_proxy" };

#define JAVA_OPTIONS                            \
	"-Djavax.net.ssl.trustStore=" TRUST_P12 \
	" -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit"

static int copy_all(int from, int to)
{
	char block[65536];
	off_t at = 0;
	size_t total = 0;
	ssize_t n;

	while ((n = pread(from, block, sizeof(block), at)) > 0) {
		total += (size_t)n;
		at += n;
		if (total > BUNDLE_MAX)
			return -EFBIG;
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(to, block + done, (size_t)(n - done));

			if (w < 0)
				return -errno;
			done += w;
		}
	}
	return n < 0 ? -errno : 0;
}

static int write_file(const char *path, int from, char *why, size_t n)
{
	cleanup_close int to =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	int r = to < 0 ? -errno : copy_all(from, to);

	if (r < 0)
		snprintf(why, n, "cannot write %s: %s", path, strerror(-r));
	return r;
}

static void lay_over(const char *const *targets, size_t count, const char *from)
{
	size_t i;

	/* A target that cannot be covered (a file system without it) leaves the variables to do the
	 * work. */
	for (i = 0; i < count; i++)
		if (access(targets[i], F_OK) == 0 &&
		    mount(from, targets[i], NULL, MS_BIND, NULL) == 0)
			(void)!mount(NULL, targets[i], NULL,
				     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
}

int trust_install(int ca, int bundle, int p12, char *why, size_t n)
{
	int r = write_file(TRUST_CA, ca, why, n);

	if (r == 0)
		r = write_file(TRUST_BUNDLE, bundle, why, n);
	if (r == 0)
		r = write_file(TRUST_P12, p12, why, n);
	if (r < 0)
		return r;
	lay_over(system_bundles, ARRAY_SIZE(system_bundles), TRUST_BUNDLE);
	lay_over(java_stores, ARRAY_SIZE(java_stores), TRUST_P12);
	return 0;
}

static const char *find(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/* The caller's own bundle with the job's CA behind it, as TRUST_DIR/NAME.pem. The file is opened
 * with the user's rights. NULL: it is the combined bundle already, or not readable, so it could not
 * have worked before either. */
static const char *extended(struct arena *a, const char *name, const char *file, uid_t uid,
			    gid_t gid)
{
	char path[160];
	cleanup_close int from = -1, to = -1, ca = -1;
	struct stat st, ours;

	setfsgid(gid);
	setfsuid(uid);
	from = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	setfsuid(0);
	setfsgid(0);
	if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	/* One of the system's own, which the combined bundle covers by now. */
	if (stat(TRUST_BUNDLE, &ours) == 0 && ours.st_dev == st.st_dev && ours.st_ino == st.st_ino)
		return NULL;
	snprintf(path, sizeof(path), TRUST_DIR "/%s.pem", name);
	to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	ca = open(TRUST_CA, O_RDONLY | O_CLOEXEC);
	if (to < 0 || ca < 0 || copy_all(from, to) < 0 || write(to, "\n", 1) != 1 ||
	    copy_all(ca, to) < 0)
		return NULL;
	return arena_str(a, str_of(path)).p;
}

static bool is_proxy(const char *entry)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(proxy_variables); i++) {
		size_t n = strlen(proxy_variables[i]);

		if (!strncasecmp(entry, proxy_variables[i], n) && entry[n] == '=')
			return true;
	}
	return false;
}

static bool is_named(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(entry, name, n) && entry[n] == '=';
}

static char *joined(struct arena *a, const char *name, const char *value, const char *more)
{
	size_t n = strlen(name) + strlen(value) + strlen(more) + 2;
	char *entry = arena_new(a, n);

	snprintf(entry, n, "%s=%s%s", name, value, more);
	return entry;
}

char **trust_environment(struct arena *a, char *const *envp, const struct msg_in *start, uid_t uid,
			 gid_t gid)
{
	size_t count = 0, out = 0, i, at = 0;
	const char *java = find(envp, "JAVA_TOOL_OPTIONS");
	struct str set;
	char **list;

	while (envp[count])
		count++;
	while (msg_each(start, TAG_SETENV, &at, &set))
		count++;
	list = arena_new(a, (count + ARRAY_SIZE(variables) + 2) * sizeof(char *));
	for (i = 0; envp[i]; i++) {
		bool ours = is_proxy(envp[i]) || is_named(envp[i], "JAVA_TOOL_OPTIONS") ||
			    is_named(envp[i], "npm_config_cafile");

		for (size_t v = 0; !ours && v < ARRAY_SIZE(variables); v++)
			ours = is_named(envp[i], variables[v].name);
		for (at = 0; !ours && msg_each(start, TAG_SETENV, &at, &set);)
			ours = memchr(set.p, '=', set.n) &&
			       !strncmp(envp[i], set.p,
					(size_t)((char *)memchr(set.p, '=', set.n) - set.p) + 1);
		if (!ours)
			list[out++] = envp[i];
	}
	for (i = 0; i < ARRAY_SIZE(variables); i++) {
		const struct trust_variable *v = &variables[i];
		const char *had = find(envp, v->name), *value = NULL;

		if (v->kind != SWITCH && had && *had)
			value = extended(a, v->name, had, uid, gid);
		if (!value)
			value = v->kind == SWITCH ? v->value
				: v->kind == ADDS ? TRUST_CA
						  : TRUST_BUNDLE;
		list[out++] = joined(a, v->name, value, "");
	}
	list[out++] = java && *java ? joined(a, "JAVA_TOOL_OPTIONS", java, " " JAVA_OPTIONS)
				    : joined(a, "JAVA_TOOL_OPTIONS", JAVA_OPTIONS, "");
	for (at = 0; msg_each(start, TAG_SETENV, &at, &set);)
		list[out++] = (char *)arena_str(a, set).p;
	list[out] = NULL;
	return list;
}
