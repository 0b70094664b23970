// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The one place where the shared maps and constants are defined (maps.h declares them for the
 * others).
 */
#define EGRET_MAPS_HERE 1
#include "maps.h"

const volatile __u32 egret_attach_level = 1;
const volatile __u64 egret_attach_id = 0;
const volatile __u64 egret_listen_id = 0;
const volatile bool egret_unknown_pass = false;

char _license[] SEC("license") = "Dual BSD/GPL";
