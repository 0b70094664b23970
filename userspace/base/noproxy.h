/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parent proxy as the configuration writes it (upstream.proxy), and the names that it is not
 * asked for (upstream.no_proxy). Called by proxy/parent.c and fetch/fetch.c. Trusts root's
 * configuration; the names asked about are anyone's, and only compared.
 */
#ifndef EGRET_BASE_NOPROXY_H
#define EGRET_BASE_NOPROXY_H

#include "base/bytes.h"

/* "host:port", "1.2.3.4:port" or "[v6]:port". 0 or -EINVAL. */
int host_port_split(struct str s, struct str *ret_host, uint16_t *ret_port) MUST_CHECK;
/* "http://HOST:PORT", with a slash behind it or not. 0 or -EINVAL. */
int proxy_url_split(struct str url, struct str *ret_host, uint16_t *ret_port) MUST_CHECK;
/* "example.test": it and what is below; ".example.test" and "*.example.test": below alone; each
 * with or without a port; "*": all. Addresses and blocks name nothing here: no address is asked of
 * a parent. */
bool no_proxy_covers(struct str word, struct str name, uint16_t port);

#endif
