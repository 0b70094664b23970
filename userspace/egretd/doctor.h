/* SPDX-License-Identifier: Apache-2.0 */
/* `egret doctor`: what this host has of what egret needs, and what the configuration's managed
 * units and engines mean here. Looks only. */
#ifndef EGRET_EGRETD_DOCTOR_H
#define EGRET_EGRETD_DOCTOR_H

#include "base/bytes.h"

/* Prints; 0 when all that is required is there, 1 when not, 2 when the configuration is broken. */
int doctor(const char *config_path, bool json);

#endif
