/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing of a TLS record can be read before all of it is there, and one of 16 KiB comes in a dozen
 * packets: a socket that is read here wakes its reader for the first of them and for the last. Ends
 * and errors wake it as ever. Called by uptls.c for connections to upstreams; of their hostile
 * bytes the length of each record is looked at, nothing is judged.
 */
#ifndef EGRET_PROXY_WHOLE_H
#define EGRET_PROXY_WHOLE_H

#include <openssl/types.h>

/* Reads fd for ssl from here on, and is freed with ssl. 0 or -ENOMEM: then nothing was changed. */
int whole_new(SSL *ssl, int fd);

#endif
