/* SPDX-License-Identifier: GPL-2.0-only */
/* Counter texts and latency histograms. */
#include "stats.h"

const struct uw_counter_text uw_counter_text[UW_STAT_COUNT] = {
#define X(name, unit, meaning) { #name, unit, meaning },
	UW_COUNTERS(X)
#undef X
};

static uint32_t log2_floor(uint64_t v)
{
	return 63u - (uint32_t)__builtin_clzll(v);
}

/* Values 0..3 have a bucket each; above, the two bits after the leading one choose among four. */
static uint32_t bucket_of(uint64_t ns)
{
	uint32_t log, at;

	if (ns < 4)
		return (uint32_t)ns;
	log = log2_floor(ns);
	at = (log - 1) * 4 + ((uint32_t)(ns >> (log - 2)) & 3);
	return uw_min(at, UW_BUCKETS - 1);
}

static uint64_t bucket_edge(uint32_t at)
{
	uint32_t log = at / 4 + 1;

	if (at < 4)
		return at;
	return ((4ull + at % 4 + 1) << (log - 2)) - 1;
}

void uw_histogram_add(struct uw_histogram *h, uint64_t ns)
{
	h->count[bucket_of(ns)]++;
}

uint64_t uw_histogram_total(const struct uw_histogram *h)
{
	uint64_t total = 0;
	uint32_t i;

	for (i = 0; i < UW_BUCKETS; i++)
		total += h->count[i];
	return total;
}

uint64_t uw_histogram_at(const struct uw_histogram *h, uint32_t permille)
{
	uint64_t total = uw_histogram_total(h), below = 0;
	uint32_t i;

	if (!total)
		return 0;
	for (i = 0; i < UW_BUCKETS; i++) {
		below += h->count[i];
		/* Multiplying the smaller count keeps this free of a 64-bit division, which 32-bit kernels lack. */
		if (below * 1000 >= total * permille)
			break;
	}
	return bucket_edge(uw_min(i, UW_BUCKETS - 1));
}
