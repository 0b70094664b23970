// SPDX-License-Identifier: Apache-2.0
/* DNS: whatever an engine answers is read from inside it; whatever the query, an answer to it is
 * well formed, not larger than asked for, and carries the same question. */
#include "proxy/dns.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t addr[16] = { 0xfd };
	struct dns_query q, back;
	uint8_t to[600], asked[DNS_QUESTION_MAX];
	const size_t asked_n = dns_ask(asked, 0x1234, STR("redis"), DNS_A);
	struct dns_found found;
	size_t len;

	if (dns_found(p, n, asked, asked_n, &found) == 0 && found.n > DNS_FOUND_MAX)
		abort();
	memset(&q, 0, sizeof(q));
	if (dns_parse(p, n, &q))
		return 0;
	if (q.name_n > 253 || q.question_n + 12 > n)
		abort();
	len = dns_answer(to, 512, p, &q, DNS_NOERROR, addr, q.type == DNS_A ? 4 : 16, 60);
	if (len > 512 || (len && len < 12))
		abort();
	if (!len)
		return 0;
	if (!(to[2] & 0x80))
		abort();
	/* As a query without its answer record, it must read back the same. */
	to[2] &= 0x7f;
	to[6] = to[7] = 0;
	if (dns_answer(to, 512, p, &q, DNS_NXDOMAIN, NULL, 0, 0) < 12)
		abort();
	to[2] &= 0x7f;
	len = dns_answer(to, sizeof(to), p, &q, DNS_NOERROR, NULL, 0, 0);
	to[2] &= 0x7f;
	if (dns_parse(to, len, &back) || back.type != q.type || back.name_n != q.name_n ||
	    memcmp(back.name, q.name, q.name_n))
		abort();
	return 0;
}
