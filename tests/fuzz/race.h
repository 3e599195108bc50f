/* SPDX-License-Identifier: GPL-2.0-only */
/* Double fetches: a second thread flips one word between two values while the host reads it. */
#ifndef UW_RACE_H
#define UW_RACE_H

#include "player.h"

enum race_where {
	RACE_SLOT,             /* a word of the submission, published once */
	RACE_DATA,             /* a word of data */
	RACE_PAGE,             /* a word of the guest page, added to the consumed position */
	RACE_LAP,              /* the submission's tag, and what an empty slot has there */
};

struct race {
	const char *name;
	uint8_t where, isoch;
	uint32_t at;           /* from the start of the slot, of data, of the guest page */
	uint32_t value[2];
	/* For each value: the answer, or that none comes, or a new epoch. Either must hold, as if there had been but one. */
	struct { uint8_t silent, epoch; uint16_t status, why; uint32_t id, actual; } legal[2];
};

const struct race *race_table(uint32_t *count);
/* Many rounds of it; adds up which value they saw. False: an answer that is neither. */
UW_MUST_CHECK bool race_run(struct player *p, const struct race *r, uint32_t saw[2]);
/* Once, with the word flipped after each access of the host, beginning with one value or the other. Adds up accesses. */
UW_MUST_CHECK bool race_step(struct player *p, const struct race *r, uint32_t first, uint32_t *accesses);

#endif
