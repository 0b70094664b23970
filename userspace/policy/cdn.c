/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks that serve many customers from the same addresses. Where TLS is passed through unopened,
 * the name in the ClientHello is all that is checked, and such a network may answer for another of
 * its customers by the Host inside. Called by compile.c, for a warning. Suffixes are those of the
 * operators' own documents on the names that they give to customers:
 *   docs.aws.amazon.com/AmazonCloudFront (distribution domain names), developer.fastly.com (map and
 *   shared TLS names), techdocs.akamai.com/property-mgr (edge hostnames), learn.microsoft.com/azure
 *   (Front Door and CDN endpoints, Blob storage), developers.cloudflare.com (Pages, Workers, R2,
 *   cdn.cloudflare.net), cloud.google.com/storage and firebase.google.com, docs.github.com (Pages),
 *   vercel.com/docs, docs.netlify.com, docs.bunny.net, support.edg.io, docs.keycdn.com.
 */
#include "policy/model.h"

static const char *const shared[] = {
	"cloudfront.net",
	"fastly.net",
	"fastlylb.net",
	"akamaiedge.net",
	"akamaized.net",
	"akamai.net",
	"akamaihd.net",
	"edgekey.net",
	"edgesuite.net",
	"azureedge.net",
	"azurefd.net",
	"blob.core.windows.net",
	"cdn.cloudflare.net",
	"pages.dev",
	"workers.dev",
	"r2.dev",
	"r2.cloudflarestorage.com",
	"storage.googleapis.com",
	"web.app",
	"firebaseapp.com",
	"github.io",
	"githubusercontent.com",
	"vercel.app",
	"netlify.app",
	"b-cdn.net",
	"edgecastcdn.net",
	"kxcdn.com",
	"jsdelivr.net",
};

const char *shared_cdn(const struct host_pattern *h)
{
	if (h->kind == HOST_ADDR)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		struct str suffix = str_of(shared[i]);

		if (h->name.n < suffix.n ||
		    memcmp(h->name.p + h->name.n - suffix.n, suffix.p, suffix.n) != 0)
			continue;
		if (h->name.n == suffix.n || h->name.p[h->name.n - suffix.n - 1] == '.')
			return shared[i];
	}
	return NULL;
}
