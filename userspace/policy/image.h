/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an image lies in memory: a head, tables of fixed records, and one area of strings that all of
 * them point into. Private to this folder: written by *_write.c, checked once by policy_open and
 * credential_open, read by the matcher as it lies. Images never leave the host that wrote them; a
 * record is copied out before it is looked at, so alignment does not matter.
 */
#ifndef EGRET_POLICY_IMAGE_H
#define EGRET_POLICY_IMAGE_H

#include "policy/model.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "images are little-endian");

#define POLICY_MAGIC 0x33504745u     /* "EGP3" */
#define CREDENTIAL_MAGIC 0x31434745u /* "EGC1" */
#define PACK_MAGIC 0x314b4745u	     /* "EGK1" */
#define DIGEST_TEXT_N 71	     /* "sha256:" and 64 digits */
#define IMAGE_SIZE_MAX PACK_SIZE_MAX

struct img_str {
	uint32_t off, n; /* in the string area */
};
struct img_table {
	uint32_t off, n; /* bytes from the image's start, records */
};

enum policy_table {
	TABLE_FOR,
	TABLE_COND,
	TABLE_VALUE, /* img_str: values of `for`, names of `query`, patterns of `refs` */
	TABLE_RULE,
	TABLE_ENTRY,
	TABLE_GROUP,
	TABLE_SLOT, /* u32: group + 1, or 0; a power of two of them */
	TABLE_PATH, /* u32: entry + 1, or 0; a power of two of them; see path_slot */
	TABLE_PORT,
	TABLE_BLOCK,
	POLICY_TABLES
};

struct img_policy {
	uint32_t magic, size;
	char digest[72];      /* text over all that follows it, NUL */
	uint32_t mode, kinds; /* kinds: bit a host_kind that some group has */
	uint32_t services;    /* number of the rule plus one; 0: none */
	uint32_t settings;    /* SETTING_* */
	int64_t priority;
	uint64_t audit_until_us; /* clock_boot_us(): until then as if its mode were audit; 0: as it
				    says */
	struct img_str name;
	struct img_table strings; /* n in bytes */
	struct img_table tables[POLICY_TABLES];
};
bool policy_audits(const struct img_policy *h); /* at this moment */
struct img_for {
	uint32_t cond, nconds;
	uint8_t assurance, any, names_event, pad;
};
struct img_cond {
	uint32_t key, value, nvalues;
};
struct img_rule {
	struct img_str id, nearest, credential; /* nearest: "id: allow ..." */
};
#define ENTRY_DENY 1u
#define ENTRY_PATH 2u
#define ENTRY_QUERY 4u
#define ENTRY_GIT_FETCH 8u
#define ENTRY_GIT_PUSH 16u
#define ENTRY_REFS 32u /* with ENTRY_GIT_PUSH; never with ENTRY_QUERY */
struct img_entry {
	uint64_t methods, until_us;
	uint32_t rule;
	uint8_t schemes, flags;	   /* schemes: bit an enum scheme, SCHEME_DIRECT* */
	uint16_t port_lo, port_hi; /* the first range */
	uint16_t nports;	   /* further ranges */
	uint32_t port;
	struct img_str path;
	uint32_t literal;	/* bytes of path before its first star */
	uint32_t query, nquery; /* with ENTRY_REFS: its patterns */
	uint32_t rank, next;	/* of a chain in TABLE_PATH: entry + 1, a later one, or 0 */
};
#define DIRECT_TCP 1u
#define DIRECT_UDP 2u
/* Of which protocols the kernel lets what this entry names go, or, if it denies, not go. */
unsigned entry_direct(const struct img_entry *e);
struct img_group { /* the entries of one host pattern: denies first, then allows, the most specific
		      first */
	struct img_str name;
	uint32_t kind, entry, ndeny, nallow;
};
struct img_port {
	uint16_t lo, hi;
};
struct img_block { /* an address rule: allow or deny, by its entry; most specific first */
	uint8_t addr[16];
	uint32_t prefix, entry;
};

