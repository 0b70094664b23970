/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of trust.h: which files clients read, which variables they know. Facts about others'
 * programs and nothing else; a new client is a line here.
 */
#include "trust/trust.h"

const char *const trust_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch, Gentoo */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/ca-bundle.pem", /* SUSE */
	"/var/lib/ca-certificates/ca-bundle.pem",
	"/etc/ssl/cert.pem", /* Alpine */
	"/etc/pki/tls/cacert.pem",
	NULL,
};

const char *const trust_java[] = {
	"/etc/ssl/certs/java/cacerts",
	"/etc/pki/java/cacerts",
	"/etc/pki/ca-trust/extracted/java/cacerts",
	NULL,
};

const char *const trust_anchors[] = {
	"/usr/local/share/ca-certificates",
	"/etc/pki/ca-trust/source/anchors",
	"/etc/pki/trust/anchors",
	NULL,
};

const struct trust_variable trust_variables[] = {
	{ "SSL_CERT_FILE", TRUST_REPLACES, NULL },
	{ "CURL_CA_BUNDLE", TRUST_REPLACES, NULL },
	{ "GIT_SSL_CAINFO", TRUST_REPLACES, NULL },
	{ "GIT_SSL_CAPATH", TRUST_NO_FOLDER, NULL }, /* GnuTLS: 290 files, 19 ms of each git */
	{ "REQUESTS_CA_BUNDLE", TRUST_REPLACES, NULL },
	{ "PIP_CERT", TRUST_REPLACES, NULL },
	{ "CARGO_HTTP_CAINFO", TRUST_REPLACES, NULL },
	{ "AWS_CA_BUNDLE", TRUST_REPLACES, NULL },
	{ "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", TRUST_REPLACES, NULL },
	{ "NPM_CONFIG_CAFILE", TRUST_REPLACES, NULL },
	{ "YARN_HTTPS_CA_FILE_PATH", TRUST_REPLACES, NULL },
	{ "BUNDLE_SSL_CA_CERT", TRUST_REPLACES, NULL },
	{ "COMPOSER_CAFILE", TRUST_REPLACES, NULL },
	{ "NIX_SSL_CERT_FILE", TRUST_REPLACES, NULL },
	{ "HEX_CACERTS_PATH", TRUST_REPLACES, NULL },
	{ "PERL_LWP_SSL_CA_FILE", TRUST_REPLACES, NULL },
	{ "CONAN_CACERT_PATH", TRUST_REPLACES, NULL },
	{ "JULIA_SSL_CA_ROOTS_PATH", TRUST_REPLACES, NULL },
	{ "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", TRUST_REPLACES, NULL },
	{ "NODE_EXTRA_CA_CERTS", TRUST_ADDS, NULL },
	{ "DENO_CERT", TRUST_ADDS, NULL },
	{ "UV_SYSTEM_CERTS", TRUST_SWITCH, "true" },
	{ "DENO_TLS_CA_STORE", TRUST_SWITCH, "system,mozilla" },
	{ NULL, TRUST_SWITCH, NULL },
};

/* A proxy of the caller's is a host of the caller's network: the job reaches hosts through egret,
 * and egret a parent proxy through its own configuration. */
const char *const trust_proxy_variables[] = {
	"http_proxy",
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
	"pip_proxy",
	NULL,
};

const char trust_java_options[] =
	"-Djavax.net.ssl.trustStore=" TRUST_P12
	" -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit";
