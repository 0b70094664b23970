/* SPDX-License-Identifier: Apache-2.0 */
/* One row a provider, each from a file of its name. */
#ifndef EGRET_PROVIDER_TABLE_H
#define EGRET_PROVIDER_TABLE_H

#include "provider/provider.h"

extern const struct provider_ops provider_exec; /* of a process of the kind exec alone */
extern const struct provider_ops provider_oauth2;
extern const struct provider_ops provider_vault;
extern const struct provider_ops provider_github_app;
extern const struct provider_ops provider_aws, provider_aws_secret;

#endif
