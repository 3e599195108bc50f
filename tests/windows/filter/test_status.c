/* SPDX-License-Identifier: GPL-2.0-only */
/* Every value that Windows may say, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "status.h"

#include <cmocka.h>

struct expected {
	uint32_t windows, status;
};

/* Written out again, value by value, so that a slip in the driver's table is seen. */
static const struct expected usbd[] = {
	{ 0x00000000, UW_ST_OK }, { 0xc0000001, UW_ST_PROTOCOL }, { 0xc0000002, UW_ST_PROTOCOL },
	{ 0xc0000003, UW_ST_PROTOCOL }, { 0xc0000004, UW_ST_STALL }, { 0xc0000005, UW_ST_PROTOCOL },
	{ 0xc0000006, UW_ST_PROTOCOL }, { 0xc0000007, UW_ST_PROTOCOL }, { 0xc0000008, UW_ST_BABBLE },
	{ 0xc0000009, UW_ST_OK }, { 0xc000000c, UW_ST_HOST }, { 0xc000000d, UW_ST_HOST }, { 0xc000000f, UW_ST_LATE },
	{ 0xc0000010, UW_ST_HOST }, { 0xc0000011, UW_ST_PROTOCOL }, { 0xc0000012, UW_ST_BABBLE },
	{ 0xc0000013, UW_ST_HOST }, { 0xc0000014, UW_ST_PROTOCOL }, { 0xc0000015, UW_ST_NO_ENDPOINT },
	{ 0xc0000016, UW_ST_NO_ENDPOINT }, { 0xc0000030, UW_ST_STALL }, { 0x80000200, UW_ST_UNSUPPORTED },
	{ 0x80000300, UW_ST_UNSUPPORTED }, { 0x80000400, UW_ST_HOST }, { 0x80000600, UW_ST_NO_ENDPOINT },
	{ 0x80000700, UW_ST_UNSUPPORTED }, { 0x80000800, UW_ST_HOST }, { 0x80000900, UW_ST_OK },
	{ 0xc0000a00, UW_ST_LATE }, { 0xc0000b00, UW_ST_PROTOCOL }, { 0xc0000c00, UW_ST_HOST },
	{ 0xc0000d00, UW_ST_HOST },
	{ 0xc0000e00, UW_ST_UNSUPPORTED }, { 0xc0000f00, UW_ST_UNSUPPORTED }, { 0xc0001000, UW_ST_HOST },
	{ 0xc0002000, UW_ST_STALL }, { 0xc0003000, UW_ST_HOST }, { 0xc0004000, UW_ST_NO_ENDPOINT },
	{ 0xc0005000, UW_ST_HOST }, { 0xc0006000, UW_ST_PROTOCOL }, { 0xc0007000, UW_ST_NO_DEVICE },
	{ 0xc0008000, UW_ST_HOST }, { 0xc0009000, UW_ST_HOST }, { 0xc0010000, UW_ST_CANCELLED },
	{ 0xc0020000, UW_ST_LATE }, { 0xc0030000, UW_ST_PROTOCOL }, { 0xc0040000, UW_ST_LATE },
	{ 0xc0050000, UW_ST_LATE },
	{ 0xc0100000, UW_ST_UNSUPPORTED }, { 0xc0100001, UW_ST_UNSUPPORTED }, { 0xc0100002, UW_ST_UNSUPPORTED },
	{ 0xc0100003, UW_ST_UNSUPPORTED }, { 0xc0100004, UW_ST_UNSUPPORTED }, { 0xc0100005, UW_ST_UNSUPPORTED },
	{ 0xc0100006, UW_ST_UNSUPPORTED }, { 0xc0100007, UW_ST_UNSUPPORTED }, { 0xc0100008, UW_ST_UNSUPPORTED },
	{ 0xc0100009, UW_ST_UNSUPPORTED },
};

