/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loaders make of a file and the image writers take: rules, `for` entries, policies,
 * credentials, all in one arena that lasts as long as the compilation. Private to this folder;
 * programs see compile.h, policy.h and credential.h.
 */
#ifndef EGRET_POLICY_MODEL_H
#define EGRET_POLICY_MODEL_H

#include "base/proto.h"
#include "policy/credential.h"
#include "policy/scan.h"

#define RULES_MAX 16384 /* in one policy, includes counted */
#define PORTS_MAX 32
#define QUERY_MAX 64
#define REFS_MAX 64
#define FOR_MAX 256
#define FOR_VALUES_MAX 64
#define PATTERN_MAX 1024
#define RULE_TEXT_MAX 2048

enum host_kind { HOST_EXACT, HOST_ONE, HOST_MANY, HOST_ADDR };
struct host_pattern {
	enum host_kind kind;
	struct str name; /* without the stars */
	uint8_t addr[16];
	uint8_t prefix; /* mapped form */
};

struct port_range {
	uint16_t lo, hi;
};

#define METHODS_ANY UINT64_MAX /* also those that no table knows */
#define METHODS_READ 3ull      /* GET, HEAD: the first two of the table */
#define METHODS_GET 1ull
#define METHODS_WEBSOCKET (1ull << 36)
enum git_service { GIT_FETCH = 1, GIT_PUSH = 2 };

#define SCHEME_BIT(s) (1u << (s))
#define DIRECT_NEVER_PORT 53 /* always turned to the job's resolver (bpf/direct.h) */
#define SCHEME_DIRECT 4	     /* behind enum scheme: in the kernel, no proxy */
#define SCHEME_DIRECT_UDP 5  /* the same for datagrams, which no proxy carries */
#define SCHEME_SERVICES 6    /* the job's other members; names no host, stands in no group */

struct rule {
	struct str id;
	struct str text; /* "allow POST https://...", as it was written */
	bool deny, has_query, included;
	unsigned scheme; /* enum scheme, or one of SCHEME_* */
	struct host_pattern host;
	struct port_range ports[PORTS_MAX];
	unsigned nports;
	uint64_t methods;
	unsigned git;	 /* enum git_service bits; then methods is 0 */
	struct str path; /* canonical pattern; p = NULL: any */
	struct str *query;
	unsigned nquery;
	struct str *refs; /* of GIT-PUSH alone: ref_pattern_parse */
	unsigned nrefs;	  /* 0: any ref */
	struct str credential;
	uint64_t until_us; /* wall; 0: for ever */
	const struct diag_file *file;
	size_t at, credential_at;
	struct rule *next;
};

#define SETTING_NET_RAW PREPARED_NET_RAW
#define SETTING_NET_ADMIN PREPARED_NET_ADMIN
#define SETTING_CAPABILITIES (SETTING_NET_RAW | SETTING_NET_ADMIN)
#define SETTING_INBOUND 4u
#define SETTING_ALL (SETTING_CAPABILITIES | SETTING_INBOUND)
_Static_assert(!(SETTING_CAPABILITIES & SETTING_INBOUND), "one bit each");

struct for_cond {
	unsigned key; /* index of fact_keys */
	struct str values[FOR_VALUES_MAX];
	unsigned nvalues;
	struct for_cond *next;
};

struct for_entry {
	struct for_cond *conds;
	unsigned nconds;
	enum assurance assurance; /* at least */
	bool any, names_event;
	struct str *roles;
	unsigned nroles;
	size_t at;
	struct for_entry *next;
};

struct role {
	struct str name;
	struct rule *rules;
	struct role *next;
};

struct include {
	struct str name;
	size_t at;
	struct include *next;
};

struct policy_model {
	struct str name;
	enum policy_mode mode;
	unsigned settings; /* SETTING_*: of this file alone, never of one that includes it */
	int64_t priority;
	struct for_entry *fors;
	struct include *includes;
	struct rule *rules;
	struct role *roles;
	const struct diag_file *file;
};

struct inject_model {
	enum inject_kind kind;
	struct str name, format;
	struct host_pattern *hosts; /* n = 0: all of the credential's */
	unsigned nhosts;
	struct inject_model *next;
};

struct param_model {
	enum param id;
	struct str value;
	struct param_model *next;
};

struct credential_model {
	struct str name;
	struct param_model *params, **params_tail;
	unsigned nparams;
	enum provider provider;
	bool client_auth_pass, is_static, any_tier, opaque_pass;
	uint64_t ttl_ms;
	struct for_entry *fors;
	struct host_pattern *hosts;
	unsigned nhosts;
	struct inject_model *injects;
	struct str placeholder;
	struct str *env;
	unsigned nenv;
	const struct diag_file *file;
	size_t at;
};

/* One file being read. */
struct load {
	struct arena *a;
	const struct diag_file *file;
	struct diag *errors, *warnings;
};

/* host.c */
int addr_parse(struct str s, uint8_t to[16]) MUST_CHECK; /* v4 (mapped) or v6 */
int port_parse(struct str s, uint16_t *ret) MUST_CHECK;

