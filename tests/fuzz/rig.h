/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a hostile guest plays against: a host with its two scripted devices (vectors.h says what they do), and who drives
 * them. Each program is linked with one rig: rig_local.c has the core's host in this process, under a virtual clock;
 * tests/wine/tools/nthostile.c has UsbWarp.sys across a section. The guest's half, player.c, sees the region and what stands
 * here, and none of the insides.
 */
#ifndef UW_RIG_H
#define UW_RIG_H

#include "host.h"

#define RIG_WRITES 64u

struct rig {
	struct uw_layout l;
	uint8_t *view;         /* of the region, as the guest maps it */

	/* Of the host, as of the last rig_run. It is asked, since a hostile guest may write over its page. */
	struct uw_counters counters;
	uint32_t epoch;

	/* Parts of data that devices wrote, as of the last rig_writes, from the start of data. Full: there may be more. */
	uint32_t low[RIG_WRITES], high[RIG_WRITES];
	uint32_t writes;
	uint64_t faults;       /* of the host against its own promises; each is printed */
};

/* A host and its devices in a new region. The size holds; the other two do if the rig can choose them. */
struct rig *rig_open(uint32_t size, uint16_t sub_slots, uint32_t start);
void rig_fault(struct rig *r, const char *what);

/* The guest kicks, and the host works until it has nothing left to do. restless: words that it reads keep changing, so
 * that it is enough when it has looked. */
void rig_run(struct rig *r, bool restless);
uint8_t rig_phase(struct rig *r);  /* enum uw_host_phase */
uint32_t rig_active(struct rig *r); /* transfers with devices, as the host counts them */
uint32_t rig_idle(struct rig *r);  /* transfers that wait with their devices, as those count them */
void rig_writes(struct rig *r);

/* The oldest transfer that waits with its device ends; what the device says may be wrong. */
void rig_complete(struct rig *r, uint32_t status, uint32_t actual);
/* The device leaves port 1, and comes back. */
void rig_detach(struct rig *r);
void rig_attach(struct rig *r);

/* What not every rig can do. */
enum rig_art {
	RIG_CLOCK,             /* let time pass that nobody waits for */
	RIG_TRAP,              /* change a word after each single access of the host */
};

/* Why this rig cannot; NULL: it can. */
const char *rig_lacks(enum rig_art art);
void rig_pass(struct rig *r, uint64_t ms);
/* Until rig_trap_end the word is another one of the two values after each access of the host, beginning with the first.
 * False: not on this machine. The end tells the number of accesses. */
UW_MUST_CHECK bool rig_trap_begin(struct rig *r, uint32_t *word, const uint32_t value[2], uint32_t first);
uint32_t rig_trap_end(struct rig *r);

#endif
