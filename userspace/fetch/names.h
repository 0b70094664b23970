/* SPDX-License-Identifier: Apache-2.0 */
/* Names and their addresses in the form that libcurl takes: "ip,[ip]". */
#ifndef EGRET_FETCH_NAMES_H
#define EGRET_FETCH_NAMES_H

#include "fetch/fetch.h"

/* One address behind those in line. 0, -EMSGSIZE */
int names_add(struct buf *line, const uint8_t addr[16], bool first) MUST_CHECK;
/* By "name=ip,ip" of the configuration. 1: the name is there; 0; -EMSGSIZE */
int names_find(const struct fetch_names *f, struct str host, struct buf *line) MUST_CHECK;
bool names_literal(const char *host); /* an address, which is not looked up */

#endif
