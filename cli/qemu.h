/* SPDX-License-Identifier: GPL-2.0-only */
/* What QEMU has to be told so that its guest gets a VM's region. */
#ifndef UW_CLI_QEMU_H
#define UW_CLI_QEMU_H

#include "client.h"

enum uw_qemu_form { UW_QEMU_LINE, UW_QEMU_LIBVIRT, UW_QEMU_JSON };

/*
 * Prints the arguments for that VM of an answer to UW_CTL_STATUS; name NULL: the only one. The exit code: what cannot be
 * told for certain is refused, since a QEMU with a wrong path fails later and says less.
 */
int uw_qemu_show(struct uw_reply *status, const char *name, enum uw_qemu_form form);

#endif