struct img_credential {
	uint32_t magic, size;
	char digest[72];
	uint32_t provider, flags;
	uint64_t ttl_ms;
	struct img_str name, placeholder;
	struct img_table strings;
	struct img_table fors, conds, values;	/* as above */
	struct img_table hosts;			/* img_host */
	struct img_table injects, inject_hosts; /* img_inject, img_host */
	struct img_table env;			/* img_str */
	struct img_table params;		/* img_param */
};
#define CREDENTIAL_STATIC 1u
#define CREDENTIAL_CLIENT_AUTH_PASS 2u
#define CREDENTIAL_ANY_TIER 4u
#define CREDENTIAL_OPAQUE_PASS 8u
struct img_host {
	uint32_t kind;
	struct img_str name;
};
struct img_param {
	uint32_t id;
	struct img_str value;
};
struct img_inject {
	uint32_t kind, host, nhosts; /* nhosts 0: all of the credential's */
	struct img_str name, format;
};

/* Copies a record out. The caller has checked the table and the index. */
#define IMG_GET(p, table, i, ret) \
	memcpy((ret), (p) + (table).off + (size_t)(i) * sizeof(*(ret)), sizeof(*(ret)))

static inline uint32_t hash_step(uint32_t h, char c)
{
	return (h ^ (uint8_t)c) * 16777619u;
}
/* Names are hashed from their end, so that one walk gives every suffix's hash. */
static inline uint32_t hash_slot(uint32_t h, unsigned kind)
{
	h ^= kind * 0x9e3779b9u;
	h ^= h >> 15;
	return h * 0x2c1b3c6du;
}
#define HASH_START 2166136261u

/* Entries of one group whose paths begin with the same whole segments, PATH_DEPTH of them at most,
 * lie in one chain in their order: `hash` is over these segments, each with its slash. Entries
 * whose path cannot be told by its beginning (none, a star in the first segment, git's) have depth
 * 0. */
#define PATH_DEPTH 6
static inline uint32_t path_slot(uint32_t group_entry, bool deny, unsigned depth, uint32_t hash)
{
	return hash_slot(hash ^ (group_entry * 2 + deny) * 0x9e3779b9u, depth);
}

/* image_for.c: the `for` part, the same in both kinds */
struct for_view {
	const uint8_t *p;
	struct img_table fors, conds, values, strings;
};
int for_view_check(const struct for_view *v, size_t n) MUST_CHECK;
int for_view_fits(const struct for_view *v, const struct facts *f); /* -1 or the number of keys */
bool table_ok(struct img_table t, size_t record, size_t n);
bool range_ok(uint32_t at, uint32_t count, uint32_t n);
bool str_ok(struct img_str s, struct img_table strings);
static inline struct str img_text(const uint8_t *p, struct img_table strings, struct img_str s)
{
	return (struct str){ (const char *)p + strings.off + s.off, s.n };
}

/* image_build.c: growing tables */
struct table_out {
	struct buf bytes;
	size_t record;
	uint32_t n;
};
struct image_out {
	struct table_out tables[POLICY_TABLES];
	struct buf strings;
	bool failed; /* it would be too large */
};
void image_out_init(struct image_out *o, const size_t *records, size_t n);
void image_out_done(struct image_out *o, size_t n);
uint32_t image_row(struct image_out *o, unsigned table, const void *record);
struct img_str image_str(struct image_out *o, struct str s);
void image_fors(struct image_out *o, const struct for_entry *fors, unsigned t_for, unsigned t_cond,
		unsigned t_value);
/* Head, tables, strings in the arena; places[i] gets table i's place. Then digest_seal. */
int image_finish(struct image_out *o, struct arena *a, void *head, size_t head_n,
		 struct img_table *places, size_t ntables, struct img_table *strings,
		 struct str *ret) MUST_CHECK;
/* Sets size and digest of a finished image, in place; both heads begin alike. */
void image_seal(uint8_t *p, size_t n);
bool image_sealed(const uint8_t *p, size_t n); /* digest and size fit */

#endif
