/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that the broker hands out, read. Included in place of broker_rig.h. */
#ifndef EGRET_TESTS_UNIT_BROKER_CERTS_RIG_H
#define EGRET_TESTS_UNIT_BROKER_CERTS_RIG_H

#include "unit/broker/broker_rig.h"
#include <openssl/pem.h>
#include <openssl/x509.h>

static X509 *pem_of(int fd)
{
	FILE *f;
	X509 *x;

	lseek(fd, 0, SEEK_SET);
	f = fdopen(dup(fd), "r");
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(x);
	return x;
}

#endif
