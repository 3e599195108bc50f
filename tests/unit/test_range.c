/* SPDX-License-Identifier: GPL-2.0-only */
/* Data ranges: against a plain array of granules, over many random gets and puts and at every size of bitmap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "range.h"

#define GRANULES 300u

struct held {
	uint32_t at, bytes;
};

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void test_small_from_the_top_large_from_the_bottom(void **state)
{
	uint64_t bitmap[4];
	struct uw_ranges r;
	uint32_t at;

	(void)state;
	uw_ranges_init(&r, bitmap, 256 * 512, 512);
	assert_int_equal(r.granules, 256);
	assert_true(uw_range_get(&r, 1, &at));
	assert_int_equal(at, 255 * 512);
	assert_true(uw_range_get(&r, 4096, &at));
	assert_int_equal(at, 247 * 512);
	assert_true(uw_range_get(&r, 4097, &at));
	assert_int_equal(at, 0);
	assert_true(uw_range_get(&r, 65536, &at));
	assert_int_equal(at, 9 * 512);
	assert_int_equal(r.in_use, 4);
	assert_int_equal(r.free, 256 - 1 - 8 - 9 - 128);
}

static void test_bounds(void **state)
{
	uint64_t bitmap[2];
	struct uw_ranges r;
	uint32_t at, bytes;

	(void)state;
	for (bytes = 64; bytes <= 128 * 64; bytes += 64) {
		uw_ranges_init(&r, bitmap, bytes, 64);
		assert_false(uw_range_get(&r, 0, &at));
		assert_false(uw_range_get(&r, bytes + 1, &at));
		assert_true(uw_range_get(&r, bytes, &at));
		assert_int_equal(at, 0);
		assert_int_equal(r.free, 0);
		assert_false(uw_range_get(&r, 1, &at));
		uw_range_put(&r, at, bytes);
		assert_int_equal(r.free, r.granules);
		assert_int_equal(r.in_use, 0);
	}
}

static void check_get(struct uw_ranges *r, uint8_t *taken, struct held *h, uint32_t bytes)
{
	uint32_t n = (bytes + 63) / 64, run = 0, longest = 0, i;
	bool got = uw_range_get(r, bytes, &h->at);

	for (i = 0; i < r->granules; i++) {
		run = taken[i] ? 0 : run + 1;
		longest = run > longest ? run : longest;
	}
	assert_int_equal(got, longest >= n); /* first fit finds room whenever there is some */
	h->bytes = got ? bytes : 0;
	for (i = 0; got && i < n; i++) {
		assert_int_equal(taken[h->at / 64 + i], 0);
		taken[h->at / 64 + i] = 1;
	}
}

static void test_against_a_plain_array(void **state)
{
	uint64_t bitmap[(GRANULES + 63) / 64];
	uint8_t taken[GRANULES];
	struct held held[64];
	struct uw_ranges r;
	uint32_t seed = 1, granules, i, n;
	struct held *h;

	(void)state;
	for (granules = 1; granules <= GRANULES; granules += 13) {
		memset(taken, 0, sizeof(taken));
		memset(held, 0, sizeof(held));
		uw_ranges_init(&r, bitmap, granules * 64, 64);
		for (i = 0; i < 4000; i++) {
			h = &held[next_random(&seed) % 64];
			if (!h->bytes) {
				n = next_random(&seed) % 8 ? 1 + next_random(&seed) % 700 : 4097 + next_random(&seed) % 9000;
				check_get(&r, taken, h, n);
				continue;
			}
			uw_range_put(&r, h->at, h->bytes);
			memset(taken + h->at / 64, 0, (h->bytes + 63) / 64);
			h->bytes = 0;
		}
		for (i = 0; i < 64; i++)
			if (held[i].bytes)
				uw_range_put(&r, held[i].at, held[i].bytes);
		assert_int_equal(r.free, r.granules);
		assert_int_equal(r.in_use, 0);
		for (i = 0; i < uw_ranges_words(granules * 64, 64); i++)
			assert_int_equal(bitmap[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_from_the_top_large_from_the_bottom),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_against_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
