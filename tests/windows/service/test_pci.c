// SPDX-License-Identifier: GPL-2.0-only
/* The configuration space that a guest sees, and the ranges of its BAR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mmio.h"
#include "pci.h"

#define SIZE (32u << 20)
#define COMMAND 4
#define BAR(n) (0x10 + 4 * (n))
#define MSI 0x40

static struct uw_pci_change write_config(struct uw_pci *p, uint32_t at, uint32_t width, uint32_t value)
{
	struct uw_pci_change change;

	uw_pci_write(p, at, width, value, &change);
	return change;
}

static struct uw_pci fresh(bool wide)
{
	struct uw_pci p;

	uw_pci_init(&p, SIZE, wide);
	return p;
}

static void test_ids(void **state)
{
	struct uw_pci p = fresh(false);

	(void)state;
	assert_int_equal(uw_pci_read(&p, 0, 4), 0x11101af4);
	assert_int_equal(uw_pci_read(&p, 8, 4), 0x05000001);
	assert_int_equal(uw_pci_read(&p, 0x2c, 4), 0x55571af4);
	assert_int_equal(uw_pci_read(&p, 0x0e, 1), 0);   /* one function, no bridge */
	assert_int_equal(uw_pci_read(&p, 0x3d, 1), 0);   /* no INTx pin */
}

/* Every width at every offset says the same bytes, and none reads or writes outside. */
static void test_widths(void **state)
{
	struct uw_pci p = fresh(false);
	uint32_t at, width, i;

	(void)state;
	for (width = 1; width <= 4; width *= 2)
		for (at = 0; at < 300; at++)
			for (i = 0; i < width; i++)
				assert_int_equal((uw_pci_read(&p, at, width) >> (8 * i)) & 0xff, uw_pci_read(&p, at + i, 1));
	assert_int_equal(uw_pci_read(&p, 256, 4), 0xffffffff);
	assert_int_equal(uw_pci_read(&p, 0xffffffff, 4), 0xffffffff);
	write_config(&p, 0xffffffff, 4, 0);
	write_config(&p, 254, 4, 0);
	assert_int_equal(uw_pci_read(&p, 0, 4), 0x11101af4);
}

/* Ones to every bit by any width change only what may be changed. */
static void test_read_only(void **state)
{
	struct uw_pci byte = fresh(true), dword = fresh(true);
	uint32_t at;

	(void)state;
	for (at = 0; at < 256; at++)
		write_config(&byte, at, 1, 0xff);
	for (at = 0; at < 256; at += 4)
		write_config(&dword, at, 4, 0xffffffff);
	assert_memory_equal(byte.config, dword.config, sizeof(byte.config));
	assert_int_equal(uw_pci_read(&dword, 0, 4), 0x11101af4);
	assert_int_equal(uw_pci_read(&dword, COMMAND, 4), 0x00100546);
	assert_int_equal(uw_pci_read(&dword, 0x34, 1), MSI);
	assert_int_equal(uw_pci_read(&dword, MSI, 4), 0x01810005);
	assert_int_equal(uw_pci_read(&dword, 0x30, 4), 0);  /* no ROM */
	assert_int_equal(uw_pci_read(&dword, 0x58, 4), 0);
}

static void size_bars(bool wide, const uint32_t want[6])
{
	struct uw_pci p = fresh(wide);
	uint32_t masks[6], n;

	uw_pci_probe(&p, masks);
	for (n = 0; n < 6; n++) {
		write_config(&p, BAR(n), 4, 0xffffffff);
		assert_int_equal(uw_pci_read(&p, BAR(n), 4), want[n]);
		assert_int_equal(masks[n], want[n]);
		write_config(&p, BAR(n), 4, 0);
		assert_int_equal(uw_pci_read(&p, BAR(n), 4), n == 2 && wide ? 4 : 0);
	}
	write_config(&p, BAR(2), 2, 0xffff);
	write_config(&p, BAR(2) + 2, 1, 0xff);
	write_config(&p, BAR(2) + 3, 1, 0xf8);
	assert_int_equal(uw_pci_read(&p, BAR(2), 4), wide ? 0xf8000004 : 0xf8000000);
}

static void test_bars(void **state)
{
	(void)state;
	size_bars(false, (const uint32_t[6]){ 0xfffff000, 0, 0xfe000000, 0, 0, 0 });
	size_bars(true, (const uint32_t[6]){ 0xfffff000, 0, 0xfe000004, 0xffffffff, 0, 0 });
}

