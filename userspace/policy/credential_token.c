/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a credential's provider is shown the job's own ID token, and for whom that must be. */
#include "policy/credential.h"

static struct str first_of(const struct credential *c, enum param a, enum param b, enum param d)
{
	struct str v = credential_param(c, a);

	if (!v.n)
		v = credential_param(c, b);
	return v.n ? v : credential_param(c, d);
}

struct str credential_token_audience(const struct credential *c)
{
	struct str v;

	switch (credential_provider(c)) {
	case PROVIDER_VAULT:
		if (!str_is(credential_param(c, PARAM_AUTH_METHOD), "jwt"))
			return STR("");
		return first_of(c, PARAM_AUTH_AUDIENCE, PARAM_ADDRESS, PARAM_ADDRESS);
	case PROVIDER_OAUTH2:
		if (str_is(credential_param(c, PARAM_GRANT), "client_credentials"))
			return STR("");
		return first_of(c, PARAM_TOKEN_AUDIENCE, PARAM_ISSUER, PARAM_TOKEN_URL);
	case PROVIDER_AWS:
	case PROVIDER_AWS_SECRET:
		if (!credential_param(c, PARAM_ROLE_ARN).n)
			return STR("");
		v = credential_param(c, PARAM_TOKEN_AUDIENCE);
		return v.n ? v : STR("sts.amazonaws.com");
	default:
		return STR("");
	}
}
