/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages of the region a guest may write, as ranges of BAR 2. Pure logic. */
#ifndef UW_MMIO_H
#define UW_MMIO_H

#include "layout.h"

#define UW_MMIO_RANGES 5u

struct uw_mmio_range {
	uint64_t page, pages;      /* of BAR and section alike */
	bool writable;
};

/* Covers the whole region without a gap, in ascending order; how many ranges. */
uint32_t uw_mmio_ranges(const struct uw_layout *layout, struct uw_mmio_range ranges[UW_MMIO_RANGES]);

#endif
