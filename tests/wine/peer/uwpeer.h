/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What nthostile asks of uwpeer.sys, which has the scripted devices of a hostile guest: controls on \\.\UwPeer.
 *
 * Device i is number i of the devnodes that the driver was given, and says so by its product id. Those with an even number
 * are high-speed devices, the others super-speed ones. A set of devices is a mask of bits.
 */
#ifndef UWPEER_H
#define UWPEER_H

#include <stdint.h>

#define UWP_DEVICES 8u
#define UWP_VENDOR 0x1209u
#define UWP_PRODUCT 0x5000u      /* and the number */
#define UWP_WRITES 64u

/* CTL_CODE(0x855a, 0x800 + n, METHOD_BUFFERED, FILE_ANY_ACCESS) */
#define UWP_CODE(n) ((0x855au << 16) | ((0x800u + (n)) << 2))
#define UWP_LOOK UWP_CODE(0)     /* in: struct uwp_set, out: struct uwp_state; what it tells of writes is forgotten */
#define UWP_COMPLETE UWP_CODE(1) /* in: struct uwp_complete: the oldest idle transfer ends so; none is STATUS_NOT_FOUND */

struct uwp_set {
	uint32_t devices;
	uint32_t reserved;
};

/* Of all devices of a set together. */
struct uwp_state {
	uint32_t idle;           /* transfers that wait until they are cancelled */
	uint32_t violations;     /* of the contract of host/windows/peer.h; each is a line of the debug output */
	uint32_t writes;         /* parts of data written; UWP_WRITES: perhaps more */
	uint32_t reserved;
	uint32_t low[UWP_WRITES], high[UWP_WRITES]; /* from the start of data */
};

struct uwp_complete {
	uint32_t devices;
	uint32_t status;         /* what the device says: anything */
	uint32_t actual;
	uint32_t reserved;
};

#endif
