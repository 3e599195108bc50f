/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How isochronous submissions become URBs that Windows takes: packets contiguous and ascending, whole frames only, so
 * 8, 4 or 2 packets at a time where an interval is shorter than a frame.
 *
 * A cut is either a run of one submission's packets, whose bytes then are used where they lie if they lie so, or one
 * frame joined of the ends of several, whose bytes lie apart: in a few runs, where a transfer may have several MDLs, or else
 * in a copy.
 *
 *   submissions    |0 1 2 3 4 5 6 7 8 9|0 1 2 3 4 5 6 7 8 9|0 1 2 3
 *   URBs of 8      [0 . . . . . . 7][8 9 0 1 2 3 4 5][6 7 8 9 0 1 2 3]
 *   without chains   where they lie      a copy            a copy
 *   with chains      one MDL             two MDLs          two MDLs
 */
#ifndef UW_FILTER_CUT_H
#define UW_FILTER_CUT_H

#include "backend.h"

#define UW_CUT_PARTS 8u                /* packets of a frame, at most */
#define UW_CUT_RUNS 8u                 /* MDLs of an URB, at most */
#define UW_CUT_FULL_SPEED 255u         /* packets of an URB, at most */
#define UW_CUT_HIGH_SPEED 1024u
#define UW_CUT_FRAMES 256u             /* milliseconds of an URB, at most: Windows plans 1024 ahead */

struct uw_cut_rules {
	uint32_t multiple;             /* packets of an URB are a multiple of it */
	uint32_t most;                 /* and at most these, also a multiple */
	uint32_t period;               /* microframes from packet to packet */
	uint32_t service;              /* bytes of a packet, at most */
	bool in;
};

/* What waits of one submission: packets next..packets. */
struct uw_cut_source {
	const struct uw_iso *iso;
	uint32_t next, packets;
};

struct uw_cut_part {
	uint32_t source, first, count;
};

struct uw_cut {
	struct uw_cut_part part[UW_CUT_PARTS];
	uint32_t parts;
	uint32_t packets;              /* of the URB */
	uint32_t pad;                  /* of these at the end, packets that nobody asked for */
};

/* Bytes that lie together in a submission's data. */
struct uw_cut_run {
	uint32_t source, offset, bytes;
};

/* Laid out as USBD_ISO_PACKET_DESCRIPTOR. */
struct uw_cut_slot {
	uint32_t offset, length, status;
};

void uw_cut_rules(struct uw_cut_rules *rules, uint8_t speed, uint8_t interval, uint32_t service, bool in);
/* The next URB of what waits, in order; only the first UW_CUT_PARTS sources matter, none of which is empty. pad:
 * nothing more will come in time, so fill the frame up. False: there is not enough. */
UW_MUST_CHECK bool uw_cut_next(const struct uw_cut_rules *rules, const struct uw_cut_source *source, uint32_t sources,
			       bool pad, struct uw_cut *cut);
/* Where each packet of the URB lies in its buffer. Returns the buffer's bytes. */
uint32_t uw_cut_place(const struct uw_cut_rules *rules, const struct uw_cut_source *source, const struct uw_cut *cut,
		      struct uw_cut_slot *slot);
/* The runs that the cut's bytes lie in, in order. 0: it has no bytes, some that are in no submission, or too many runs. */
uint32_t uw_cut_runs(const struct uw_cut_rules *rules, const struct uw_cut_source *source, const struct uw_cut *cut,
		     struct uw_cut_run run[UW_CUT_RUNS]);
/* Bytes that a packet can have on the bus: an IN packet's rest stays empty, a longer OUT packet is not sent at all. */
uint32_t uw_cut_bytes(const struct uw_cut_rules *rules, const struct uw_iso *packet);
/* Frames that so many packets take, rounded up. */
uint32_t uw_cut_frames(const struct uw_cut_rules *rules, uint32_t packets);

#endif
