/* SPDX-License-Identifier: GPL-2.0-only */
/* usbwarp capture: what passes between VMs and devices, into a file that Wireshark reads. */
#ifndef UW_CLI_CAPTURE_H
#define UW_CLI_CAPTURE_H

#include "client.h"

#define UW_CAPTURE_PACKET_MAX 262144u /* bytes of a packet with its header: Wireshark takes no longer ones */
#define UW_CAPTURE_PACKET_MIN 64u     /* the header alone */

struct uw_capture {
	const char *where;         /* as for uw_transport_open */
	const char *file;          /* NULL: standard output */
	const uw_u8 *bus_id, *vm;  /* as in struct uw_ctl_capture */
	uint32_t snaplen;          /* bytes of a packet with its header */
	uint64_t count;            /* packets; 0: no limit */
	uint64_t seconds;          /* 0: no limit */
	uint64_t packets, dropped; /* results */
};

/* Until told to end, interrupted, or nobody reads any more. The reply has no records. */
void uw_capture_run(struct uw_capture *capture, struct uw_reply *reply);

#endif
