/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Bearer challenge in WWW-Authenticate (RFC 9110 11.6.1, and what registries of images put into
 * it): where its realm is, and for which service. Pure.
 */
#ifndef EGRET_HTTP_CHALLENGE_H
#define EGRET_HTTP_CHALLENGE_H

#include "base/bytes.h"

struct challenge {
	char realm[1024], service[256];
	size_t realm_n, service_n;
};

/* Of one field's value the first Bearer challenge that has a realm. false: there is none, or it
 * cannot be read in one way only. */
bool challenge_bearer(struct str value, struct challenge *ret);

/* "https://HOST[:443]/PATH[?...]": host and path. false: another form. */
bool challenge_url(struct str url, struct str *ret_host, struct str *ret_path);

#endif
