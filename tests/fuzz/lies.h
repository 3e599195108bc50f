/* SPDX-License-Identifier: GPL-2.0-only */
/* What a hostile host writes, and what each guest must make of it: rows for one field, rules for whole ranges. */
#ifndef UW_LIES_H
#define UW_LIES_H

#include "layout.h"

enum lie_base {
	LIE_COMPLETE,          /* of a bulk IN transfer of 512 bytes */
	LIE_ISOCH,             /* of an isochronous one: 4 packets of 128 bytes */
	LIE_REQUEST,           /* of a port request */
	LIE_EVENT,
	LIE_STATS,             /* that have been asked for, from 0 */
	LIE_BYE,               /* that nobody asked for */
	LIE_WELCOME,           /* in answer to hello */
	LIE_BASES
};

enum reaction {
	ENDS,                  /* the transfer ends with this status and number of bytes */
	TAKES,                 /* the message counts, the session goes on */
	NOTHING,               /* looks like an empty slot */
	ASKS,                  /* asks for a new epoch; no transfer ends before one comes */
	REFUSED,               /* waits for another host */
};

struct lie {
	uint8_t base, greet;   /* greet: instead of the welcome, before the session runs */
	uint8_t reaction;
	uint8_t at, bytes;     /* of the slot: value is written there */
	uint8_t adds;          /* value is added to what is right */
	uint32_t value;
	uint32_t status, moved; /* ENDS */
};

#define LIE_AT(member) ((uint8_t)offsetof(struct uw_slot, member))
#define COMPLETE(field, bytes, value) LIE_AT(u.complete.field), bytes, 0, value

