/* SPDX-License-Identifier: Apache-2.0 */
/* See outside.h. All of it is root's own configuration. */
#include "egretd/outside.h"

static void put_list(struct msg_out *m, uint16_t tag, const struct config_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		msg_put_str(m, tag, l->at[i]);
}

void put_outside(const struct daemon *d, struct msg_out *m)
{
	for (unsigned i = 0; i < d->nroots && i < MSG_FDS_MAX - 1; i++)
		msg_put_fd(m, TAG_FD_ROOTS, d->roots[i]);
	put_list(m, TAG_HOSTS, &d->config.hosts);
	put_list(m, TAG_NAMESERVER, &d->config.nameservers);
	if (d->config.upstream_proxy.n)
		msg_put_str(m, TAG_PARENT, d->config.upstream_proxy);
	put_list(m, TAG_NO_PROXY, &d->config.no_proxy);
}
