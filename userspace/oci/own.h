/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust written into a container's root, where that root is an overlay and so the container's
 * alone: its bundles with the CA added, the CA as an anchor. A file that is mounted over cannot be
 * renamed over, which is how update-ca-certificates and package managers put a new bundle in place;
 * one that is written can. What was written is taken out again before an engine can make an image
 * of the root: at delete, at the end of a foreground run, and while the container is paused.
 *
 *   RUN_DIR/oci/ID/was/       the image's own bundles, by the name of ours in ID/in
 *   RUN_DIR/oci/ID/written    the root, then what was made in it, each with its NUL; folders end in
 *                             '/'
 */
#ifndef EGRET_OCI_OWN_H
#define EGRET_OCI_OWN_H

#include "oci/rootfs.h"

bool own_root(int rootfs);
void own_name(unsigned n, char *to, size_t size); /* of the nth bundle, from 1 */

/* folder: RUN_DIR/oci/ID. in/NAME takes the place of the file at s, which goes to was/NAME. ret:
 * the new file. */
int own_cover(int folder, int root, const char *name, const struct spot *s,
	      struct stat *ret) MUST_CHECK;
/* in/ca.pem as a new file. */
int own_anchor(int folder, int root, const char *path) MUST_CHECK;
int own_folder(int root, const char *path) MUST_CHECK;

/* folder: the path of RUN_DIR/oci/ID. What is not there is no error. */
int own_take(const char *folder) MUST_CHECK;  /* out of the root; a bundle that the job made anew
						 loses the CA */
int own_again(const char *folder) MUST_CHECK; /* in again, as before own_take */

#endif
