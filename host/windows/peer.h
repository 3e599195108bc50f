/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between UsbWarp.sys and UsbWarpFilter.sys, kernel to kernel: one internal device control, then calls.
 *
 * UsbWarp.sys opens the interface that UsbWarpFilter.sys registers, keeps that file object as long as it uses the peer,
 * and sends UW_PEER_CONNECT once. From then on the device is a backend like any other (core/backend.h), with these
 * differences, because here many processors meet:
 *   - open and close run at PASSIVE_LEVEL, never in the session's thread, never two at a time for one device, and may
 *     block. mdl, base and size are set before open. When close has returned every transfer handed over has been
 *     completed and no callback runs or will run, whatever hardware does.
 *   - The other verbs and cancel may be called at IRQL <= DISPATCH_LEVEL in one context at a time, between open's return
 *     and close, also while close runs; they never block. Cancel of a transfer is called only before its completion has been
 *     taken by the session, and may cross it.
 *   - complete, gone, wakeup and lost_power are called at IRQL <= DISPATCH_LEVEL in any context, also from inside a verb, and only
 *     queue. The file object does not keep the device from being removed: after gone the owner calls close soon.
 *   - now may be called at any IRQL <= DISPATCH_LEVEL; arm and timer are not used.
 * A peer serves one owner: connecting a second time fails with STATUS_DEVICE_BUSY until the first file object is closed.
 */
#ifndef UW_PEER_H
#define UW_PEER_H

#include "backend.h"

#define UW_PEER_VERSION 2
/* CTL_CODE(0x8557, 0x900, METHOD_NEITHER, FILE_ANY_ACCESS), IRP_MJ_INTERNAL_DEVICE_CONTROL; kernel callers only. The
 * buffer is Parameters.DeviceIoControl.Type3InputBuffer: a struct uw_peer_connect in the caller's non-paged memory. */
#define UW_PEER_CONNECT ((0x8557u << 16) | (0x900u << 2) | 3u)

struct uw_peer {
	struct uw_device dev;      /* dev.host and dev.owner are UsbWarp.sys's to set before open */
	MDL *mdl;                  /* the region's pages, locked; IoBuildPartialMdl cuts transfers out of it */
	uint8_t *base;             /* the region's system address: what io->data is counted from */
	uint64_t size;             /* bytes of both */
	/* The owner's, set before open, called as wakeup is: the host slept, the device lost what the guest had set up in
	 * it. The guest is to be told UW_EVENT_LOST_POWER. */
	void (*lost_power)(struct uw_device *dev);
};

struct uw_peer_connect {
	uint32_t size;             /* in: sizeof of this structure */
	uint32_t version;          /* in: UW_PEER_VERSION; another one is STATUS_REVISION_MISMATCH */
	struct uw_peer *peer;      /* out: valid until the file object is closed */
};

#endif
