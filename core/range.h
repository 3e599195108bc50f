/* SPDX-License-Identifier: GPL-2.0-only */
/* Ranges of the data part, handed out in granules by a bitmap. The caller serialises. */
#ifndef UW_RANGE_H
#define UW_RANGE_H

#include "base.h"

struct uw_ranges {
	uint64_t *taken;       /* one bit per granule */
	uint32_t granules;
	uint32_t granule;      /* bytes, a power of two */
	uint32_t free;         /* granules */
	uint32_t in_use;       /* ranges */
};

/* Words of 64 bits that the bitmap needs. */
static inline uint32_t uw_ranges_words(uint32_t bytes, uint32_t granule)
{
	return (bytes / granule + 63) / 64;
}

void uw_ranges_init(struct uw_ranges *r, uint64_t *bitmap, uint32_t bytes, uint32_t granule);

/*
 * A range of at least bytes, as an offset from the start of the ranges; false when there is none. Ranges up to
 * UW_RANGE_SMALL come from the top and the others from the bottom, so that small ones held for long by idle transfers
 * do not cut the space to pieces.
 */
#define UW_RANGE_SMALL 4096u
UW_MUST_CHECK bool uw_range_get(struct uw_ranges *r, uint32_t bytes, uint32_t *at);
void uw_range_put(struct uw_ranges *r, uint32_t at, uint32_t bytes);

static inline uint32_t uw_range_granules(const struct uw_ranges *r, uint32_t bytes)
{
	return (bytes + r->granule - 1) / r->granule;
}

#endif
