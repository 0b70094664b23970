/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that load the configuration: config.c walks the table of keys, lists.c reads
 * the lists of objects, forms.c says what values look like. */
#ifndef EGRET_CONFIG_LOAD_H
#define EGRET_CONFIG_LOAD_H

#include "config/config.h"
#include "policy/scan.h"

struct loading {
	struct config *c;
	struct diag *d;
	const struct diag_file *f;
};

/* An error at the value, and one at the key with the nearest of the words that would be known. */
void config_wrong(const struct loading *l, const struct node *n, const char *what,
		  const char *form);
void config_unknown(const struct loading *l, const struct node *n, const char *what,
		    const char *const *words, size_t nwords);

/* forms.c */
bool form_addr(struct str s);
bool form_block(struct str s);	    /* "a.b.c.d/n", "v6/n" or an address */
bool form_nameserver(struct str s); /* "ip", "v4:port" or "[v6]:port" */
bool form_parent(struct str s);
bool form_no_proxy(struct str s);

/* lists.c: a key replaces what an earlier file said. */
void config_load_managed(const struct loading *l, const struct node *n);
void config_load_identity(const struct loading *l, const struct node *n);

#endif
