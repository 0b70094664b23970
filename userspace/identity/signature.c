/* SPDX-License-Identifier: Apache-2.0 */
/* See signature.h. The only file that includes cjose. */
#include "identity/signature.h"

#include <cjose/cjose.h>
#include <errno.h>
#include <stdio.h>

int signature_early(void)
{
	cjose_header_t *h = cjose_header_new(NULL);

	if (!h)
		return -EIO;
	cjose_header_release(h);
	return 0;
}

int signature_check(struct str token, struct str jwk, char *why, size_t n)
{
	cjose_jwk_t *key = cjose_jwk_import(jwk.p, jwk.n, NULL);
	cjose_jws_t *jws = cjose_jws_import(token.p, token.n, NULL);
	bool good = key && jws && cjose_jws_verify(jws, key, NULL);

	if (!key)
		snprintf(why, n, "the issuer's key cannot be used");
	else if (!good)
		snprintf(why, n, "the token's signature is not the issuer's");
	cjose_jws_release(jws);
	cjose_jwk_release(key);
	return good ? 0 : -EINVAL;
}
