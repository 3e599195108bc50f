/* SPDX-License-Identifier: GPL-2.0-only */
/* Circuit breaker and token bucket: what opens and closes, what tokens cost, and that no moment runs away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "safety.h"

static const struct uw_breaker_limits limits = { .threshold = 3, .cooldown = 100 };

static void open_it(struct uw_breaker *b, uint64_t now)
{
	uw_breaker_init(b);
	assert_false(uw_breaker_note(b, &limits, UW_ST_PROTOCOL, now));
	assert_false(uw_breaker_note(b, &limits, UW_ST_HOST, now));
	assert_true(uw_breaker_note(b, &limits, UW_ST_PROTOCOL, now));
	assert_int_equal(b->state, UW_BREAKER_OPEN);
}

/* Only hard errors count, in a row; any other outcome begins anew. */
static void test_what_counts(void **state)
{
	struct uw_breaker b;
	uint32_t status;
	int i;

	(void)state;
	for (status = 0; status < UW_ST_COUNT; status++) {
		bool hard = status == UW_ST_PROTOCOL || status == UW_ST_HOST;

		uw_breaker_init(&b);
		for (i = 0; i < 100; i++)
			(void)uw_breaker_note(&b, &limits, status, 0);
		assert_int_equal(b.state, hard ? UW_BREAKER_OPEN : UW_BREAKER_CLOSED);
		uw_breaker_init(&b);
		(void)uw_breaker_note(&b, &limits, UW_ST_HOST, 0);
		(void)uw_breaker_note(&b, &limits, UW_ST_HOST, 0);
		(void)uw_breaker_note(&b, &limits, status, 0);
		assert_int_equal(uw_breaker_note(&b, &limits, UW_ST_HOST, 0), false);
		assert_int_equal(b.state, hard ? UW_BREAKER_OPEN : UW_BREAKER_CLOSED);
	}
}

static void test_threshold_0_never_opens(void **state)
{
	const struct uw_breaker_limits never = { .threshold = 0, .cooldown = 1 };
	struct uw_breaker b;
	int i;

	(void)state;
	uw_breaker_init(&b);
	for (i = 0; i < 1000; i++)
		assert_false(uw_breaker_note(&b, &never, UW_ST_HOST, 0));
	assert_true(uw_breaker_admit(&b, 0));
}

static void test_half_open_admits_one(void **state)
{
	struct uw_breaker b;

	(void)state;
	open_it(&b, 1000);
	assert_false(uw_breaker_admit(&b, 1000));
	assert_false(uw_breaker_admit(&b, 1099));
	assert_true(uw_breaker_admit(&b, 1100));
	assert_false(uw_breaker_admit(&b, 1100));
	assert_false(uw_breaker_admit(&b, 99999));
	assert_true(uw_breaker_note(&b, &limits, UW_ST_PROTOCOL, 2000)); /* one is enough now */
	assert_false(uw_breaker_admit(&b, 2099));
	assert_true(uw_breaker_admit(&b, 2100));
	assert_false(uw_breaker_note(&b, &limits, UW_ST_STALL, 2200)); /* an answer */
	assert_int_equal(b.state, UW_BREAKER_CLOSED);
	assert_true(uw_breaker_admit(&b, 2200));
	assert_true(uw_breaker_admit(&b, 2200));
}

/* The probe may end before it reaches the device: somebody else tries, and is one alone again. */
static void test_a_probe_forgone(void **state)
{
	struct uw_breaker b;

	(void)state;
	open_it(&b, 0);
	assert_true(uw_breaker_admit(&b, 100));
	uw_breaker_forgo(&b);
	assert_true(uw_breaker_admit(&b, 100));
	assert_false(uw_breaker_admit(&b, 100));
}

/* What was under way when the breaker opened says nothing of the device now. */
static void test_late_outcomes(void **state)
{
	struct uw_breaker b;

	(void)state;
	open_it(&b, 0);
	assert_false(uw_breaker_note(&b, &limits, UW_ST_OK, 50));
	assert_int_equal(b.state, UW_BREAKER_OPEN);
	assert_false(uw_breaker_note(&b, &limits, UW_ST_HOST, 60));
	assert_true(uw_breaker_admit(&b, 100)); /* late errors do not prolong it */
}

static void test_bucket(void **state)
{
	const struct uw_bucket_limits l = { .rate = 1000, .burst = 5 };
	struct uw_bucket b;
	uint64_t now = 5 * UW_MS;
	int i;

	(void)state;
	uw_bucket_init(&b, &l, now);
	for (i = 0; i < 5; i++)
		assert_true(uw_bucket_take(&b, &l, now));
	assert_false(uw_bucket_take(&b, &l, now));
	assert_false(uw_bucket_take(&b, &l, now + UW_MS - 1));
	assert_true(uw_bucket_take(&b, &l, now + UW_MS));
	assert_false(uw_bucket_take(&b, &l, now + UW_MS));
	now += 3600 * 1000 * UW_MS; /* an hour fills it, and no more */
	for (i = 0; i < 5; i++)
		assert_true(uw_bucket_take(&b, &l, now));
	assert_false(uw_bucket_take(&b, &l, now));
}

static void test_no_rate_is_no_limit(void **state)
{
	const struct uw_bucket_limits l = { .rate = 0, .burst = 0 };
	struct uw_bucket b;
	int i;

	(void)state;
	uw_bucket_init(&b, &l, 0);
	for (i = 0; i < 100; i++)
		assert_true(uw_bucket_take(&b, &l, 0));
	assert_int_equal(uw_bucket_when(&b, &l, 77), 77);
}

/* At the moment named there is a token, soon after it fell due, and asking again does not move it. */
static void test_when(void **state)
{
	static const uint32_t rates[] = { 1, 2, 3, 999, 1000, 4747, 100000, 2000000, 999999999, 0xffffffff };
	struct uw_bucket_limits l = { .burst = 3 };
	struct uw_bucket b;
	uint64_t when, start;
	uint32_t i, n;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(rates); i++) {
		l.rate = rates[i];
		start = 123456789;
		uw_bucket_init(&b, &l, start);
		for (n = 0; n < 2000; n++) {
			while (uw_bucket_take(&b, &l, start))
				;
			when = uw_bucket_when(&b, &l, start);
			assert_true(when > start);
			assert_true(when <= start + 1000000000ull / l.rate + 4096);
			assert_int_equal(uw_bucket_when(&b, &l, start + (when - start) / 2), when);
			assert_int_equal(uw_bucket_when(&b, &l, when + 5), when + 5);
			assert_true(uw_bucket_take(&b, &l, when));
			start = when;
		}
	}
}

/* The largest numbers there are neither overflow nor wedge it. */
static void test_extremes(void **state)
{
	const struct uw_bucket_limits l = { .rate = 0xffffffff, .burst = 0xffffffff };
	struct uw_bucket b;
	int i;

	(void)state;
	uw_bucket_init(&b, &l, 0);
	for (i = 0; i < 1000; i++)
		assert_true(uw_bucket_take(&b, &l, (uint64_t)i * 0xffffffffffffull));
	assert_true(b.tokens <= 0xffffffffull * 1000000000ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_counts),
		cmocka_unit_test(test_threshold_0_never_opens),
		cmocka_unit_test(test_half_open_admits_one),
		cmocka_unit_test(test_a_probe_forgone),
		cmocka_unit_test(test_late_outcomes),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_no_rate_is_no_limit),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
