/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether the host lives on a USB device, so that taking it away would hurt. */
#ifndef UW_INUSE_H
#define UW_INUSE_H

#include "base.h"

/*
 * True: a file system or swap space on the device is in use, the default route goes through it, or it is the last
 * keyboard; why says which, in size bytes. Reads /proc and /sys; what cannot be read counts as not in use.
 */
UW_MUST_CHECK bool uw_in_use(const char *bus_id, char *why, size_t size);

#endif
