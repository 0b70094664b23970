/* SPDX-License-Identifier: Apache-2.0 */
/* The providers that egret-provider knows; store, file and mtls need nobody to be asked and are the
 * broker's own. */
#include "provider/table.h"

const struct provider_ops *const providers[] = {
	&provider_exec,
	&provider_vault,
	&provider_oauth2,
	&provider_github_app,
	&provider_aws,
	&provider_aws_secret,
	NULL,
};
