/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trusted roots: PEM files given as descriptors. Read when the first upstream is dialled over TLS,
 * kept as DER with an index by subject; only the roots that a chain asks for are ever decoded.
 * Called by uptls.c. The files are the operator's: trusted, still checked.
 */
#ifndef EGRET_PROXY_ROOTS_H
#define EGRET_PROXY_ROOTS_H

#include "base/bytes.h"
#include <openssl/types.h>

struct roots;
/* Takes over the descriptors. Nothing is read yet. */
struct roots *roots_new(const int *fds, unsigned n);
struct roots *roots_free(struct roots *r); /* NULL; the store must be gone by then */
/* A store that finds its certificates here. 0, -EIO. roots must outlive it. */
int roots_store(struct roots *r, X509_STORE **ret) MUST_CHECK;
size_t roots_count(struct roots *r); /* reads the files if that is still to do */

#endif
