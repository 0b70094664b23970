/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the bypass program share: cases and targets by name, lines on pipes. main.c
 * chooses the part; agent.c runs inside the job; drive.c, sink.c and friend.c are the outside.
 */
#ifndef EGRET_TESTS_BYPASS_H
#define EGRET_TESTS_BYPASS_H

#include "case.h"
#include <stdio.h>

#define TEXT 128

/* A target with room for its own texts. */
struct request {
	struct target target;
	char addr[TEXT], other[TEXT], token[64], dev[32], self[TEXT], gateway[TEXT];
	char friend_[TEXT], late[TEXT], run[TEXT], abstract[TEXT], host[TEXT];
};

size_t case_count(void);
const struct bypass_case *case_at(size_t i); /* by name */
const struct bypass_case *case_named(const char *name);
const char *setting_name(int setting);
int setting_of(const char *name); /* 0: no such */
const char *expect_name(enum expect e);

/* "addr=198.51.100.10 port=7777 ..." into r, which keeps what is not named. False for a key that
 * is not known. */
void request_init(struct request *r);
bool request_set(struct request *r, const char *key_value);
/* The same, written; without a newline. */
void request_write(const struct request *r, FILE *to);

void json_text(FILE *to, const char *s);
void attempt_write(const struct attempt *a, FILE *to); /* a JSON object */

/* Runs one case in a process of its own. */
void agent_attempt(const struct bypass_case *c, const struct request *r, struct attempt *a);
int agent_main(void);
int drive_main(int argc, char **argv);
int report_main(int argc, char **argv);

#endif
