/* SPDX-License-Identifier: GPL-2.0-only */
/* Descriptors as devices send them, and as they might. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "desc.h"

#include <cmocka.h>

/* Interface 2 at settings 0 and 1, interface 5 at setting 3 only, with a companion descriptor. */
static const uint8_t good[] = {
	9, 2, 9 + 9 + 9 + 7 + 7 + 9 + 7 + 6, 0, 2, 7, 0, 0x80, 50,
	9, 4, 2, 0, 0, 0xff, 0, 0, 0,
	9, 4, 2, 1, 2, 0xff, 0, 0, 0,
	7, 5, 0x81, 1, 0x00, 0x14, 1,  /* isochronous IN, 1024 bytes three times */
	7, 5, 0x02, 2, 0x00, 0x02, 0,  /* bulk OUT, 512 bytes */
	9, 4, 5, 3, 1, 0xff, 0, 0, 0,
	7, 5, 0x83, 3, 0x00, 0x04, 4,  /* interrupt IN, 1024 bytes */
	6, 48, 2, 0, 0x00, 0x0c,       /* 3072 bytes in an interval */
};

static void interfaces(void **state)
{
	uint8_t number[UW_INTERFACES], first[UW_INTERFACES];

	(void)state;
	assert_true(uw_desc_config_valid(good, sizeof(good)));
	assert_int_equal(uw_desc_interfaces(good, sizeof(good), number, first), 2);
	assert_int_equal(number[0], 2);
	assert_int_equal(first[0], 0);
	assert_int_equal(number[1], 5);
	assert_int_equal(first[1], 3);
}

static void settings(void **state)
{
	struct uw_setting s;

	(void)state;
	assert_true(uw_desc_setting(good, sizeof(good), 2, 0, &s));
	assert_int_equal(s.endpoints, 0);
	assert_true(uw_desc_setting(good, sizeof(good), 2, 1, &s));
	assert_int_equal(s.endpoints, 2);
	assert_int_equal(s.endpoint[0].address, 0x81);
	assert_int_equal(s.endpoint[0].type, UW_ISOCH);
	assert_int_equal(s.endpoint[0].packet, 1024);
	assert_int_equal(s.endpoint[0].service, 3072);
	assert_int_equal(s.endpoint[0].interval, 1);
	assert_int_equal(s.endpoint[1].type, UW_BULK);
	assert_int_equal(s.endpoint[1].service, 512);
	assert_true(uw_desc_setting(good, sizeof(good), 5, 3, &s));
	assert_int_equal(s.endpoint[0].service, 3072);
	assert_int_equal(s.endpoint[0].itf, 5);
	assert_false(uw_desc_setting(good, sizeof(good), 5, 0, &s));
	assert_false(uw_desc_setting(good, sizeof(good), 3, 0, &s));
}

/* A companion's attributes are an exponent for a bulk endpoint, and something else for others. */
static void streams(void **state)
{
	static const struct {
		uint8_t type, attributes;
		uint32_t streams;
	} rows[] = {
		{ 2, 0, 0 }, { 2, 1, 2 }, { 2, 4, 16 }, { 2, 16, 65536 }, { 2, 31, 65536 }, { 2, 0xe0, 0 }, { 3, 4, 0 }, { 1, 4, 0 },
	};
	uint8_t bytes[sizeof(good)];
	struct uw_setting s;
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(bytes, good, sizeof(good));
		bytes[sizeof(bytes) - 10] = rows[i].type;
		bytes[sizeof(bytes) - 3] = rows[i].attributes;
		assert_true(uw_desc_setting(bytes, sizeof(bytes), 5, 3, &s));
		assert_int_equal(s.endpoint[0].type, rows[i].type);
		assert_int_equal(s.endpoint[0].streams, rows[i].streams);
	}
	assert_true(uw_desc_setting(good, sizeof(good), 2, 1, &s));
	assert_int_equal(s.endpoint[1].streams, 0); /* bulk, without a companion */
	assert_true(s.descriptor == good + 18);
}

static void invalid(void **state)
{
	uint8_t bad[sizeof(good)];
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(good); i++)
		assert_false(uw_desc_config_valid(good, i));
	memcpy(bad, good, sizeof(good));
	bad[9] = 1;
	assert_false(uw_desc_config_valid(bad, sizeof(bad)));
	bad[9] = 0;
	assert_false(uw_desc_config_valid(bad, sizeof(bad)));
	bad[9] = 9;
	bad[sizeof(bad) - 6] = 7;
	assert_false(uw_desc_config_valid(bad, sizeof(bad)));
	bad[sizeof(bad) - 6] = 6;
	bad[5] = 0; /* configuration 0 is none */
	assert_false(uw_desc_config_valid(bad, sizeof(bad)));
	bad[5] = 1;
	bad[1] = 7;
	assert_false(uw_desc_config_valid(bad, sizeof(bad)));
}

