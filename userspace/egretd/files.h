/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of root's that credentials name ("file {path}", "file:/PATH",
 * ca_file; by links only as files_open.h says): opened here, since the broker may open none, never
 * read here (P5), and handed to it as descriptors, again whenever one changed. Those of credentials
 * that came with a job are opened if an administrator gave them.
 */
#ifndef EGRET_EGRETD_FILES_H
#define EGRET_EGRETD_FILES_H

#include "egretd/daemon.h"

void files_changed(struct daemon *d); /* the library is another: looks, watches, tells */
void files_tell(struct daemon *d);    /* a broker that was started anew knows none */
void files_job(struct job *j);	      /* it is about to be told to the broker */
void files_close(struct daemon *d);

#endif
