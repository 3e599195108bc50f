/* SPDX-License-Identifier: GPL-2.0-only */
/* Capture files, byte by byte: the blocks of pcapng, and usbmon's header before each packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pcapng.h"
#include "usbmon.h"

#define TIME 0x1122334455667788ull

static char *bytes;
static size_t count;

static FILE *begin(struct uw_pcapng *p)
{
	FILE *out = open_memstream(&bytes, &count);

	assert_non_null(out);
	uw_pcapng_begin(p, out, UW_LINKTYPE_USB_LINUX_MMAPPED, 0x40000, "test 1", "vm1", TIME);
	return out;
}

/* What was written since, and nothing else. */
static void expect(FILE *out, size_t *from, const void *want, size_t wanted)
{
	fflush(out);
	assert_int_equal(count - *from, wanted);
	assert_memory_equal(bytes + *from, want, wanted);
	*from = count;
}

static void finish(FILE *out)
{
	assert_false(ferror(out));
	fclose(out);
	free(bytes);
}

static const uint8_t head[] = {
	0x0a, 0x0d, 0x0d, 0x0a, 44, 0, 0, 0,          /* section header, its length */
	0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,           /* byte order, version */
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	4, 0, 6, 0, 't', 'e', 's', 't', ' ', '1', 0, 0,
	0, 0, 0, 0, 44, 0, 0, 0,
	1, 0, 0, 0, 40, 0, 0, 0,                      /* interface */
	220, 0, 0, 0, 0, 0, 4, 0,
	2, 0, 3, 0, 'v', 'm', '1', 0,
	9, 0, 1, 0, 9, 0, 0, 0,
	0, 0, 0, 0, 40, 0, 0, 0,
};

static void test_head(void **state)
{
	struct uw_pcapng p;
	FILE *out = begin(&p);
	size_t at = 0;

	(void)state;
	expect(out, &at, head, sizeof(head));
	finish(out);
}

static void test_packets(void **state)
{
	static const uint8_t plain[] = {
		6, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55,
		5, 0, 0, 0, 9, 0, 0, 0, 'a', 'b', 'c', 'd', 'e', 0, 0, 0, 40, 0, 0, 0,
	};
	static const uint8_t after_loss[] = {
		6, 0, 0, 0, 52, 0, 0, 0, 0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55,
		4, 0, 0, 0, 4, 0, 0, 0, 'a', 'b', 'c', 'd',
		4, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0,
	};
	struct uw_pcapng_packet packet = {
		.time = TIME, .head = "abc", .head_bytes = 3, .body = "de", .body_bytes = 2, .original = 9,
	};
	struct uw_pcapng p;
	FILE *out = begin(&p);
	size_t at = sizeof(head);

	(void)state;
	uw_pcapng_packet(&p, &packet);
	expect(out, &at, plain, sizeof(plain));
	uw_pcapng_lost(&p, 4);
	uw_pcapng_lost(&p, 3);
	packet.body = "d";
	packet.body_bytes = 1;
	packet.original = 4;
	uw_pcapng_packet(&p, &packet);
	expect(out, &at, after_loss, sizeof(after_loss));
	packet.body_bytes = 0;
	packet.head_bytes = 1;
	uw_pcapng_packet(&p, &packet);
	fflush(out);
	assert_int_equal(count - at, 36);
	finish(out);
}

static void test_end(void **state)
{
	static const uint8_t statistics[] = {
		5, 0, 0, 0, 76, 0, 0, 0, 0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 0x89, 0x77, 0x66, 0x55,
		2, 0, 8, 0, 0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55,
		3, 0, 8, 0, 0x44, 0x33, 0x22, 0x11, 0x89, 0x77, 0x66, 0x55,
		4, 0, 8, 0, 6, 0, 0, 0, 0, 0, 0, 0,
		5, 0, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 76, 0, 0, 0,
	};
	struct uw_pcapng_packet packet = { .head = "", .body = "" };
	struct uw_pcapng p;
	FILE *out = begin(&p);
	size_t at;

	(void)state;
	uw_pcapng_packet(&p, &packet);
	uw_pcapng_lost(&p, 5);
	fflush(out);
	at = count;
	uw_pcapng_end(&p, TIME + 1);
	expect(out, &at, statistics, sizeof(statistics));
	assert_int_equal(p.packets, 1);
	assert_int_equal(p.dropped, 5);
	finish(out);
}

