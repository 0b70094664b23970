/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses that the host's own interfaces have, asked from the kernel by libnl. For the cage
 * and for the proxies' address checks. */
#ifndef EGRET_EGRETD_HOSTADDR_H
#define EGRET_EGRETD_HOSTADDR_H

#include "base/bytes.h"

#define HOSTADDR_TEXT_MAX 46
#define HOSTADDR_MAX 1024 /* of one namespace, for hostaddr_ask */

/* Addresses of the caller's network namespace, in the mapped form. *ret is to be freed. 0 or
 * -errno. */
int hostaddr_list(uint8_t (**ret)[16], size_t *ret_n) MUST_CHECK;
/* "192.0.2.1" or "2001:db8::1". to holds HOSTADDR_TEXT_MAX bytes. */
void hostaddr_text(const uint8_t addr[16], char *to);
/* A socket that becomes readable when addresses change (links: also when interfaces come, go or
 * change); read it empty with hostaddr_drain, then ask again. 0 or -errno. */
int hostaddr_watch_open(bool links, int *ret_fd) MUST_CHECK;
/* Asks through a socket of hostaddr_watch_open, which may be of another network namespace, for the
 * addresses there; it is read empty by that, and a change that comes meanwhile makes it ask anew.
 * *ret is to be freed. 0; -E2BIG past HOSTADDR_MAX; -EBUSY: they never stand still; -errno. */
int hostaddr_ask(int fd, uint8_t (**ret)[16], size_t *ret_n) MUST_CHECK;
void hostaddr_drain(int fd);
/* One question through such a socket, `ask` RTM_GETADDR or RTM_GETLINK: fn for each answer, until
 * it is not 0. *stale is set when news came between (they are read with it): what was told may be
 * of two times. */
struct nlmsghdr;
typedef int (*hostaddr_fn)(struct nlmsghdr *h, void *arg);
int hostaddr_dump(int fd, uint16_t ask, hostaddr_fn fn, void *arg, bool *stale) MUST_CHECK;

#endif
