/* SPDX-License-Identifier: GPL-2.0-only */
/* Layouts: defaults of every size, what a guest must refuse, and what survives publication. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "layout.h"

#define SIZE (8u << 20)

static void test_defaults_are_usable(void **state)
{
	struct uw_layout l;
	uint32_t size;

	(void)state;
	for (size = UW_REGION_MIN; size <= UW_REGION_MAX; size *= 2) {
		uw_layout_default(&l, size);
		assert_int_equal(uw_layout_check(&l, size), UW_LAYOUT_OK);
		assert_int_equal(l.data + l.data_size, size);
		assert_true(l.transfer_max >= 512u << 10);
		assert_int_equal(l.transfer_max, size > UW_REGION_MIN ? 1u << 20 : l.transfer_max);
		assert_int_equal(uw_layout_check(&l, size - 1), UW_LAYOUT_SIZE);
	}
}

/* One field out of place at a time. */
#define FIELD(name, value, fault) { offsetof(struct uw_layout, name), sizeof(((struct uw_layout *)0)->name), value, fault }

static void test_faults(void **state)
{
	static const struct {
		size_t offset, bytes;
		uint64_t value;
		enum uw_layout_fault fault;
	} cases[] = {
		FIELD(version_min, 2, UW_LAYOUT_VERSION),
		FIELD(version_max, 0, UW_LAYOUT_VERSION),
		FIELD(version_max, 7, UW_LAYOUT_OK),
		FIELD(size, 0, UW_LAYOUT_SIZE),
		FIELD(size, SIZE + 4096, UW_LAYOUT_SIZE),
		FIELD(size, SIZE * 2, UW_LAYOUT_SIZE),
		FIELD(size, UW_REGION_MIN / 2, UW_LAYOUT_SIZE),
		FIELD(size, UW_REGION_MAX * 2, UW_LAYOUT_SIZE),
		FIELD(sub_slots, 0, UW_LAYOUT_RINGS),
		FIELD(sub_slots, 8, UW_LAYOUT_RINGS),
		FIELD(sub_slots, 255, UW_LAYOUT_RINGS),
		FIELD(sub_slots, 8192, UW_LAYOUT_RINGS),
		FIELD(comp_slots, 256, UW_LAYOUT_RINGS),
		FIELD(comp_slots, 1024, UW_LAYOUT_RINGS),
		FIELD(reserve, 0, UW_LAYOUT_RINGS),
		FIELD(reserve, 129, UW_LAYOUT_RINGS),
		FIELD(reserve, 128, UW_LAYOUT_OK),
		FIELD(guest_page, 0, UW_LAYOUT_PARTS),
		FIELD(guest_page, 2048, UW_LAYOUT_PARTS),
		FIELD(guest_page, UW_PAGE * 2, UW_LAYOUT_PARTS),
		FIELD(sub_ring, UW_PAGE, UW_LAYOUT_PARTS),
		FIELD(sub_ring, UW_PAGE * 3, UW_LAYOUT_PARTS),
		FIELD(comp_ring, UW_PAGE * 2, UW_LAYOUT_PARTS),
		FIELD(comp_ring, UW_PAGE * 5, UW_LAYOUT_PARTS),
		FIELD(comp_ring, 0xfffff000, UW_LAYOUT_PARTS),
		FIELD(data, UW_PAGE * 13, UW_LAYOUT_PARTS),
		FIELD(data, SIZE, UW_LAYOUT_PARTS),
		FIELD(data, 0xfffff000, UW_LAYOUT_PARTS),
		FIELD(data, UW_PAGE * 14 + 64, UW_LAYOUT_PARTS),
		FIELD(data_size, 0, UW_LAYOUT_PARTS),
		FIELD(data_size, SIZE, UW_LAYOUT_PARTS),
		FIELD(data_size, 0xfffff000, UW_LAYOUT_PARTS),
		FIELD(data_size, (4u << 20) + 512, UW_LAYOUT_PARTS),
		FIELD(usb2_ports, 0, UW_LAYOUT_LIMITS),
		FIELD(usb2_ports, UW_USB2_PORTS_MAX + 1, UW_LAYOUT_LIMITS),
		FIELD(usb2_ports, UW_USB2_PORTS_MAX, UW_LAYOUT_OK),
		FIELD(usb3_ports, UW_USB3_PORTS_MAX + 1, UW_LAYOUT_LIMITS),
		FIELD(usb3_ports, 0, UW_LAYOUT_OK),
		FIELD(transfers, 0, UW_LAYOUT_LIMITS),
		FIELD(transfers, 4095, UW_LAYOUT_LIMITS),
		FIELD(transfers, 512, UW_LAYOUT_LIMITS),
		FIELD(transfers, 131072, UW_LAYOUT_LIMITS),
		FIELD(transfers, 65536, UW_LAYOUT_OK),
		FIELD(share, 0, UW_LAYOUT_LIMITS),
		FIELD(share, 65535, UW_LAYOUT_LIMITS),
		FIELD(share, 134, UW_LAYOUT_OK),
		FIELD(share, 135, UW_LAYOUT_LIMITS),
		FIELD(granule, 0, UW_LAYOUT_LIMITS),
		FIELD(granule, 32, UW_LAYOUT_LIMITS),
		FIELD(granule, 96, UW_LAYOUT_LIMITS),
		FIELD(granule, 64, UW_LAYOUT_OK),
		FIELD(granule, 8192, UW_LAYOUT_LIMITS),
		FIELD(transfer_max, 0, UW_LAYOUT_LIMITS),
		FIELD(transfer_max, 32768, UW_LAYOUT_LIMITS),
		FIELD(transfer_max, 65536 + 512, UW_LAYOUT_LIMITS),
		FIELD(transfer_max, 4u << 20, UW_LAYOUT_LIMITS),
		FIELD(transfer_max, 0xfffff000, UW_LAYOUT_LIMITS),
		FIELD(packets_max, UW_PACKETS_MAX + 1, UW_LAYOUT_LIMITS),
		FIELD(packets_max, 0, UW_LAYOUT_LIMITS),
		FIELD(isoch_max, 0, UW_LAYOUT_LIMITS),
		FIELD(features, 0, UW_LAYOUT_LIMITS),
		FIELD(start, 0xffffffff, UW_LAYOUT_OK),
		FIELD(doorbell, 0xffffffff, UW_LAYOUT_OK),
	};
	struct uw_layout l;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		uw_layout_default(&l, SIZE);
		memcpy((char *)&l + cases[i].offset, &cases[i].value, cases[i].bytes); /* little-endian hosts only */
		if (uw_layout_check(&l, SIZE) != cases[i].fault)
			fail_msg("case %u: %s, expected %s", i, uw_layout_fault_text(uw_layout_check(&l, SIZE)),
				 uw_layout_fault_text(cases[i].fault));
	}
}

