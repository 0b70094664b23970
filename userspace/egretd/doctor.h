/* SPDX-License-Identifier: Apache-2.0 */
/* `egret doctor`: what this host has of what egret needs, which walls stand, and what the
 * configuration's managed units and engines mean here. */
#ifndef EGRET_EGRETD_DOCTOR_H
#define EGRET_EGRETD_DOCTOR_H

#include "config/config.h"
#include "egretd/probe.h"
#include "egretd/walls.h"

/* Prints; 0 when all that is required is there, 1 when not, 2 when the configuration is broken. */
int doctor(const char *config_path, bool json);

/* doctor_walls.c: a line each. able: what egretd needs besides is there. */
void doctor_walls(const struct config *c, bool able, struct probe to[WALLS]);

#endif