static void test_a_text_too_long_is_cut(void **state)
{
	char name[400];
	struct uw_pcapng p;
	FILE *out = open_memstream(&bytes, &count);

	(void)state;
	assert_non_null(out);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	uw_pcapng_begin(&p, out, 220, 64, name, name, 0);
	fflush(out);
	assert_int_equal(count, (24 + 4 + 128 + 4 + 4) + (16 + 4 + 128 + 8 + 4 + 4));
	finish(out);
}

/* ---- usbmon's header ---- */

static const struct uw_ctl_packet control = {
	.time = 1234567890123456789ull, .id = 0x0102030405060708ull, .status = (uint32_t)-115, .length = 18,
	.bytes = 0, .captured = 0, .event = UW_CTL_SUBMITTED, .bus = 2, .port = 3, .endpoint = 0x80, .transfer = UW_CONTROL,
	.flags = UW_SUBMIT_SHORT_NOT_OK, .setup = { 0x80, 6, 0, 1, 0, 0, 18, 0 },
};

static void test_header_of_control(void **state)
{
	static const uint8_t want[64] = {
		8, 7, 6, 5, 4, 3, 2, 1, 'S', 2, 0x80, 3, 2, 0, 0, '<',
		0xd2, 0x02, 0x96, 0x49, 0, 0, 0, 0, 0x40, 0xe2, 0x01, 0, 0x8d, 0xff, 0xff, 0xff,
		18, 0, 0, 0, 0, 0, 0, 0, 0x80, 6, 0, 1, 0, 0, 18, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0,
	};
	struct uw_usbmon h;

	(void)state;
	uw_usbmon_header(&h, &control);
	assert_memory_equal(&h, want, sizeof(want));
}

static void test_header_of_isochronous(void **state)
{
	static const uint8_t want[64] = {
		1, 0, 0, 0, 0, 0, 0, 0, 'C', 0, 0x83, 3, 1, 0, '-', 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xee, 0xff, 0xff, 0xff,
		200, 0, 0, 0, 132, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0,
		8, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0,
	};
	const struct uw_ctl_packet p = {
		.id = 1, .status = (uint32_t)-18, .length = 200, .bytes = 264, .captured = 132, .event = UW_CTL_COMPLETED,
		.bus = 1, .port = 3, .endpoint = 0x83, .transfer = UW_ISOCH, .interval = 8, .packets = 4, .descriptors = 2,
		.errors = 1, .setup = { 1, 2, 3, 4, 5, 6, 7, 8 },
	};
	struct uw_usbmon h;

	(void)state;
	uw_usbmon_header(&h, &p);
	assert_memory_equal(&h, want, sizeof(want));
}

static const struct {
	uint8_t transfer, endpoint, event, captured, flags;
	uint8_t type, no_setup, no_data;
	uint32_t urb_flags;
} rows[] = {
	{ UW_CONTROL, 0x00, 'S', 0, 0, 2, 0, '-', 0 },
	{ UW_CONTROL, 0x00, 'S', 8, 0, 2, 0, 0, 0 },
	{ UW_CONTROL, 0x00, 'C', 0, 0, 2, '-', '>', 0 },
	{ UW_CONTROL, 0x80, 'C', 8, 0, 2, '-', 0, 0x200 },
	{ UW_BULK, 0x02, 'S', 8, UW_SUBMIT_ZERO_PACKET, 3, '-', 0, 0x40 },
	{ UW_BULK, 0x81, 'S', 0, UW_SUBMIT_SHORT_NOT_OK, 3, '-', '<', 0x201 },
	{ UW_BULK, 0x81, 'C', 0, 0, 3, '-', '-', 0x200 },
	{ UW_INTERRUPT, 0x82, 'C', 8, 0, 1, '-', 0, 0x200 },
	{ UW_ISOCH, 0x01, 'S', 8, 0, 0, '-', 0, 0 },
};

static void test_headers(void **state)
{
	struct uw_ctl_packet p;
	struct uw_usbmon h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&p, 0, sizeof(p));
		p.transfer = rows[i].transfer;
		p.endpoint = rows[i].endpoint;
		p.event = rows[i].event;
		p.flags = rows[i].flags;
		p.captured = p.bytes = rows[i].captured;
		uw_usbmon_header(&h, &p);
		assert_int_equal(h.transfer, rows[i].type);
		assert_int_equal(h.no_setup, rows[i].no_setup);
		assert_int_equal(h.no_data, rows[i].no_data);
		assert_int_equal(h.flags, rows[i].urb_flags);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_a_text_too_long_is_cut),
		cmocka_unit_test(test_header_of_control),
		cmocka_unit_test(test_header_of_isochronous),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
