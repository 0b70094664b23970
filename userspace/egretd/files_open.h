/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a file of root's that a credential names. The file itself, or, as Kubernetes lays out
 * tokens and secrets (token -> ..data/token, ..data -> a folder that is exchanged whole), by links
 * that stand in the file's own folder and lead nowhere but below it. Then every folder from the
 * root down, each link and the file must be root's, and nobody else may be able to exchange one.
 * Called by files.c. The path is root's; names and targets of links are anyone's until their owner
 * was looked at.
 */
#ifndef EGRET_EGRETD_FILES_OPEN_H
#define EGRET_EGRETD_FILES_OPEN_H

#include "base/bytes.h"

#include <limits.h>

#define FILE_LINKS_MAX 4

/* What has to be watched besides the name in its folder. */
struct file_way {
	unsigned nlinks;
	char links[FILE_LINKS_MAX][NAME_MAX + 1]; /* names in the folder that were followed */
	int dir; /* O_PATH, owned: the folder below in which the file lies; -1: none */
	char name[NAME_MAX + 1]; /* and its name there */
};

/* 0, or -errno with a sentence; *way tells how far it came either way: file_way_done. */
int file_open(const char *path, struct file_way *way, int *ret, char *why, size_t n) MUST_CHECK;
void file_way_done(struct file_way *way);

#endif
