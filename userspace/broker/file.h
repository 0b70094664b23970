/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of root's that credentials name ("file {path}", "file:/PATH", "ca_file"). The broker opens
 * none of them: egretd, which checks owner and mode and reads none, hands each over as a
 * descriptor, and again when it changed. Read when a value is needed, so that what is used is what
 * is there.
 */
#ifndef EGRET_BROKER_FILE_H
#define EGRET_BROKER_FILE_H

#include "broker/broker.h"

#define FILE_VALUE_MAX 49152u /* it travels in one frame, beside others */
#define FILES_MAX 1024u

int file_set(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK; /* MSG_FILE */
/* Without the line's end behind it. 0, or -errno and a sentence that begins with "file". */
int file_get(struct broker *b, struct str path, struct secret *ret, char *why,
	     size_t size) MUST_CHECK;
void files_done(struct broker *b);

#endif
