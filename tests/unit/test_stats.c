/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters' texts and latency histograms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats.h"

static void test_every_counter_has_its_own_text(void **state)
{
	uint32_t i, j;

	(void)state;
	for (i = 0; i < UW_STAT_COUNT; i++) {
		assert_non_null(uw_counter_text[i].name);
		assert_true(strlen(uw_counter_text[i].unit) && strlen(uw_counter_text[i].meaning));
		for (j = i + 1; j < UW_STAT_COUNT; j++) {
			assert_string_not_equal(uw_counter_text[i].name, uw_counter_text[j].name);
			assert_string_not_equal(uw_counter_text[i].meaning, uw_counter_text[j].meaning);
		}
	}
	assert_string_equal(uw_counter_text[UW_STAT_bytes_moved].name, "bytes_moved");
}

static void test_counting(void **state)
{
	struct uw_counters c = { 0 };

	(void)state;
	UW_COUNT(&c, lies, 2);
	UW_COUNT(&c, lies, 3);
	assert_int_equal(c.value[UW_STAT_lies], 5);
	assert_int_equal(c.value[UW_STAT_bad_tags], 0);
}

/* A single value comes back within 25 %, never too small. */
static void test_one_value(void **state)
{
	struct uw_histogram h;
	uint64_t ns, at;
	uint32_t shift, add;

	(void)state;
	for (shift = 0; shift < 41; shift++)
		for (add = 0; add < 8; add++) {
			ns = (1ull << shift) + ((uint64_t)add << shift) / 8;
			memset(&h, 0, sizeof(h));
			uw_histogram_add(&h, ns);
			at = uw_histogram_at(&h, 500);
			assert_int_equal(uw_histogram_total(&h), 1);
			assert_true(at >= ns);
			assert_true(at <= ns + ns / 4);
		}
}

static void test_small_and_huge_values(void **state)
{
	struct uw_histogram h;
	uint64_t ns;

	(void)state;
	for (ns = 0; ns < 8; ns++) {
		memset(&h, 0, sizeof(h));
		uw_histogram_add(&h, ns);
		assert_int_equal(uw_histogram_at(&h, 1000), ns);
	}
	memset(&h, 0, sizeof(h));
	uw_histogram_add(&h, ~0ull);
	uw_histogram_add(&h, 1ull << 63);
	assert_int_equal(h.count[UW_BUCKETS - 1], 2);
	assert_true(uw_histogram_at(&h, 999) > 1ull << 40);
}

static void test_permille(void **state)
{
	static const struct {
		uint32_t permille;
		uint64_t least, most;
	} cases[] = {
		{ 0, 0, 125 }, { 100, 100, 125 }, { 500, 500, 625 }, { 900, 900, 1125 }, { 990, 990, 1250 }, { 1000, 1000, 1250 },
	};
	struct uw_histogram h = { 0 };
	uint64_t ns, at;
	uint32_t i;

	(void)state;
	assert_int_equal(uw_histogram_at(&h, 500), 0);
	for (ns = 1; ns <= 1000; ns++)
		uw_histogram_add(&h, ns);
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		at = uw_histogram_at(&h, cases[i].permille);
		assert_in_range(at, cases[i].least, cases[i].most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_counter_has_its_own_text),
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_one_value),
		cmocka_unit_test(test_small_and_huge_values),
		cmocka_unit_test(test_permille),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
