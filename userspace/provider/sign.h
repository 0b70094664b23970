/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that a login signs itself (JWS, compact form), by cjose. Called by providers; the key is
 * the credential's. */
#ifndef EGRET_PROVIDER_SIGN_H
#define EGRET_PROVIDER_SIGN_H

#include "base/bytes.h"

#define SIGN_THUMBPRINT 32

/* Before the jail: the library's JSON reader takes its seed from a file. 0 or -EIO. */
int sign_early(void) MUST_CHECK;
struct signing {
	struct str key;	 /* PEM, without a passphrase: RSA of 2048 bits and more, or P-256 */
	const char *kid; /* NULL: none */
	const char *x5t; /* "x5t#S256"; NULL: none */
	bool pss;	 /* an RSA key signs PS256 in place of RS256 */
	struct str claims;
};
/* RS256, PS256 or ES256, as the key is. 0, or -EINVAL with a sentence, which never shows the key.
 * ret is initialised by the caller. */
int sign_token(const struct signing *s, struct buf *ret, char *why, size_t n) MUST_CHECK;
/* SHA-256 of a certificate's DER, as x5t#S256 has it. 0, or -EINVAL: it is none in PEM. */
int sign_thumbprint(struct str pem, unsigned char ret[SIGN_THUMBPRINT]) MUST_CHECK;

#endif
