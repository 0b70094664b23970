/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little XML that AWS's older services answer in: elements, attributes that nobody reads, text
 * with the five named entities and numbers. Nothing is fetched, defined or expanded; what a reader
 * could take in two ways (document types, sections, comments, processing instructions, anything
 * behind the root) is refused. Hostile bytes: a server's answer. Called by aws.c.
 */
#ifndef EGRET_PROVIDER_XML_H
#define EGRET_PROVIDER_XML_H

#include "base/bytes.h"

#define XML_DEPTH_MAX 12
#define XML_PATH_MAX 256

/* The text of one element, by its way from the root on: "Response/Result/Name". */
struct xml_want {
	const char *path;
	struct str text; /* filled; n = 0 where it is not there or empty */
	bool seen;
};

/* Reads the whole document; texts lie in the arena. 0; -EBADMSG: it is not well formed, holds what
 * is refused, or one of the elements twice or with elements of its own. */
int xml_read(struct str document, struct arena *a, struct xml_want *wants, size_t n) MUST_CHECK;

#endif
