/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces come and go while the job lasts: see listen.h. Listeners are made by egretd in
 * the namespace and arrive as descriptors; the jail opens nothing. Trusts egretd's messages for
 * what they say, still checks their form.
 */
#include "proxy/listen.h"

#include "base/log.h"
#include "base/proto.h"
#include "proxy/accept.h"
#include "proxy/conn.h"
#include "proxy/sockets.h"
#include "proxy/upstream.h"
#include <errno.h>
#include <unistd.h>

#define SOCKETS_MAX 4 /* of one kind in one namespace */

static struct {
	uint64_t served[NAMESPACES_MAX];
	unsigned n;
} self;

static unsigned find(uint64_t netns)
{
	unsigned i = 0;

	while (i < self.n && self.served[i] != netns)
		i++;
	return i;
}

static void forget(struct resolver *r, uint64_t netns)
{
	unsigned i = find(netns);

	accept_close(netns);
	resolver_close(r, netns);
	sockets_close(netns);
	if (i < self.n)
		self.served[i] = self.served[--self.n];
}

enum kind { TCP, DNS_UDP, DNS_TCP, ENGINE_DNS, DIAL };

static int add_one(struct proxy *px, struct resolver *r, uint64_t netns, enum kind k, int fd)
{
	switch (k) {
	case TCP:
		return accept_add(px, netns, fd);
	case DNS_UDP:
		return resolver_add_udp(r, netns, fd);
	case DNS_TCP:
		return resolver_add_tcp(r, netns, fd);
	case ENGINE_DNS:
		return resolver_add_engine(r, netns, fd);
	case DIAL:
		return sockets_from(netns) ? -EEXIST : sockets_add(px, netns, fd);
	}
	return -EINVAL;
}

/* How many were added, or -errno. */
static int add_all(struct proxy *px, struct resolver *r, uint64_t netns, enum kind k,
		   struct msg_in *m, uint16_t tag)
{
	struct str field;
	size_t at = 0;
	int n = 0, fd, err;

	while (msg_each(m, tag, &at, &field)) {
		if (n == SOCKETS_MAX)
			return -E2BIG;
		err = msg_take_fd_of(m, field, &fd);
		if (err)
			return err;
		err = add_one(px, r, netns, k, fd);
		if (err) {
			close(fd);
			return err;
		}
		n++;
	}
	return n;
}

const char *listen_add(struct proxy *px, struct resolver *r, struct msg_in *m)
{
	uint64_t netns;
	struct str net;
	int n;

	if (msg_get_u64(m, TAG_NETNS, &netns) || msg_get_str(m, TAG_NET, 16, &net) ||
	    (!str_is(net, "none") && !str_is(net, "host")))
		return "the network namespace or its kind is missing";
	forget(r, netns);
	if (self.n == NAMESPACES_MAX)
		return "the job has too many network namespaces";
	n = add_all(px, r, netns, TCP, m, TAG_FD_TCP);
	if (n > 0 && add_all(px, r, netns, DNS_UDP, m, TAG_FD_DNS_UDP) >= 0 &&
	    add_all(px, r, netns, DNS_TCP, m, TAG_FD_DNS_TCP) >= 0 &&
	    add_all(px, r, netns, ENGINE_DNS, m, TAG_FD_ENGINE_DNS) >= 0 &&
	    add_all(px, r, netns, DIAL, m, TAG_FD_DIAL) >= 0) {
		self.served[self.n++] = netns;
		return NULL;
	}
	forget(r, netns);
	return n ? "a listener cannot be served" : "there is no listener";
}

const char *listen_services(struct resolver *r, const struct msg_in *m)
{
	struct str names[MSG_FIELDS_MAX];
	unsigned n = 0, left_out;
	size_t at = 0;

	while (n < MSG_FIELDS_MAX && msg_each(m, TAG_SERVICE, &at, &names[n]))
		n++;
	if (resolver_services(r, names, n, &left_out))
		return "the job has too many services";
	if (left_out)
		log_warn("%u names of services are none that DNS can carry: they are not found",
			 left_out);
	return NULL;
}

const char *listen_remove(struct proxy *px, struct resolver *r, const struct msg_in *m)
{
	uint64_t netns;

	if (msg_get_u64(m, TAG_NETNS, &netns))
		return "the network namespace is missing";
	forget(r, netns);
	conns_leave(px, netns);
	upstreams_leave(px->upstreams, netns);
	return NULL;
}
