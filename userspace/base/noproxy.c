/* SPDX-License-Identifier: Apache-2.0 */
/* See noproxy.h. */
#include "base/noproxy.h"

#include <errno.h>

int host_port_split(struct str s, struct str *ret_host, uint16_t *ret_port)
{
	const char *colon = memrchr(s.p, ':', s.n);
	struct str host;
	uint64_t port;

	if (!colon || str_u64((struct str){ colon + 1, (size_t)(s.p + s.n - colon - 1) }, &port) ||
	    !port || port > 65535)
		return -EINVAL;
	host = (struct str){ s.p, (size_t)(colon - s.p) };
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct str){ host.p + 1, host.n - 2 };
	else if (memchr(host.p, ':', host.n))
		return -EINVAL;
	*ret_host = host;
	*ret_port = (uint16_t)port;
	return 0;
}

int proxy_url_split(struct str url, struct str *ret_host, uint16_t *ret_port)
{
	if (!str_starts(url, "http://"))
		return -EINVAL;
	url = (struct str){ url.p + 7, url.n - 7 };
	if (url.n && url.p[url.n - 1] == '/')
		url.n--;
	return host_port_split(url, ret_host, ret_port);
}

bool no_proxy_covers(struct str word, struct str name, uint16_t port)
{
	bool below = false;
	struct str host;
	uint16_t only;

	if (str_is(word, "*"))
		return true;
	if (!host_port_split(word, &host, &only)) {
		if (only != port)
			return false;
		word = host;
	}
	if (word.n && word.p[0] == '*')
		word = (struct str){ word.p + 1, word.n - 1 };
	if (word.n && word.p[0] == '.') {
		word = (struct str){ word.p + 1, word.n - 1 };
		below = true;
	}
	if (!word.n || name.n < word.n ||
	    !str_eq_nocase((struct str){ name.p + name.n - word.n, word.n }, word))
		return false;
	return name.n == word.n ? !below : name.p[name.n - word.n - 1] == '.';
}