static const struct lie lie_rows[] = {
	{ LIE_COMPLETE, 0, ENDS, COMPLETE(actual, 4, 0), 0, 0 },
	{ LIE_COMPLETE, 0, ENDS, COMPLETE(actual, 4, 1), 0, 1 },
	{ LIE_COMPLETE, 0, ENDS, COMPLETE(actual, 4, 511), 0, 511 },
	{ LIE_COMPLETE, 0, ENDS, COMPLETE(actual, 4, 512), 0, 512 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(actual, 4, 513), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(actual, 4, 65536), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(actual, 4, 0x80000000), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(actual, 4, 0x80000200), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(actual, 4, 0xffffffff), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(errors, 4, 1), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(errors, 4, 0xffffffff), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 2, UW_ST_INVALID), 0, 0 }, /* and no reason */
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 2, 13), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 2, 0x7fff), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 2, 0x8000), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 2, 0xffff), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(why, 2, 1), 0, 0 }, /* and status OK */
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(why, 2, 17), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(why, 2, 0xffff), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 4, UW_ST_INVALID | 18u << 16), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 4, UW_ST_INVALID | 0xffffu << 16), 0, 0 },
	{ LIE_COMPLETE, 0, ASKS, COMPLETE(status, 4, UW_ST_STALL | 4u << 16), 0, 0 },
	{ LIE_ISOCH, 0, ENDS, COMPLETE(errors, 4, 0), 0, 512 },
	{ LIE_ISOCH, 0, ENDS, COMPLETE(errors, 4, 4), 0, 512 },
	{ LIE_ISOCH, 0, ASKS, COMPLETE(errors, 4, 5), 0, 0 },
	{ LIE_ISOCH, 0, ASKS, COMPLETE(errors, 4, 0x80000000), 0, 0 },
	{ LIE_ISOCH, 0, ASKS, COMPLETE(actual, 4, 513), 0, 0 },
	{ LIE_REQUEST, 0, TAKES, COMPLETE(actual, 4, 0), 0, 0 },
	{ LIE_REQUEST, 0, ASKS, COMPLETE(actual, 4, 1), 0, 0 }, /* streams, for a reset */
	{ LIE_REQUEST, 0, ASKS, COMPLETE(actual, 4, 0xffffffff), 0, 0 },
	{ LIE_EVENT, 0, TAKES, LIE_AT(u.event.speed), 1, 0, UW_SPEED_NONE, 0, 0 },
	{ LIE_EVENT, 0, TAKES, LIE_AT(u.event.speed), 1, 0, UW_SPEED_LOW, 0, 0 },
	{ LIE_EVENT, 0, TAKES, LIE_AT(u.event.speed), 1, 0, UW_SPEED_FULL, 0, 0 },
	{ LIE_EVENT, 0, ASKS, LIE_AT(u.event.speed), 1, 0, UW_SPEED_SUPER, 0, 0 },
	{ LIE_EVENT, 0, ASKS, LIE_AT(u.event.port), 1, 0, 16, 0, 0 }, /* high speed on a USB 3 port */
	{ LIE_EVENT, 0, TAKES, LIE_AT(u.event.port), 2, 0, 16 | UW_SPEED_SUPER << 8, 0, 0 },
	{ LIE_EVENT, 0, TAKES, LIE_AT(u.event.port), 2, 0, 30 | UW_SPEED_NONE << 8, 0, 0 },
	{ LIE_EVENT, 0, TAKES, LIE_AT(u.event.seq), 4, 0, 0, 0, 0 },
	{ LIE_EVENT, 0, TAKES, LIE_AT(u.event.seq), 4, 0, 0xffffffff, 0, 0 },
	{ LIE_STATS, 0, TAKES, LIE_AT(u.stats.count), 2, 0, 0, 0, 0 },
	{ LIE_STATS, 0, TAKES, LIE_AT(u.stats.count), 2, 0, 5, 0, 0 },
	{ LIE_STATS, 0, ASKS, LIE_AT(u.stats.count), 2, 0, 6, 0, 0 },
	{ LIE_STATS, 0, ASKS, LIE_AT(u.stats.count), 2, 0, 0x8000, 0, 0 },
	{ LIE_STATS, 0, ASKS, LIE_AT(u.stats.count), 2, 0, 0xffff, 0, 0 },
	{ LIE_STATS, 0, ASKS, LIE_AT(u.stats.first), 2, 0, 1, 0, 0 },
	{ LIE_STATS, 0, ASKS, LIE_AT(u.stats.first), 2, 0, 0xffff, 0, 0 },
	{ LIE_STATS, 0, TAKES, LIE_AT(u.stats.total), 2, 0, 0, 0, 0 },
	{ LIE_STATS, 0, TAKES, LIE_AT(u.stats.total), 2, 0, 0xffff, 0, 0 },
	{ LIE_BYE, 0, ASKS, 0, 0, 0, 0, 0, 0 },
	{ LIE_WELCOME, 0, ASKS, 0, 0, 0, 0, 0, 0 }, /* a second one */
	{ LIE_COMPLETE, 1, ASKS, 0, 0, 0, 0, 0, 0 },
	{ LIE_EVENT, 1, ASKS, 0, 0, 0, 0, 0, 0 },
	{ LIE_STATS, 1, ASKS, 0, 0, 0, 0, 0, 0 },
	{ LIE_BYE, 1, ASKS, 0, 0, 0, 0, 0, 0 },
	{ LIE_WELCOME, 1, TAKES, 0, 0, 0, 0, 0, 0 },
	{ LIE_WELCOME, 1, REFUSED, LIE_AT(u.welcome.version), 2, 0, 0, 0, 0 },
	{ LIE_WELCOME, 1, REFUSED, LIE_AT(u.welcome.version), 2, 0, 2, 0, 0 },
	{ LIE_WELCOME, 1, REFUSED, LIE_AT(u.welcome.version), 2, 0, 0xffff, 0, 0 },
	{ LIE_WELCOME, 1, REFUSED, LIE_AT(u.welcome.status), 2, 0, UW_ST_UNSUPPORTED, 0, 0 },
	{ LIE_WELCOME, 1, REFUSED, LIE_AT(u.welcome.status), 2, 0, UW_ST_HOST, 0, 0 },
	{ LIE_WELCOME, 1, ASKS, LIE_AT(u.welcome.status), 2, 0, 13, 0, 0 },
	{ LIE_WELCOME, 1, ASKS, LIE_AT(u.welcome.status), 2, 0, 0xffff, 0, 0 },
};

#endif
