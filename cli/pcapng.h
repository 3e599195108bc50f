/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A writer of capture files in pcapng (draft-ietf-opsawg-pcapng) with one interface and nanoseconds. Our own, since only
 * the newest library writes the format, and none comes with a compiler for Windows.
 */
#ifndef UW_PCAPNG_H
#define UW_PCAPNG_H

#include <stdint.h>
#include <stdio.h>

#define UW_LINKTYPE_USB_LINUX_MMAPPED 220u

struct uw_pcapng {
	FILE *out;                 /* whether all was written is to be asked of it */
	uint64_t packets;          /* written */
	uint64_t dropped;          /* never written */
	uint64_t lost;             /* of these, since the last packet */
	uint64_t begun;            /* nanoseconds since 1970 */
};

/* One packet, in two parts that lie apart. */
struct uw_pcapng_packet {
	uint64_t time;             /* nanoseconds since 1970 */
	const void *head, *body;
	uint32_t head_bytes, body_bytes;
	uint32_t original;         /* bytes that it had before it was cut */
};

/* snaplen: no packet will be longer. now: nanoseconds since 1970. */
void uw_pcapng_begin(struct uw_pcapng *p, FILE *out, uint16_t linktype, uint32_t snaplen, const char *program,
		     const char *interface, uint64_t now);
void uw_pcapng_packet(struct uw_pcapng *p, const struct uw_pcapng_packet *packet);
/* So many were lost after the last packet. */
void uw_pcapng_lost(struct uw_pcapng *p, uint64_t packets);
/* Statistics; does not close out. */
void uw_pcapng_end(struct uw_pcapng *p, uint64_t now);

#endif
