/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a hostile guest writes, step by step, and what each host must make of it. Nothing here knows which host it is: a
 * harness applies the steps to a region and compares the answers.
 *
 * The host under test serves two well-behaved devices, a high-speed one on port 1 and a super-speed one on the first USB
 * 3 port. Both move every byte on endpoint 0 and endpoint 1 at once, keep what comes to endpoint 2 until it is cancelled,
 * answer STALL on endpoint 3 and NO_ENDPOINT elsewhere. Isochronous endpoints are 1 and 2: packets move in full.
 * Before a vector all of data is zero, and no submission is in flight.
 */
#ifndef UW_VECTORS_H
#define UW_VECTORS_H

#include "layout.h"

#define VEC_STEPS 6u

enum vec_state {
	VEC_OFFER,             /* epoch published, not echoed */
	VEC_GREET,             /* echoed, no hello */
	VEC_RUN,
	VEC_CLOSED,            /* said bye */
	VEC_EPOCH,             /* only as what follows: a new epoch is offered */
};

enum step_kind {
	STEP_SEND,             /* slot becomes the next submission; its tag, epoch and consumed are added to the right ones */
	STEP_WORD,             /* value goes to offset at of the region */
	STEP_CONSUMED,         /* value is added to the consumed position in the guest page */
	STEP_INCARNATION,      /* value is added to the incarnation in the guest page */
	STEP_ECHO,             /* the echo in the guest page becomes the epoch offered plus value */
	STEP_MORE,             /* nothing is written; one answer more */
};

enum expect {
	EXPECT_NOTHING,        /* consumed without a word */
	EXPECT_COUNTED,        /* the same, but counted as rejected */
	EXPECT_UNREAD,         /* looks like an empty slot */
	EXPECT_COMPLETE,
	EXPECT_WELCOME,
	EXPECT_STATS,
	EXPECT_BYE,
	EXPECT_EPOCH,
};

struct vec_step {
	uint8_t kind;          /* enum step_kind */
	uint8_t expect;        /* enum expect */
	uint16_t status, why;  /* of the answer */
	uint32_t id;           /* it carries */
	uint32_t actual;
	uint32_t at, value;
	struct uw_slot slot;
};

struct vec {
	char name[64];
	uint8_t state, after;  /* enum vec_state, before and after */
	uint8_t count;
	struct vec_step step[VEC_STEPS];
};

#define VEC_DATA 0x10000u      /* where the vectors' transfers have their bytes and tables, from the start of data */
#define VEC_TABLE 0x20000u
#define VEC_LENGTH 512u
#define VEC_ID UW_ID(7, 3)

/* Calls each for every vector that suits this layout; returns how many. */
uint32_t vec_each(const struct uw_layout *l, void (*each)(void *context, const struct vec *v), void *context);

/* Well-formed messages, for harnesses. */
void vec_hello(struct uw_slot *s, uint64_t features);
void vec_bulk(struct uw_slot *s, uint32_t id, uint8_t port, uint8_t endpoint, uint32_t data, uint32_t length);
void vec_cancel(struct uw_slot *s, uint32_t id);

#endif
