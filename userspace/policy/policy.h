/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What egret decides by. Policies and credentials are written in JSON (shared form:
 * docs/man/egret-policy.5), read and compiled by egret-compile, which has no privileges, into flat
 * images: little-endian, offsets checked once by policy_open, then used as they lie, by the proxy,
 * by egretd (whom is it for) and by `egret policy explain`. The code that decides is this library,
 * for all three.
 */
#ifndef EGRET_POLICY_POLICY_H
#define EGRET_POLICY_POLICY_H

#include "base/bytes.h"
#include "event/event.h"

/* ---- packs: several images in one sealed memfd ---- */
struct pack {
	const uint8_t *p;
	size_t n;
	uint32_t count;
};
#define PACK_SIZE_MAX (8u << 20)
int pack_open(const void *p, size_t n,
	      struct pack *ret) MUST_CHECK;	      /* 0 or -EBADMSG; p must outlive it */
struct str pack_at(const struct pack *k, uint32_t i); /* image i; i < count */
int pack_write(const struct str *images, uint32_t count, int *ret_fd) MUST_CHECK; /* sealed memfd */

/* ---- a job's facts, as `for` sees them ---- */
struct fact {
	struct str key, value; /* keys: provider org repo repo_id ref sha event fork workflow job
				  stage run_id environment actor runner */
};
enum assurance { ASSURANCE_UNVERIFIED, ASSURANCE_RUNNER, ASSURANCE_SIGNED };
struct facts {
	const struct fact *list;
	size_t n;
	enum assurance assurance;
};

/* ---- a policy image ---- */
struct policy {
	const uint8_t *p;
	size_t n;
};
enum policy_mode { POLICY_ENFORCE, POLICY_AUDIT };

int policy_open(struct str image, struct policy *ret)
	MUST_CHECK; /* 0 or -EBADMSG: every offset, count and number checked */
struct str policy_name(const struct policy *p);
struct str policy_digest(const struct policy *p);	 /* "sha256:..." of the canonical image */
enum policy_mode policy_mode_of(const struct policy *p); /* at this moment */
/* The same policy, requests of which are judged in mode audit until then (clock_boot_us()). Frees
 * with free(). 0 or -EBADMSG. */
int policy_audit_until(struct str image, uint64_t until_us, char **ret) MUST_CHECK;
/* May members of the job talk to each other, and are service names asked of the engine? The rule's
 * id (where it is wanted); n = 0 in audit mode without such a rule: allowed, and an event would say
 * would-deny. */
bool policy_services(const struct policy *p, struct str *ret_rule_id);
bool policy_inbound(const struct policy *p); /* may others connect to what the job serves? */
/* Is all TLS of the job opened, or refused? Not with a rule tls://, direct, services, or tcp:// but
 * to ssh's port, where TLS may begin later; not in audit mode. Then its clients meet no certificate
 * but those of the job's CA. */
bool policy_opens_tls(const struct policy *p);
/* PREPARED_NET_RAW, PREPARED_NET_ADMIN of base/proto.h: what a job's containers may keep. */
unsigned policy_capabilities(const struct policy *p);
/* How well `for` fits: -1 not at all, else the number of keys; *ret_priority for ties. A policy
 * without `for` fits none. */
int policy_for(const struct policy *p, const struct facts *f, int64_t *ret_priority);
/* Walks the address blocks that rules name (direct, tcp:// and https:// with an address), as far as
 * a proxy dials them: for the cage. Start with *at = 0. */
struct policy_block {
	uint8_t addr[16]; /* mapped form */
	uint8_t prefix;	  /* 0..128 in the mapped form */
	uint16_t port_lo, port_hi;
};
bool policy_each_block(const struct policy *p, size_t *at, struct policy_block *ret);
/* Walks what rules `direct` let go by no proxy, and the addresses that deny rules take of it (deny
 * beats allow): for the kernel's table, where a job has a link. Expired ones among them. */
#define POLICY_DIRECT_MAX 4096 /* of the walk: the compiler takes no policy with more */
struct policy_direct {
	uint8_t addr[16]; /* mapped form */
	uint8_t prefix;
	bool deny, udp;
	uint16_t port_lo, port_hi;
	uint64_t until_us; /* wall clock; 0: for ever */
};
bool policy_each_direct(const struct policy *p, size_t *at, struct policy_direct *ret);
/* Exactly one of a pack: the policy for these facts. 0 and *ret_index; -ENOENT: none; -ENOTUNIQ:
 * two fit equally, both names in the indexes. */
int policy_select(const struct pack *k, const struct facts *f, uint32_t *ret_index,
		  uint32_t *ret_other) MUST_CHECK;

/* ---- deciding ---- */
enum scheme { SCHEME_HTTP, SCHEME_HTTPS, SCHEME_TLS, SCHEME_TCP };