static void test_publication(void **state)
{
	static union {
		struct uw_host_page page;
		uint8_t bytes[UW_PAGE];
	} p;
	struct uw_layout l, back;
	uint32_t i;

	(void)state;
	uw_layout_default(&l, SIZE);
	l.start = 0xfffffff0;
	l.doorbell = 0x12345678;
	memset(&p, 0, sizeof(p));
	assert_int_equal(uw_layout_read(&back, &p.page), UW_LAYOUT_MAGIC);
	memset(&p, 0xa5, sizeof(p));
	uw_layout_write(&l, &p.page);
	assert_memory_equal(p.bytes, "USBWARP1", 8);
	assert_int_equal(p.page.head.epoch, 0xa5a5a5a5); /* the session's, as are state and the hot line */
	assert_int_equal(p.page.head.state, 0xa5a5a5a5);
	assert_int_equal(p.page.hot.wake, 0xa5a5a5a5);
	for (i = 192; i < UW_PAGE; i++)
		assert_int_equal(p.bytes[i], 0);
	for (i = 88; i < 128; i++)
		assert_int_equal(p.bytes[i], 0);
	assert_int_equal(uw_layout_read(&back, &p.page), UW_LAYOUT_OK);
	assert_memory_equal(&back, &l, sizeof(l)); /* padding too */
	p.bytes[3] ^= 1;
	assert_int_equal(uw_layout_read(&back, &p.page), UW_LAYOUT_MAGIC);
}

static void test_in_data(void **state)
{
	static const struct {
		uint32_t at, length;
		bool in;
	} cases[] = {
		{ 0, 0, true }, { 0, 1000, true }, { 0, 1001, false }, { 1000, 0, true }, { 1001, 0, false }, { 999, 1, true },
		{ 999, 2, false }, { 0xffffffff, 1, false }, { 1, 0xffffffff, false }, { 500, 0xfffffe0c, false },
		{ 0xfffffff0, 0x20, false },
	};
	struct uw_layout l = { .data_size = 1000 };
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++)
		assert_int_equal(uw_layout_in_data(&l, cases[i].at, cases[i].length), cases[i].in);
}

static void test_every_fault_has_a_text(void **state)
{
	int i, j;

	(void)state;
	for (i = UW_LAYOUT_OK; i <= UW_LAYOUT_LIMITS; i++)
		for (j = i + 1; j <= UW_LAYOUT_LIMITS + 1; j++)
			assert_string_not_equal(uw_layout_fault_text((enum uw_layout_fault)i),
						uw_layout_fault_text((enum uw_layout_fault)j));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_usable),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_publication),
		cmocka_unit_test(test_in_data),
		cmocka_unit_test(test_every_fault_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
