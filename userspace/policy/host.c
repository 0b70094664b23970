/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names and authorities in the one form that is matched and sent. Called by the loaders for
 * patterns and by the proxy for SNI, Host and DNS names: the bytes are a job's. The one place that
 * knows idn2.
 */
#include "policy/model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <idn2.h>

#define HOST_INPUT_MAX 1024

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII already: case-folded, labels checked. *ret_ace says that a label claims to be an A-label.
 */
static int host_ascii(struct str host, char *to, size_t *ret_n, bool *ret_ace)
{
	size_t n = host.n, label = 0;
	bool ace = false, digits = true;

	if (n && host.p[n - 1] == '.')
		n--;
	if (n == 0 || n > HOST_MAX)
		return -EINVAL;
	for (size_t i = 0; i <= n; i++) {
		char c = i < n ? lower(host.p[i]) : '.';

		if (c == '.') {
			size_t len = i - label;

			if (len == 0 || len > 63 || to[label] == '-' || to[i - 1] == '-')
				return -EINVAL;
			ace = ace || (len >= 4 && memcmp(to + label, "xn--", 4) == 0);
			/* A last label of digits (or 0x and digits) is a part of an address to some
			 * resolvers. */
			if (i == n &&
			    (digits || (to[label] == '0' && to[label + (len > 1)] == 'x')))
				return -EINVAL;
			label = i + 1;
			digits = true;
		} else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			     c == '_')) {
			return -EINVAL;
		} else if (c < '0' || c > '9') {
			digits = false;
		}
		if (i < n)
			to[i] = c;
	}
	to[n] = 0;
	*ret_n = n;
	*ret_ace = ace;
	return 0;
}

int host_canonical(struct str host, char *to, size_t *ret_n)
{
	char name[HOST_MAX + 1], in[HOST_INPUT_MAX + 1];
	uint8_t *idn = NULL;
	bool ascii = true, ace = false;
	size_t n = 0;
	int r;

	if (host.n == 0 || host.n > HOST_INPUT_MAX || memchr(host.p, 0, host.n))
		return -EINVAL;
	for (size_t i = 0; i < host.n; i++)
		ascii = ascii && (unsigned char)host.p[i] < 0x80;
	if (ascii) {
		r = host_ascii(host, name, &n, &ace);
		if (r < 0)
			return r;
	}
	if (!ascii || ace) {
		/* Both ways must meet: an A-label that is not what its own U-label gives is a
		 * second spelling of some name. */
		struct str source = ascii ? (struct str){ name, n } : host;
		bool same;

		memcpy(in, source.p, source.n);
		in[source.n] = 0;
		r = idn2_lookup_u8((const uint8_t *)in, &idn,
				   IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
		if (r != IDN2_OK)
			return -EINVAL;
		r = host_ascii(str_of((const char *)idn), name, &n, &ace);
		same = !ascii || (r == 0 && n == source.n && memcmp(name, in, n) == 0);
		idn2_free(idn);
		if (r < 0 || !same)
			return -EINVAL;
	}
	memcpy(to, name, n);
	to[n] = 0;
	*ret_n = n;
	return 0;
}

int addr_parse(struct str s, uint8_t to[16])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, 0, s.n))
		return -EINVAL;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (memchr(s.p, ':', s.n)) {
		if (inet_pton(AF_INET6, text, addr) != 1)
			return -EINVAL;
	} else {
		memcpy(addr, mapped, sizeof(mapped));
		if (inet_pton(AF_INET, text, addr + 12) !=
		    1) /* strict: four decimal parts, no leading zero */
			return -EINVAL;
	}
	memcpy(to, addr, 16);
	return 0;
}

int port_parse(struct str s, uint16_t *ret)
{
	uint64_t v;

	if (s.n == 0 || s.n > 5 || str_u64(s, &v) < 0 || v == 0 || v > 65535 || s.p[0] == '0')
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

int authority_parse(struct str s, struct authority *ret)
{
	struct authority a = { 0 };
	struct str host = s;
	const char *colon;

	if (s.n == 0)
		return -EINVAL;
	if (s.p[0] == '[') {
		const char *end = memchr(s.p, ']', s.n);
		size_t n;

		if (!end)
			return -EINVAL;
		n = (size_t)(end - s.p) + 1;
		if (addr_parse((struct str){ s.p + 1, n - 2 }, a.addr) < 0 || !memchr(s.p, ':', n))
			return -EINVAL;
		a.is_addr = true;
		if (n < s.n && (s.p[n] != ':' ||
				port_parse((struct str){ s.p + n + 1, s.n - n - 1 }, &a.port) < 0))
			return -EINVAL;
		*ret = a;
		return 0;
	}
	colon = memchr(s.p, ':', s.n);
	if (colon) {
		host.n = (size_t)(colon - s.p);
		if (port_parse((struct str){ colon + 1, s.n - host.n - 1 }, &a.port) < 0)
			return -EINVAL;
	}
	if (addr_parse(host, a.addr) == 0)
		a.is_addr = true;
	else if (host_canonical(host, a.host, &a.host_n) < 0)
		return -EINVAL;
	*ret = a;
	return 0;
}
