/* SPDX-License-Identifier: GPL-2.0-only */
/* First-fit allocation of data ranges from either end of a bitmap. */
#include "range.h"

static bool taken(const struct uw_ranges *r, uint32_t i)
{
	return r->taken[i / 64] >> (i % 64) & 1;
}

/* Sets or clears n bits from first, a word at a time. */
static void mark(struct uw_ranges *r, uint32_t first, uint32_t n, bool set)
{
	uint32_t bit, count;
	uint64_t mask;

	while (n) {
		bit = first % 64;
		count = uw_min(n, 64 - bit);
		mask = (count == 64 ? ~0ull : (1ull << count) - 1) << bit;
		r->taken[first / 64] = set ? r->taken[first / 64] | mask : r->taken[first / 64] & ~mask;
		first += count;
		n -= count;
	}
}

void uw_ranges_init(struct uw_ranges *r, uint64_t *bitmap, uint32_t bytes, uint32_t granule)
{
	r->taken = bitmap;
	r->granule = granule;
	r->granules = r->free = bytes / granule;
	r->in_use = 0;
	uw_zero(bitmap, uw_ranges_words(bytes, granule) * sizeof(*bitmap));
}

static bool find_up(const struct uw_ranges *r, uint32_t n, uint32_t *first)
{
	uint32_t i = 0, run = 0;

	while (i < r->granules) {
		if (!run && i % 64 == 0 && r->taken[i / 64] == ~0ull) {
			i += 64;
			continue;
		}
		run = taken(r, i) ? 0 : run + 1;
		i++;
		if (run == n) {
			*first = i - n;
			return true;
		}
	}
	return false;
}

static bool find_down(const struct uw_ranges *r, uint32_t n, uint32_t *first)
{
	uint32_t i = r->granules, run = 0;

	while (i) {
		if (!run && i % 64 == 0 && r->taken[i / 64 - 1] == ~0ull) {
			i -= 64;
			continue;
		}
		i--;
		run = taken(r, i) ? 0 : run + 1;
		if (run == n) {
			*first = i;
			return true;
		}
	}
	return false;
}

bool uw_range_get(struct uw_ranges *r, uint32_t bytes, uint32_t *at)
{
	uint32_t n = uw_range_granules(r, bytes), first;

	if (!n || n > r->free || !(bytes <= UW_RANGE_SMALL ? find_down(r, n, &first) : find_up(r, n, &first)))
		return false;
	mark(r, first, n, true);
	r->free -= n;
	r->in_use++;
	*at = first * r->granule;
	return true;
}

void uw_range_put(struct uw_ranges *r, uint32_t at, uint32_t bytes)
{
	uint32_t n = uw_range_granules(r, bytes);

	mark(r, at / r->granule, n, false);
	r->free += n;
	r->in_use--;
}