static void test_memory(void **state)
{
	struct uw_pci p = fresh(false);

	(void)state;
	assert_false(uw_pci_memory(&p));
	assert_true(write_config(&p, COMMAND, 1, 2).memory);
	assert_true(uw_pci_memory(&p));
	assert_false(write_config(&p, COMMAND, 2, 6).memory);
	assert_false(write_config(&p, COMMAND + 1, 1, 0).memory);
	assert_true(write_config(&p, COMMAND, 4, 4).memory);
	assert_false(uw_pci_memory(&p));
}

static void program_msi(struct uw_pci *p)
{
	write_config(p, MSI + 4, 4, 0xfee01003);
	write_config(p, MSI + 8, 4, 0x12);
	write_config(p, MSI + 12, 4, 0xdead4321);
	write_config(p, MSI + 2, 2, 1);
	write_config(p, COMMAND, 2, 6);
}

static void test_interrupt(void **state)
{
	struct uw_pci p = fresh(false);
	uint64_t address;
	uint32_t data;

	(void)state;
	assert_false(uw_pci_interrupt(&p, &address, &data));  /* nobody has enabled it */
	program_msi(&p);
	assert_true(p.latched);
	assert_true(uw_pci_interrupt(&p, &address, &data));
	assert_false(p.latched);
	assert_int_equal(address, 0x12fee01000);
	assert_int_equal(data, 0x4321);
}

/* Masked means pending, in the guest's sight; what it unmasks is delivered once. */
static void test_masked(void **state)
{
	struct uw_pci p = fresh(false);
	uint64_t address;
	uint32_t data;

	(void)state;
	program_msi(&p);
	assert_true(write_config(&p, MSI + 16, 4, 0xffffffff).message);
	assert_int_equal(uw_pci_read(&p, MSI + 16, 4), 1);
	assert_int_equal(uw_pci_read(&p, MSI + 20, 4), 0);
	assert_false(uw_pci_interrupt(&p, &address, &data));
	assert_int_equal(uw_pci_read(&p, MSI + 20, 4), 1);
	write_config(&p, MSI + 20, 4, 0);                      /* the guest may not clear it */
	assert_int_equal(uw_pci_read(&p, MSI + 20, 4), 1);
	assert_false(write_config(&p, MSI + 4, 4, 0xfee02000).deliver);
	assert_true(write_config(&p, MSI + 16, 1, 0).deliver);
	assert_int_equal(uw_pci_read(&p, MSI + 20, 4), 0);
	assert_true(uw_pci_interrupt(&p, &address, &data));
	assert_int_equal(address, 0x12fee02000);
	assert_false(write_config(&p, MSI + 16, 1, 0).deliver);
}

/* Without bus mastership a device may not write, and a message is a write. */
static void test_master(void **state)
{
	struct uw_pci p = fresh(false);
	uint64_t address;
	uint32_t data;

	(void)state;
	program_msi(&p);
	write_config(&p, COMMAND, 2, 2);
	assert_false(uw_pci_interrupt(&p, &address, &data));
	assert_int_equal(uw_pci_read(&p, MSI + 20, 4), 0);     /* not the mask's doing */
	assert_true(write_config(&p, COMMAND, 2, 6).deliver);
}

static void test_ranges(void **state)
{
	struct uw_mmio_range r[UW_MMIO_RANGES];
	struct uw_layout l;
	uint64_t next;
	uint32_t size, count, i;

	(void)state;
	for (size = UW_REGION_MIN; size <= UW_REGION_MAX; size *= 2) {
		uw_layout_default(&l, size);
		count = uw_mmio_ranges(&l, r);
		for (next = 0, i = 0; i < count; next += r[i++].pages) {
			assert_int_equal(r[i].page, next);
			assert_true(r[i].pages);
			assert_int_equal(r[i].writable, i & 1);
		}
		assert_int_equal(next, size / UW_PAGE);
		assert_int_equal(count, 4);
		assert_int_equal(r[0].pages, 1);
		assert_int_equal(r[2].page, l.comp_ring / UW_PAGE);
		assert_int_equal(r[3].page, l.data / UW_PAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),	  cmocka_unit_test(test_widths), cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_bars),	  cmocka_unit_test(test_memory), cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_masked), cmocka_unit_test(test_master), cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
