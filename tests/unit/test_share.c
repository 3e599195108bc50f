/* SPDX-License-Identifier: GPL-2.0-only */
/* Shares of the transfer table: nobody starves, and a subset of what one side admits the other always admits too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "share.h"

#define PORTS 4u
#define SHARE 3u

static struct uw_layout layout(uint32_t transfers)
{
	struct uw_layout l = { .transfers = transfers, .share = SHARE, .usb2_ports = 3, .usb3_ports = 1, .isoch_max = 2 };

	return l;
}

static uint32_t take_all(struct uw_shares *s, uint8_t port, enum uw_share_kind kind)
{
	uint32_t n = 0;

	while (uw_share_get(s, port, false, kind))
		n++;
	return n;
}

/* One port takes all it can get; every other still has its share, endpoint 0 and a request. */
static void test_a_greedy_port(void **state)
{
	struct uw_layout l = layout(32);
	uint8_t greedy, port;
	struct uw_shares s;

	(void)state;
	for (greedy = 1; greedy <= PORTS; greedy++) {
		uw_shares_init(&s, &l);
		assert_int_equal(s.common, 32 - PORTS * (SHARE + 2));
		assert_int_equal(take_all(&s, greedy, UW_SHARE_TRANSFER), SHARE + s.common);
		for (port = 1; port <= PORTS; port++) {
			assert_int_equal(take_all(&s, port, UW_SHARE_TRANSFER), port == greedy ? 0 : SHARE);
			assert_true(uw_share_get(&s, port, false, UW_SHARE_CONTROL));
			assert_false(uw_share_get(&s, port, false, UW_SHARE_CONTROL));
			assert_true(uw_share_get(&s, port, false, UW_SHARE_REQUEST));
			assert_false(uw_share_get(&s, port, false, UW_SHARE_REQUEST));
		}
	}
}

/* Control beyond the first costs like any transfer. */
static void test_control_is_not_without_limit(void **state)
{
	struct uw_layout l = layout(32);
	struct uw_shares s;

	(void)state;
	uw_shares_init(&s, &l);
	assert_int_equal(take_all(&s, 2, UW_SHARE_CONTROL), 1 + SHARE + s.common);
	assert_int_equal(take_all(&s, 2, UW_SHARE_TRANSFER), 0);
	uw_share_put(&s, 2, false, UW_SHARE_CONTROL);
	assert_int_equal(take_all(&s, 2, UW_SHARE_TRANSFER), 1);
}

static void test_isochronous_has_a_limit_of_its_own(void **state)
{
	struct uw_layout l = layout(32);
	struct uw_shares s;

	(void)state;
	uw_shares_init(&s, &l);
	assert_true(uw_share_get(&s, 1, true, UW_SHARE_TRANSFER));
	assert_true(uw_share_get(&s, 4, true, UW_SHARE_TRANSFER));
	assert_false(uw_share_get(&s, 2, true, UW_SHARE_TRANSFER));
	assert_true(uw_share_get(&s, 2, false, UW_SHARE_TRANSFER));
	uw_share_put(&s, 1, true, UW_SHARE_TRANSFER);
	assert_true(uw_share_get(&s, 2, true, UW_SHARE_TRANSFER));
}

/* The smallest table there may be: shares and nothing common. */
static void test_nothing_in_common(void **state)
{
	struct uw_layout l = layout(PORTS * (SHARE + 2));
	struct uw_shares s;
	uint8_t port;

	(void)state;
	uw_shares_init(&s, &l);
	assert_int_equal(s.common, 0);
	for (port = 1; port <= PORTS; port++) {
		assert_int_equal(take_all(&s, port, UW_SHARE_TRANSFER), SHARE);
		assert_int_equal(take_all(&s, port, UW_SHARE_CONTROL), 1);
	}
}

struct taken {
	bool guest, host;
	uint8_t port;
	bool isoch;
	enum uw_share_kind kind;
};

/* The host ends each transfer before the guest learns of it, so it holds a subset, and must never refuse. */
static void test_the_host_never_refuses_what_the_guest_admitted(void **state)
{
	struct uw_layout l = layout(32);
	struct uw_shares guest, host;
	struct taken t[64] = { 0 };
	uint32_t i;
	struct taken *x;

	(void)state;
	uw_shares_init(&guest, &l);
	uw_shares_init(&host, &l);
	srand(1);
	for (i = 0; i < 200000; i++) {
		x = &t[rand() % 64];
		if (x->host) {
			uw_share_put(&host, x->port, x->isoch, x->kind);
			x->host = false;
		} else if (x->guest) {
			uw_share_put(&guest, x->port, x->isoch, x->kind);
			x->guest = false;
		} else {
			x->port = (uint8_t)(1 + rand() % PORTS);
			x->kind = (enum uw_share_kind)(rand() % 3);
			x->isoch = x->kind == UW_SHARE_TRANSFER && rand() % 8 == 0;
			x->guest = uw_share_get(&guest, x->port, x->isoch, x->kind);
			if (x->guest)
				assert_true(uw_share_get(&host, x->port, x->isoch, x->kind));
			x->host = x->guest;
		}
	}
	for (i = 0; i < 64; i++) {
		if (t[i].guest)
			uw_share_put(&guest, t[i].port, t[i].isoch, t[i].kind);
	}
	assert_int_equal(guest.common_used, 0);
	assert_int_equal(guest.isoch, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_greedy_port),
		cmocka_unit_test(test_control_is_not_without_limit),
		cmocka_unit_test(test_isochronous_has_a_limit_of_its_own),
		cmocka_unit_test(test_nothing_in_common),
		cmocka_unit_test(test_the_host_never_refuses_what_the_guest_admitted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
