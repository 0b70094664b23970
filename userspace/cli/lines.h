/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the event log, or of any file given in its place: forwards, from the end, and as they
 * are added. */
#ifndef EGRET_CLI_LINES_H
#define EGRET_CLI_LINES_H

#include "base/bytes.h"

struct lines;

/* path "-" is stdin. 0 or -errno. */
int lines_open(const char *path, struct lines **ret) MUST_CHECK;
struct lines *lines_take(int fd);	   /* of a descriptor, taken over */
struct lines *lines_free(struct lines *l); /* NULL */
bool lines_is_file(const struct lines *l); /* can be read from its end */

/* The next whole line without its newline, good until the next call. 1; 0: no more now (a last line
 * without newline counts only with `whole` false); -errno. A line longer than any of ours is passed
 * over and counted. */
int lines_next(struct lines *l, bool whole, struct str *ret) MUST_CHECK;
uint64_t lines_too_long(const struct lines *l);

/* Calls fn for each whole line from the end of the file backwards until it returns false; then
 * lines_next goes on behind the end that was there. 0 or -errno. */
int lines_back(struct lines *l, bool (*fn)(void *owner, struct str line), void *owner) MUST_CHECK;

/* Waits until there may be more, at most wait_ms. Follows the path when another file took its
 * place. 0 or -errno. */
int lines_wait(struct lines *l, int wait_ms) MUST_CHECK;

/* "DIR/events.ndjson" of cli_state_dir; static. */
const char *lines_log(void);

#endif
