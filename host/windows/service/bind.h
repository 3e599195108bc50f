/* SPDX-License-Identifier: GPL-2.0-only */
/* Makes UsbWarpFilter.sys the driver of exactly one devnode, and puts the former driver back. */
#ifndef UW_BIND_H
#define UW_BIND_H

#include "outcome.h"
#include "usblist.h"

/*
 * Block, on the devices' thread. The record's journal is written before the first change and brought up to date
 * after the last. After a failure the device has its former driver again, and the record is gone; if even that failed, the
 * record stays as RESTORING, for the next start of the service.
 */
void uw_bind(struct uw_record *record, struct uw_outcome *outcome);
/* Also for devices that are absent, and for steps that have been taken already. */
void uw_restore(struct uw_record *record, struct uw_outcome *outcome);

#endif
