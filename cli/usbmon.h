/* SPDX-License-Identifier: GPL-2.0-only */
/* The header that Linux' usbmon puts before each packet: LINKTYPE_USB_LINUX_MMAPPED, which Wireshark knows. */
#ifndef UW_USBMON_H
#define UW_USBMON_H

#include <stdint.h>

#include "usbwarp/ctl.h"

struct uw_usbmon {
	uint64_t id;
	uint8_t event;             /* 'S' or 'C' */
	uint8_t transfer;          /* 0 isochronous, 1 interrupt, 2 control, 3 bulk */
	uint8_t endpoint;
	uint8_t device;
	uint16_t bus;
	uint8_t no_setup;          /* 0, or '-' */
	uint8_t no_data;           /* 0, or why there is none: '<' will come in, '>' went out, '-' */
	uint64_t seconds;
	uint32_t microseconds;
	uint32_t status;
	uint32_t length;
	uint32_t captured;         /* descriptors and data behind this header */
	union {
		uint8_t setup[8];
		struct {
			uint32_t errors, packets;
		} iso;
	} u;
	uint32_t interval;
	uint32_t start_frame;      /* not known, so 0 */
	uint32_t flags;            /* URB_* of Linux */
	uint32_t descriptors;
};

_Static_assert(sizeof(struct uw_usbmon) == 64, "the header has 64 bytes and no holes");
_Static_assert(sizeof(struct uw_ctl_descriptor) == 16, "usbmon's descriptors are the same as ours");

void uw_usbmon_header(struct uw_usbmon *header, const struct uw_ctl_packet *packet);

#endif
