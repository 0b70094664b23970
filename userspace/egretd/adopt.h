/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How jobs outlive egretd (promise P6). What egretd holds of a running job - descriptors and a few
 * words - lies as one message a job in a parking place: a socket pair whose two ends the broker
 * holds too (PROTO_PARK_FD, never read there). A new egretd finds the services by run_dir/services,
 * takes its ends of their sockets and of the parking place with pidfd_getfd, and goes on where the
 * dead one stood.
 */
#ifndef EGRET_EGRETD_ADOPT_H
#define EGRET_EGRETD_ADOPT_H

#include "egretd/daemon.h"

/* Makes the parking place, or takes over the one of a living broker. Before services_start. */
int adopt_services(struct daemon *d, char *why, size_t n) MUST_CHECK;
void adopt_note_services(struct daemon *d); /* writes run_dir/services */
/* After services_start: unparks what is there, fills the kernel's tables with it, ends what cannot
 * be taken up. In an upgrade (handover.h) instead: -errno and a sentence, and nothing is ended. */
int adopt_jobs(struct daemon *d, char *why, size_t n) MUST_CHECK;
/* Parks all running jobs anew: called when one starts, ends, or gets another proxy. */
void park_jobs(struct daemon *d);
/* An earlier egretd's programs are let go: this one's are attached. */
void park_links_done(struct daemon *d);
/* There are parked jobs, as far as run_dir says. */
bool adopt_waited(const struct daemon *d);

#endif