/* Each call stays inside, whatever the bytes: the heap block ends where the descriptor does. */
static void random_bytes(void **state)
{
	uint8_t number[UW_INTERFACES], first[UW_INTERFACES], *bytes;
	uint32_t round, i, k, n, size, valid = 0;
	struct uw_setting s;

	(void)state;
	srandom(1);
	for (round = 0; round < 20000; round++) {
		size = sizeof(good) - (round % 3 ? 0 : (uint32_t)random() % sizeof(good));
		bytes = malloc(size ? size : 1);
		memcpy(bytes, good, size);
		for (k = (uint32_t)random() % 4; size && k; k--)
			bytes[(uint32_t)random() % size] = (uint8_t)random();
		if (size > 3)
			bytes[2] = (uint8_t)size;
		if (uw_desc_config_valid(bytes, size)) {
			valid++;
			n = uw_desc_interfaces(bytes, size, number, first);
			assert_true(n <= UW_INTERFACES);
			for (i = 0; i < n; i++) {
				assert_true(uw_desc_setting(bytes, size, number[i], first[i], &s));
				assert_true(s.endpoints <= UW_ENDPOINTS - 2);
			}
			uw_desc_high_speed(bytes, size);
			uw_desc_beyond_low_speed(bytes, size);
		}
		free(bytes);
	}
	assert_true(valid > 1000);
}

/* More endpoints than there are addresses, more interfaces than fit. */
static void too_many(void **state)
{
	uint8_t bytes[9 + 40 * 9 + 40 * 7], number[UW_INTERFACES], first[UW_INTERFACES];
	uint32_t i, at = 9;
	struct uw_setting s;

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	bytes[0] = 9;
	bytes[1] = 2;
	bytes[2] = (uint8_t)sizeof(bytes);
	bytes[3] = (uint8_t)(sizeof(bytes) >> 8);
	bytes[5] = 1;
	for (i = 0; i < 40; i++, at += 9) {
		bytes[at] = 9;
		bytes[at + 1] = 4;
		bytes[at + 2] = (uint8_t)i;
		bytes[at + 4] = 255;
	}
	for (i = 0; i < 40; i++, at += 7) {
		bytes[at] = 7;
		bytes[at + 1] = 5;
		bytes[at + 2] = (uint8_t)(1 + i % 15);
	}
	assert_true(uw_desc_config_valid(bytes, sizeof(bytes)));
	assert_int_equal(uw_desc_interfaces(bytes, sizeof(bytes), number, first), UW_INTERFACES);
	assert_true(uw_desc_setting(bytes, sizeof(bytes), 39, 0, &s));
	assert_int_equal(s.endpoints, UW_ENDPOINTS - 2);
}

static void speeds(void **state)
{
	static const uint8_t mouse[] = {
		9, 2, 9 + 9 + 7, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 1, 3, 1, 2, 0, 7, 5, 0x81, 3, 4, 0, 10,
	};
	uint8_t device[UW_DEVICE_BYTES] = { 18, 1, 0x00, 0x03, 0, 0, 0, 9 };

	(void)state;
	assert_int_equal(uw_desc_speed(device, true, good, sizeof(good)), UW_SPEED_SUPER);
	assert_int_equal(uw_desc_speed(device, false, NULL, 0), UW_SPEED_SUPER);
	device[7] = 64;
	assert_int_equal(uw_desc_speed(device, true, good, sizeof(good)), UW_SPEED_HIGH);
	assert_int_equal(uw_desc_speed(device, false, good, sizeof(good)), UW_SPEED_FULL);
	device[7] = 8;
	assert_int_equal(uw_desc_speed(device, false, good, sizeof(good)), UW_SPEED_FULL);
	assert_int_equal(uw_desc_speed(device, false, mouse, sizeof(mouse)), UW_SPEED_LOW);
	assert_int_equal(uw_desc_speed(device, false, NULL, 0), UW_SPEED_FULL);
	assert_true(uw_desc_high_speed(good, sizeof(good)));
	assert_false(uw_desc_high_speed(mouse, sizeof(mouse)));
}

static void texts(void **state)
{
	static const uint8_t string[] = { 14, 3, 'a', 0, 0xe4, 0, 0xac, 0x20, 0x1b, 0, 0x3d, 0xd8, 'z', 0 };
	char out[96] = "x ", small[5] = "";

	(void)state;
	uw_desc_text(string, sizeof(string), out, sizeof(out));
	assert_string_equal(out, "x a\xc3\xa4\xe2\x82\xac??z");
	uw_desc_text(string, sizeof(string), small, sizeof(small)); /* no half character */
	assert_string_equal(small, "a\xc3\xa4");
	strcpy(out, "x");
	uw_desc_text(string, 5, out, sizeof(out)); /* cut off within a unit */
	assert_string_equal(out, "xa");
	uw_desc_text((const uint8_t *)"\x04\x02z", 4, out, sizeof(out)); /* not a string */
	assert_string_equal(out, "xa");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces), cmocka_unit_test(settings), cmocka_unit_test(streams), cmocka_unit_test(invalid),
		cmocka_unit_test(random_bytes), cmocka_unit_test(too_many), cmocka_unit_test(speeds),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