/* psl.c */
bool public_suffix(const char *name);

/* words.c: the nearest word, or what other tools call it; NULL if none is near */
const char *word_near(struct str given, const char *const *words, size_t n);
void unknown_word(const struct load *l, size_t at, struct str key, const char *what,
		  struct str given, const char *const *words, size_t n);
/* Each key of the object must be one of these; false if one is not. */
bool keys_known(const struct load *l, const struct node *object, const char *const *keys, size_t n);
bool name_well_formed(struct str s); /* letters, digits, '.', '_', '-'; at most PROTO_NAME_MAX,
					begins with a letter or digit */

/* methods.c */
extern const char *const method_names[];
extern const size_t method_names_n;
uint64_t method_bit(struct str method); /* 0: not in the table */

/* host_pattern.c; *ret_why in words on -EINVAL */
int host_pattern_parse(struct arena *a, struct str s, struct host_pattern *ret,
		       const char **ret_why) MUST_CHECK;
bool host_pattern_covers(const struct host_pattern *wide, const struct host_pattern *narrow);
bool host_pattern_overlaps(const struct host_pattern *a, const struct host_pattern *b);
const char *shared_cdn(const struct host_pattern *h); /* cdn.c: which; NULL: none that is known */
bool host_pattern_fits(const struct host_pattern *p, struct str host);
bool host_name_fits(enum host_kind kind, struct str name, struct str host);
bool addr_in(const uint8_t addr[16], const uint8_t block[16], unsigned prefix);
uint32_t host_rank(const struct host_pattern *p);

/* path_pattern.c */
int path_pattern_check(struct str p, const char **ret_why) MUST_CHECK;
bool path_pattern_fits(struct str pattern, struct str path);
bool path_pattern_overlaps(struct str a, struct str b); /* p = NULL: any */
uint32_t path_rank(struct str pattern);			/* higher: more specific */
bool glob_fits(struct str pattern, struct str s);	/* '*' any run without '/', "**" any run */

/* ref_pattern.c: "refs/tags/v*" as a pattern of paths; *ret_why in words on -EINVAL */
int ref_pattern_parse(struct arena *a, struct str s, struct str *ret,
		      const char **ret_why) MUST_CHECK;
bool ref_pattern_fits(struct str pattern, struct str ref);
/* git.c: the path of a repository without what git's servers take for nothing: one slash at the
 * end, ".git", the slash before that. */
struct str git_repo_trim(struct str path);
/* GIT_FETCH or GIT_PUSH and the trimmed repository; 0: not a request of the smart protocol. bit:
 * method_bit of its method. */
unsigned git_service(const struct request_query *q, uint64_t bit, struct str *ret_repo);

/* load_*.c */
extern const char *const fact_keys[];
extern const size_t fact_keys_n;
#define FACT_EVENT 6
#define FACT_FORK 7
#define FACT_ENVIRONMENT 12
struct for_entry *load_for(const struct load *l, const struct node *n, bool roles_allowed);
struct rule *load_rules(const struct load *l, const struct node *list);
int rule_pattern_parse(const struct load *l, const struct node *n, struct rule *r) MUST_CHECK;
int rule_direct_parse(const struct load *l, const struct node *n, struct rule *r) MUST_CHECK;
int rule_until_parse(struct str s, uint64_t *ret_us) MUST_CHECK;
bool rule_limits_check(const struct load *l, const struct node *n);
struct policy_model *load_policy(const struct load *l); /* NULL after an error */
struct credential_model *load_credential(const struct load *l, bool no_references);
struct host_pattern *load_host_list(const struct load *l, const struct node *n, unsigned *ret_n);
/* load_inject.c: inject and placeholder; hosts are set. */
void load_injects(const struct load *l, const struct node *root, struct credential_model *c);
/* load_provider.c: the params; provider and params_tail are set. */
void load_provider(const struct load *l, const struct node *root, struct credential_model *c);
extern const char *const provider_names[]; /* provider - 1 */
extern const size_t provider_names_n;
/* The keys of a provider's file, or those of its object `in`; at most max of them. */
unsigned provider_key_names(enum provider p, const char *in, const char **ret, unsigned max);
int load_time(struct str s, uint64_t *ret_ms) MUST_CHECK; /* "10m"; 0 or -EINVAL */
bool load_string(const struct load *l, const struct node *n,
		 struct str *ret); /* an error if it is none */

/* check.c: ties, and pass-through against opened on one host and port. Both lists are in file
 * order. */
void check_rules(const struct load *l, const struct rule *rules);
/* check_for.c: would both surely fit some job equally well? */
bool fors_tie(const struct for_entry *a, const struct for_entry *b);
/* check_direct.c: what the kernel could not hold of the rules `direct`. */
void check_direct(const struct load *l, const struct rule *rules);

/* image_write.c, credential_write.c: an image in the arena */
int policy_image(struct arena *a, const struct policy_model *m, struct str name,
		 const struct rule *rules, const struct for_entry *fors,
		 struct str *ret) MUST_CHECK;
int credential_image(struct arena *a, const struct credential_model *m, struct str *ret) MUST_CHECK;

#endif
