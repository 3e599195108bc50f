/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages of the region a guest may write: all but those that the host alone writes. */
#include "mmio.h"

static void add(struct uw_mmio_range *ranges, uint32_t *count, uint32_t from, uint32_t to, bool writable)
{
	struct uw_mmio_range *last = *count ? &ranges[*count - 1] : NULL;

	if (from == to)
		return;
	if (last && last->writable == writable) {
		last->pages += (to - from) / UW_PAGE;
		return;
	}
	ranges[(*count)++] = (struct uw_mmio_range){ from / UW_PAGE, (to - from) / UW_PAGE, writable };
}

uint32_t uw_mmio_ranges(const struct uw_layout *layout, struct uw_mmio_range ranges[UW_MMIO_RANGES])
{
	uint32_t count = 0;

	add(ranges, &count, 0, layout->guest_page, false);
	add(ranges, &count, layout->guest_page, layout->comp_ring, true);
	add(ranges, &count, layout->comp_ring, layout->data, false);
	add(ranges, &count, layout->data, layout->size, true);
	return count;
}
