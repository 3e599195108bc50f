/* SPDX-License-Identifier: GPL-2.0-only */
/* The board model: its two identities, how it changes between them, and the firmware it keeps. */
#include "model_host.h"

enum { DETACH = 0, DNLOAD, UPLOAD, GETSTATUS, CLRSTATUS, GETSTATE, ABORT };

static int start(void **state) { return host_start(state, "board"); }

/* Bytes moved by a class request, or minus the status. */
static int request(struct host *h, uint8_t number, uint16_t value, void *data, uint16_t bytes)
{
	bool in = number == UPLOAD || number == GETSTATUS || number == GETSTATE;

	return control(h, in ? 0xa1 : 0x21, number, value, 0, data, bytes);
}

static uint8_t state_of(struct host *h)
{
	uint8_t status[6];

	assert_int_equal(request(h, GETSTATUS, 0, status, sizeof(status)), 6);
	return status[4];
}

/* It leaves, and is plugged in again. */
static void come_back(struct host *h)
{
	unsigned gones = h->gones;

	host_run(h, h->t + 20 * UW_MS);
	assert_int_equal(h->gones, gones + 1);
	h->dev->ops->close(h->dev);
	assert_int_equal(h->dev->ops->open(h->dev), 0);
	configure(h, 1);
}

static void detach(struct host *h)
{
	assert_int_equal(request(h, DETACH, 1000, NULL, 0), 0);
	come_back(h);
	assert_int_equal(h->dev->product, 2);
}

static void test_detach(void **state)
{
	struct host *h = *state;

	assert_int_equal(h->dev->product, 1);
	assert_int_equal(state_of(h), 0);
	detach(h);
	assert_int_equal(h->dev->vendor, 0x1209);
	assert_int_equal(state_of(h), 2);
	assert_string_equal(h->dev->bus_id, "board");
}

static void test_firmware_stays(void **state)
{
	struct host *h = *state;
	uint8_t block[1024];
	uint32_t i;

	detach(h);
	for (i = 0; i < 3; i++) {
		memset(block, (int)(i + 1), sizeof(block));
		assert_int_equal(request(h, DNLOAD, (uint16_t)i, block, i < 2 ? 1024 : 100), i < 2 ? 1024 : 100);
		assert_int_equal(state_of(h), 5);
	}
	assert_int_equal(request(h, DNLOAD, 3, NULL, 0), 0);
	assert_int_equal(state_of(h), 7);
	assert_int_equal(state_of(h), 8);
	assert_int_equal(request(h, ABORT, 0, NULL, 0), -UW_ST_STALL);
	assert_int_equal(verb(h, UW_VERB_RESET, 0, 0, NULL), UW_ST_OK);
	come_back(h);
	assert_int_equal(h->dev->product, 1);
	detach(h);
	for (i = 0; i < 3; i++) {
		assert_int_equal(request(h, UPLOAD, (uint16_t)i, block, sizeof(block)), i < 2 ? 1024 : 100);
		assert_int_equal(block[99], i + 1);
	}
	assert_int_equal(state_of(h), 2);
}

static void test_errors(void **state)
{
	struct host *h = *state;
	uint8_t block[1024] = { 0 }, got;
	uint32_t i;

	assert_int_equal(request(h, DNLOAD, 0, block, 16), -UW_ST_STALL); /* not at run time */
	detach(h);
	assert_int_equal(request(h, DNLOAD, 0, NULL, 0), -UW_ST_STALL); /* nothing was sent */
	assert_int_equal(state_of(h), 10);
	assert_int_equal(request(h, ABORT, 0, NULL, 0), -UW_ST_STALL);
	assert_int_equal(request(h, CLRSTATUS, 0, NULL, 0), 0);
	assert_int_equal(request(h, CLRSTATUS, 0, NULL, 0), -UW_ST_STALL);
	for (i = 0; i < 64; i++) {
		assert_int_equal(request(h, DNLOAD, (uint16_t)i, block, 1024), 1024);
		assert_int_equal(state_of(h), 5);
	}
	assert_int_equal(request(h, DNLOAD, 64, block, 1), -UW_ST_STALL); /* flash is full */
	assert_int_equal(request(h, GETSTATE, 0, &got, 1), 1);
	assert_int_equal(got, 10);
}

static void test_reset_ends_it(void **state)
{
	struct host *h = *state;

	detach(h);
	assert_int_equal(verb(h, UW_VERB_RESET, 0, 0, NULL), UW_ST_OK);
	come_back(h);
	assert_int_equal(h->dev->product, 1);
	assert_int_equal(verb(h, UW_VERB_RESET, 0, 0, NULL), UW_ST_OK);
	host_run(h, h->t + 20 * UW_MS);
	assert_int_equal(h->dev->product, 1);
	assert_int_equal(h->gones, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_detach, start, host_stop),
		cmocka_unit_test_setup_teardown(test_firmware_stays, start, host_stop),
		cmocka_unit_test_setup_teardown(test_errors, start, host_stop),
		cmocka_unit_test_setup_teardown(test_reset_ends_it, start, host_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