static const struct expected nt[] = {
	{ 0x00000000, UW_ST_OK }, { 0x00000103, UW_ST_OK }, { 0x40000000, UW_ST_OK }, { 0x80000011, UW_ST_HOST },
	{ 0xc0000001, UW_ST_PROTOCOL }, { 0xc000000d, UW_ST_UNSUPPORTED }, { 0xc000000e, UW_ST_NO_DEVICE },
	{ 0xc0000010, UW_ST_UNSUPPORTED }, { 0xc0000056, UW_ST_NO_DEVICE }, { 0xc000009a, UW_ST_HOST },
	{ 0xc000009d, UW_ST_NO_DEVICE }, { 0xc00000a3, UW_ST_HOST }, { 0xc00000b5, UW_ST_PROTOCOL },
	{ 0xc00000bb, UW_ST_UNSUPPORTED }, { 0xc00000c0, UW_ST_NO_DEVICE }, { 0xc0000120, UW_ST_CANCELLED },
	{ 0xc000009c, UW_ST_PROTOCOL }, { 0xc0000186, UW_ST_PROTOCOL }, { 0xc00002b6, UW_ST_NO_DEVICE },
	{ 0x8000000f, UW_ST_CANCELLED }, { 0xc00002d3, UW_ST_CANCELLED }, { 0xc0000005, UW_ST_HOST },
};

static uint32_t expected_of(uint32_t value)
{
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(usbd); i++)
		if (usbd[i].windows == value)
			return usbd[i].status;
	return UW_ST_HOST;
}

static void usbd_values(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(usbd); i++)
		if (uw_usbd_status(usbd[i].windows) != usbd[i].status)
			fail_msg("%08x became %u", usbd[i].windows, uw_usbd_status(usbd[i].windows));
}

/* All that could be a USBD_STATUS: the listed ones and no other have a meaning. */
static void usbd_unknown(void **state)
{
	uint32_t high, low, value;

	(void)state;
	for (high = 0; high < 0x400; high++)
		for (low = 0; low < 0x1000; low++) {
			value = (high & 0x300) << 22 | (high & 0xff) << 16 | low << (low & 0xf00 ? 0 : 8);
			assert_int_equal(uw_usbd_status(value), expected_of(value));
		}
}

static void every_row_is_tested(void **state)
{
#define ONE(name, value, status) + 1
	(void)state;
	assert_int_equal(UW_COUNT_OF(usbd), 0 UW_USBD_STATUSES(ONE));
#define LISTED(name, value, status) assert_int_equal(expected_of(value), UW_ST_##status);
	UW_USBD_STATUSES(LISTED)
}

static void nt_values(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(nt); i++)
		if (uw_nt_status(nt[i].windows) != nt[i].status)
			fail_msg("%08x became %u", nt[i].windows, uw_nt_status(nt[i].windows));
}

/* Each row of the driver's table is among those above. */
static void every_nt_row_is_tested(void **state)
{
#define FOUND(name, value, status) \
	{ \
		uint32_t i = 0; \
		while (i < UW_COUNT_OF(nt) && nt[i].windows != (value)) \
			i++; \
		assert_true(i < UW_COUNT_OF(nt)); \
	}
	(void)state;
	UW_NT_STATUSES(FOUND)
}

static void both_together(void **state)
{
	static const struct {
		uint32_t usbd, nt, status;
	} row[] = {
		{ 0, 0, UW_ST_OK },
		{ 0xc0000004, 0xc0000001, UW_ST_STALL },         /* the URB knows more */
		{ 0, 0xc0000120, UW_ST_CANCELLED },              /* cancelled before anybody looked at the URB */
		{ 0xc0010000, 0xc0000120, UW_ST_CANCELLED },
		{ 0xc0000011, 0xc000009d, UW_ST_NO_DEVICE },     /* a transaction error because it is gone */
		{ 0, 0xc000000e, UW_ST_NO_DEVICE },
		{ 0x80000900, 0, UW_ST_OK },
		{ 0, 0xc000009a, UW_ST_HOST },
		{ 0xc0000077, 0xc0000001, UW_ST_HOST },          /* nobody knows what that is */
		{ 0xc0000004, 0, UW_ST_STALL },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(row); i++)
		if (uw_urb_status(row[i].usbd, row[i].nt) != row[i].status)
			fail_msg("%08x, %08x became %u", row[i].usbd, row[i].nt, uw_urb_status(row[i].usbd, row[i].nt));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usbd_values), cmocka_unit_test(usbd_unknown), cmocka_unit_test(every_row_is_tested),
		cmocka_unit_test(nt_values), cmocka_unit_test(every_nt_row_is_tested), cmocka_unit_test(both_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