struct verdict {
	enum event_verdict verdict; /* ALLOW, DENY, WOULD_DENY */
	enum reason reason;
	struct str rule;    /* id of the rule that decided; n = 0 if none */
	struct str nearest; /* on a deny without rule: the rule that came closest, as "id: text" */
	struct str credential; /* name, or n = 0 */
	bool refs; /* a push, and a rule names refs: it stands if each ref is allowed, too */
	uint32_t rule_index; /* in its policy; UINT32_MAX if none */
};

/* A connection whose name is known (or n = 0: only an address). What could be done on it? */
enum conn_way {
	CONN_OPEN,  /* some http(s) rule could match a request here, or refusals are to be said in
		       words: open it */
	CONN_PASS,  /* tls:// or tcp:// or direct allows it: pass through unopened */
	CONN_REFUSE /* nothing to say it in (not TLS, not HTTP) or an address no rule names */
};
struct conn_query {
	enum scheme
		scheme;	 /* HTTPS for a ClientHello, HTTP for a first HTTP byte, TCP for another */
	struct str host; /* canonical (host_canonical) or n = 0 */
	const uint8_t
		*addr; /* 16 bytes, the real address dialled, or NULL when it was a synthetic one */
	uint16_t port;
};
enum conn_way policy_connection(const struct policy *p, const struct conn_query *q,
				struct verdict *ret);

/* Does an allow rule name this canonical host itself, without a wildcard? */
bool policy_names(const struct policy *p, struct str host);

/* Does a rule `direct` let this go by no proxy where the job has a link? Also in audit mode nothing
 * else makes it so; TCP is the proxy's to judge then. */
bool policy_direct(const struct policy *p, const uint8_t addr[16], uint16_t port, bool udp,
		   struct verdict *ret);

/* A GET that asks to turn its connection into a WebSocket. No client sends it as a method
 * (proxy/request.c), and ANY in an allow rule does not hold it: what comes behind the handshake is
 * no request that a rule could judge. */
#define METHOD_WEBSOCKET "WEBSOCKET"
struct request_query {
	enum scheme scheme;  /* HTTP or HTTPS */
	struct str host;     /* canonical; an address literal for rules that name one */
	const uint8_t *addr; /* as above */
	uint16_t port;
	struct str method; /* as sent, case-sensitive; METHOD_WEBSOCKET for a handshake */
	struct str path;   /* canonical (target_canonical) */
	struct str query;  /* without '?', as sent */
	struct str ref;	   /* one that a push names (ref_well_formed); n = 0: not known yet */
};
void policy_request(const struct policy *p, const struct request_query *q, struct verdict *ret);
/* The JSON line that would allow the request, e.g. { "allow": "POST https://api.github.com/gists" }
 */
int policy_suggest(const struct request_query *q, struct buf *to) MUST_CHECK;

/* ---- canonical forms: what is matched is what is sent ---- */
#define HOST_MAX 253
#define REF_MAX 1023
/* The whole name of a ref ("refs/heads/main") as git allows it. */
bool ref_well_formed(struct str ref);
/* Lower case, A-labels (IDNA), one trailing dot dropped; LDH labels of 1-63 with '_' allowed
 * inside; no address literal. Writes at most HOST_MAX + 1 bytes. 0 or -EINVAL. */
int host_canonical(struct str host, char *to, size_t *ret_n) MUST_CHECK;
/* "host", "host:port", "[v6]:port", "v4:port" as in Host and :authority. *ret_port 0 if absent;
 * *ret_addr_known says that it is an address (mapped form in ret_addr, strict dotted quad or RFC
 * 5952-readable only), else host is canonical. */
struct authority {
	char host[HOST_MAX + 1];
	size_t host_n; /* 0 for an address */
	bool is_addr;
	uint8_t addr[16];
	uint16_t port; /* 0: absent */
};
int authority_parse(struct str s, struct authority *ret) MUST_CHECK; /* 0 or -EINVAL */

/* An origin-form target ("/a/b?q"): percent-encoding normalised (unreserved decoded, hex
 * upper-cased). A "." segment as it is written falls out before another; "..", "//", an encoded or
 * last "." are refused as ambiguous. Refused: %2f %5c %00-%1f %7f,
 * '\', ';' in a segment, double encoding (%25 followed by two hex digits), overlong UTF-8,
 * non-ASCII or control bytes, fragments, bad escapes. Path and query written to `to` (same bytes
 * are matched and sent). 0, -EINVAL (*ret_why says in words), -EMSGSIZE. */
struct target {
	struct str path;  /* in to */
	struct str query; /* in to, without '?'; p = NULL when there is none */
	struct str whole; /* path and query, as sent */
};
int target_canonical(struct str raw, struct buf *to, struct target *ret,
		     const char **ret_why) MUST_CHECK;

#endif
