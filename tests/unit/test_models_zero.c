/* SPDX-License-Identifier: GPL-2.0-only */
/* The usbtest device: patterns, halts, loopback, the control buffer, periodic endpoints and their pace, streams. */
#include "model_host.h"

enum { OUT = 0x01, IN = 0x81, ISO_OUT = 0x02, ISO_IN = 0x82, INT_OUT = 0x03, INT_IN = 0x83 };
enum { SOURCE_SINK = 3, LOOPBACK = 2 };

#define MICROFRAME 125000u

static const uint8_t speeds[] = { UW_SPEED_FULL, UW_SPEED_HIGH, UW_SPEED_SUPER };
static const uint16_t bulk_packet[] = { 64, 512, 1024 };

static void start(struct host *h, const struct uw_model_options *options)
{
	host_init(h, "zero", options);
	configure(h, SOURCE_SINK);
}

static void alternate(struct host *h)
{
	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 0, 1, NULL), UW_ST_OK);
}

static void periodic(struct host *h, struct xfer *x, uint8_t endpoint, void *data, uint32_t length)
{
	xfer_init(x, UW_INTERRUPT, endpoint, data, length);
	submit(h, x);
}

/* An isochronous transfer of so many packets of size bytes, with a gap between them in data. */
static void isoch(struct host *h, struct xfer *x, uint8_t endpoint, uint8_t *data, uint32_t packets, uint32_t size)
{
	xfer_init(x, UW_ISOCH, endpoint, data, packets * (size + 1));
	x->io.packets = (uint16_t)packets;
	x->io.iso = x->iso;
	for (uint32_t i = 0; i < packets; i++) {
		x->iso[i] = (struct uw_iso){ i * (size + 1), size, 0xdead, 0xdead };
		data[i * (size + 1) + size] = 0xee;
	}
	submit(h, x);
}

static int endpoint_status(struct host *h, uint8_t endpoint)
{
	uint8_t status[2] = { 0xff, 0xff };

	assert_int_equal(control(h, 0x82, 0, 0, endpoint, status, 2), 2);
	return status[0] | status[1] << 8;
}

/* ---- patterns --------------------------------------------------------------------------------------------------- */

static void check_patterns(uint8_t speed, uint16_t packet)
{
	static uint8_t data[5000];
	struct uw_model_options options = { .speed = speed, .pattern = 1 };
	struct xfer x;
	struct host h;

	start(&h, &options);
	for (uint32_t length = 0; length < sizeof(data); length += 331) {
		memset(data, 0xa5, sizeof(data));
		bulk(&h, &x, IN, data, length);
		assert_int_equal(x.io.status, UW_ST_OK);
		assert_int_equal(x.io.actual, length);
		for (uint32_t i = 0; i < length; i++)
			assert_int_equal(data[i], i % packet % 63);
		assert_int_equal(data[length], 0xa5);
		bulk(&h, &x, OUT, data, length);
		assert_int_equal(x.io.status, UW_ST_OK);
		assert_int_equal(x.io.actual, length);
	}
	assert_int_equal(uw_zero_errors(h.model), 0);
	host_fini(&h);
}

static void test_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < UW_COUNT_OF(speeds); i++)
		check_patterns(speeds[i], bulk_packet[i]);
}

static void test_zeros(void **state)
{
	const struct uw_model_options options = { 0 };
	uint8_t data[1500];
	struct xfer x;
	struct host h;

	(void)state;
	start(&h, &options);
	memset(data, 0xa5, sizeof(data));
	bulk(&h, &x, IN, data, 1499);
	for (int i = 0; i < 1499; i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(data[1499], 0xa5);
	host_fini(&h);
}

/* A real source sends whole packets whatever was asked: USB 2.0 8.7.4. */
static void test_babble(void **state)
{
	static const struct {
		uint32_t length, status, actual;
	} cases[] = {
		{ 512, UW_ST_OK, 512 }, { 1536, UW_ST_OK, 1536 }, { 511, UW_ST_BABBLE, 511 },
		{ 513, UW_ST_BABBLE, 513 }, { 0, UW_ST_BABBLE, 0 }, { 1, UW_ST_BABBLE, 1 },
	};
	const struct uw_model_options options = { .babble = true };
	uint8_t data[2000];
	struct xfer x;
	struct host h;

	(void)state;
	start(&h, &options);
	for (size_t i = 0; i < UW_COUNT_OF(cases); i++) {
		bulk(&h, &x, IN, data, cases[i].length);
		assert_int_equal(x.io.status, cases[i].status);
		assert_int_equal(x.io.actual, cases[i].actual);
	}
	alternate(&h);
	isoch(&h, &x, ISO_IN, data, 1, 1000);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.iso[0].status, UW_ST_BABBLE);
	assert_int_equal(x.iso[0].actual, 1000);
	host_fini(&h);
}

/* A wrong byte is counted, answered with STALL, and halts the endpoint until that is cleared. */
static void test_bad_byte(void **state)
{
	const struct uw_model_options options = { .pattern = 1 };
	uint8_t data[600] = { 0, 1, 2, 9, 4 };
	struct xfer x;
	struct host h;

	(void)state;
	start(&h, &options);
	bulk(&h, &x, OUT, data, 5);
	assert_int_equal(x.io.status, UW_ST_STALL);
	assert_int_equal(uw_zero_errors(h.model), 1);
	assert_int_equal(endpoint_status(&h, OUT), 1);
	data[3] = 3;
	bulk(&h, &x, OUT, data, 5);
	assert_int_equal(x.io.status, UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_CLEAR_HALT, OUT, 0, NULL), UW_ST_OK);
	bulk(&h, &x, OUT, data, 5);
	assert_int_equal(x.io.status, UW_ST_OK);
	alternate(&h);
	isoch(&h, &x, ISO_OUT, data, 1, 100);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_true(uw_zero_errors(h.model) > 1);
	assert_int_equal(endpoint_status(&h, ISO_OUT), 0);
	host_fini(&h);
}

/* ---- halts ------------------------------------------------------------------------------------------------------ */

static void check_halt(struct host *h, uint8_t endpoint, uint8_t other)
{
	uint8_t data[512] = { 0 };
	struct xfer x;

	assert_int_equal(endpoint_status(h, endpoint), 0);
	assert_int_equal(control(h, 0x02, 3, 0, endpoint, NULL, 0), 0);
	assert_int_equal(endpoint_status(h, endpoint), 1);
	assert_int_equal(endpoint_status(h, other), 0);
	for (int i = 0; i < 2; i++) {
		bulk(h, &x, endpoint, data, 512);
		assert_int_equal(x.io.status, UW_ST_STALL);
		assert_int_equal(x.io.actual, 0);
	}
	bulk(h, &x, other, data, 512);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(verb(h, UW_VERB_CLEAR_HALT, endpoint, 0, NULL), UW_ST_OK);
	assert_int_equal(endpoint_status(h, endpoint), 0);
	bulk(h, &x, endpoint, data, 512);
	assert_int_equal(x.io.status, UW_ST_OK);
}

static void test_halts(void **state)
{
	const struct uw_model_options options = { 0 };
	struct host h;

	(void)state;
	start(&h, &options);
	for (int i = 0; i < 10; i++) {
		check_halt(&h, IN, OUT);
		check_halt(&h, OUT, IN);
	}
	assert_int_equal(control(&h, 0x02, 3, 0, IN, NULL, 0), 0);
	assert_int_equal(verb(&h, UW_VERB_SET_INTERFACE, 0, 0, NULL), UW_ST_OK);
	assert_int_equal(endpoint_status(&h, IN), 0);
	assert_int_equal(control(&h, 0x02, 3, 0, IN, NULL, 0), 0);
	configure(&h, SOURCE_SINK);
	assert_int_equal(endpoint_status(&h, IN), 0);
	assert_int_equal(control(&h, 0x02, 3, 0, 0, NULL, 0), -UW_ST_STALL);
	assert_int_equal(control(&h, 0x02, 3, 1, IN, NULL, 0), -UW_ST_STALL);
	assert_int_equal(control(&h, 0x02, 3, 0, ISO_IN, NULL, 0), -UW_ST_STALL);
	alternate(&h);
	assert_int_equal(control(&h, 0x02, 3, 0, ISO_IN, NULL, 0), -UW_ST_STALL);
	assert_int_equal(control(&h, 0x02, 3, 0, INT_IN, NULL, 0), 0);
	assert_int_equal(verb(&h, UW_VERB_CLEAR_HALT, ISO_IN, 0, NULL), UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_CLEAR_HALT, 0x85, 0, NULL), UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_CLEAR_HALT, 0, 0, NULL), UW_ST_OK);
	host_fini(&h);
}

/* ---- control ---------------------------------------------------------------------------------------------------- */

static void test_buffer(void **state)
{
	const struct uw_model_options options = { 0 };
	uint8_t *data = malloc(65535);
	struct host h;

	(void)state;
	start(&h, &options);
	for (uint32_t length = 1; length <= 65535; length = length < 60000 ? length * 3 : length + 997) {
		for (uint32_t i = 0; i < length; i++)
			data[i] = (uint8_t)(length + i);
		assert_int_equal(control(&h, 0x40, 0x5b, 0, 0, data, (uint16_t)length), length);
		memset(data, 0xa5, length);
		assert_int_equal(control(&h, 0xc0, 0x5c, 0, 0, data, (uint16_t)length), length);
		for (uint32_t i = 0; i < length; i++)
			assert_int_equal(data[i], (uint8_t)(length + i));
	}
	assert_int_equal(control(&h, 0xc0, 0x5c, 0, 0, NULL, 0), 0);
	assert_int_equal(control(&h, 0xc0, 0x5c, 1, 0, data, 1), -UW_ST_STALL);
	assert_int_equal(control(&h, 0x40, 0x5b, 0, 1, data, 1), -UW_ST_STALL);
	assert_int_equal(control(&h, 0xc0, 0x5b, 0, 0, data, 1), -UW_ST_STALL);
	assert_int_equal(control(&h, 0xc1, 0x5c, 0, 0, data, 1), -UW_ST_STALL);
	host_fini(&h);
	free(data);
}

/* ---- loopback --------------------------------------------------------------------------------------------------- */

static void loop(struct host *h, uint32_t length, bool zero_packet)
{
	static uint8_t data[9000], back[9000];
	struct xfer x, y;

	for (uint32_t i = 0; i < length; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	xfer_init(&x, UW_BULK, OUT, data, length);
	x.io.flags = zero_packet ? UW_SUBMIT_ZERO_PACKET : 0;
	submit(h, &x);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.io.actual, length);
	bulk(h, &y, IN, back, sizeof(back) / 512 * 512);
	assert_int_equal(y.done, 1);
	assert_int_equal(y.io.actual, length);
	assert_memory_equal(data, back, length);
}

static void test_loopback(void **state)
{
	const struct uw_model_options options = { 0 };
	uint8_t data[4096] = { 0 };
	struct xfer x[8], y;
	struct host h;

	(void)state;
	start(&h, &options);
	configure(&h, LOOPBACK);
	for (uint32_t length = 1; length < 8700; length += length < 20 ? 1 : 511)
		loop(&h, length, true);
	for (uint32_t length = 0; length <= 8192; length += 512)
		loop(&h, length, true);
	for (int i = 0; i < 8; i++) /* four messages have room, the others wait */
		bulk(&h, &x[i], OUT, data, 100);
	assert_int_equal(x[3].done, 1);
	assert_int_equal(x[4].done, 0);
	for (int i = 0; i < 8; i++) {
		bulk(&h, &y, IN, data, 512);
		assert_int_equal(y.io.actual, 100);
	}
	assert_int_equal(x[7].done, 1);
	bulk(&h, &y, IN, data, 512);
	assert_int_equal(y.done, 0);
	h.dev->ops->cancel(h.dev, &y.io);
	host_fini(&h);
}

/* ---- periodic endpoints ----------------------------------------------------------------------------------------- */

static void test_unpaced(void **state)
{
	const struct uw_model_options options = { .pattern = 1 };
	static uint8_t data[64 * 1025];
	struct xfer x;
	struct host h;

	(void)state;
	start(&h, &options);
	periodic(&h, &x, INT_IN, data, 64);
	assert_int_equal(x.io.status, UW_ST_NO_ENDPOINT);
	isoch(&h, &x, ISO_IN, data, 4, 64);
	assert_int_equal(x.io.status, UW_ST_NO_ENDPOINT);
	assert_int_equal(x.iso[3].status, UW_ST_NO_ENDPOINT);
	alternate(&h);
	periodic(&h, &x, INT_IN, data, 3000);
	assert_int_equal(x.io.actual, 3000);
	isoch(&h, &x, ISO_IN, data, 64, 1024);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.io.actual, 64 * 1024);
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(x.iso[i].actual, 1024);
		assert_int_equal(x.iso[i].status, UW_ST_OK);
		assert_int_equal(data[i * 1025 + 62], 62);
		assert_int_equal(data[i * 1025 + 63], 0);
		assert_int_equal(data[i * 1025 + 1024], 0xee);
	}
	isoch(&h, &x, ISO_OUT, data, 3, 1025);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.iso[1].status, UW_ST_INVALID);
	assert_int_equal(x.iso[1].actual, 0);
	assert_int_equal(h.arms, 0);
	host_fini(&h);
}

/* Nanoseconds between the periodic services of a model: a frame, at each speed. */
static void test_paced_interrupts(void **state)
{
	(void)state;
	for (size_t s = 0; s < UW_COUNT_OF(speeds); s++) {
		const struct uw_model_options options = { .speed = speeds[s], .paced = true };
		uint32_t packet = s ? 1024 : 64;
		uint8_t data[4096];
		struct xfer x[5];
		struct host h;
		uint64_t t;

		start(&h, &options);
		alternate(&h);
		t = h.t;
		for (int i = 0; i < 5; i++)
			periodic(&h, &x[i], i % 2 ? INT_OUT : INT_IN, data, packet);
		memset(data, 0, sizeof(data));
		host_run(&h, t + 100 * UW_MS);
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(x[i].done, 1);
			assert_int_equal(x[i].when - t, i / 2 * UW_MS);
		}
		t = h.t;
		periodic(&h, &x[0], INT_IN, data, packet * 3 + 1);
		host_run(&h, t + 2 * UW_MS);
		assert_int_equal(x[0].done, 0);
		host_run(&h, t + 3 * UW_MS);
		assert_int_equal(x[0].io.actual, packet * 3 + 1);
		assert_true(h.armed == UW_NEVER);
		host_fini(&h);
	}
}

static void resubmit(struct host *h, struct xfer *x)
{
	if (x->io.status != UW_ST_OK)
		return;
	x->done = 0;
	submit(h, x);
}

/* Two transfers of eight packets for a second: each ends on the grid, and one timer serves a whole transfer. */
static void test_paced_isoch(void **state)
{
	const struct uw_model_options options = { .paced = true };
	static uint8_t data[64 * 1025];
	struct xfer x[2];
	struct host h;
	uint64_t t;

	(void)state;
	start(&h, &options);
	alternate(&h);
	t = h.t;
	for (int i = 0; i < 2; i++) {
		isoch(&h, &x[i], ISO_IN, data, 8, 1024);
		x[i].then = resubmit;
	}
	host_run(&h, t + 1000 * UW_MS);
	assert_int_equal(h.completions, 2 + 125);
	assert_int_equal(x[0].when - t, 1000 * UW_MS);
	assert_true(h.arms < 130);
	host_fini(&h);
}

/* One timer for many short transfers, but no longer than the queue lasts; and a late timer catches up. */
static void test_isoch_batches(void **state)
{
	const struct uw_model_options options = { .paced = true };
	static uint8_t data[2 * 1025];
	static struct xfer x[20];
	struct host h;
	uint64_t t;

	(void)state;
	start(&h, &options);
	alternate(&h);
	t = h.t;
	for (int i = 0; i < 20; i++)
		isoch(&h, &x[i], ISO_OUT, data, 1, 1024);
	assert_int_equal(h.armed, t + UW_MS);
	h.t = t + 10 * UW_MS;
	h.dev->ops->timer(h.dev);
	assert_int_equal(x[9].done, 1);
	assert_int_equal(x[10].done, 0);
	h.dev->ops->cancel(h.dev, &x[10].io);
	assert_int_equal(x[10].io.status, UW_ST_CANCELLED);
	assert_int_equal(x[10].iso[0].status, UW_ST_CANCELLED);
	host_run(&h, t + 19 * UW_MS);
	assert_int_equal(x[19].done, 1);
	assert_int_equal(x[19].when, t + 19 * UW_MS);
	host_fini(&h);
}

/* ---- sleep ------------------------------------------------------------------------------------------------------ */

static void test_autoresume(void **state)
{
	const struct uw_model_options options = { .autoresume = 20 };
	uint8_t data[8];
	struct xfer x;
	struct host h;

	(void)state;
	start(&h, &options);
	assert_int_equal(verb(&h, UW_VERB_SUSPEND, 0, 0, NULL), UW_ST_OK);
	assert_true(h.armed == UW_NEVER);
	bulk(&h, &x, IN, data, 8);
	assert_int_equal(x.done, 0);
	assert_int_equal(verb(&h, UW_VERB_SET_INTERFACE, 0, 1, NULL), UW_ST_PROTOCOL);
	assert_int_equal(verb(&h, UW_VERB_RESUME, 0, 0, NULL), UW_ST_OK);
	assert_int_equal(x.done, 1);
	assert_int_equal(control(&h, 0x00, 3, 1, 0, NULL, 0), 0);
	assert_int_equal(verb(&h, UW_VERB_SUSPEND, 0, 0, NULL), UW_ST_OK);
	host_run(&h, h.t + 19 * UW_MS);
	assert_int_equal(h.wakeups, 0);
	host_run(&h, h.t + UW_MS);
	assert_int_equal(h.wakeups, 1);
	assert_int_equal(verb(&h, UW_VERB_RESUME, 0, 0, NULL), UW_ST_OK);
	assert_int_equal(verb(&h, UW_VERB_SUSPEND, 0, 0, NULL), UW_ST_OK);
	assert_int_equal(verb(&h, UW_VERB_RESET, 0, 0, NULL), UW_ST_OK);
	host_run(&h, h.t + 100 * UW_MS);
	assert_int_equal(h.wakeups, 1);
	host_fini(&h);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

static uint32_t stream(struct host *h, uint8_t endpoint, uint16_t id)
{
	uint8_t data[64] = { 0 };
	struct xfer x;

	xfer_init(&x, UW_BULK, endpoint, data, sizeof(data));
	x.io.stream = id;
	submit(h, &x);
	assert_int_equal(x.done, 1);
	return x.io.status;
}

static void test_streams(void **state)
{
	static const uint8_t both[] = { IN, OUT }, wrong[] = { IN, INT_IN };
	struct uw_model_options options = { .speed = UW_SPEED_SUPER, .streams = 16 };
	struct host h;

	(void)state;
	start(&h, &options);
	assert_int_equal(stream(&h, IN, 1), UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(&h, UW_VERB_ALLOC_STREAMS, 8, 2, wrong), UW_ST_UNSUPPORTED);
	assert_int_equal(verb(&h, UW_VERB_ALLOC_STREAMS, 8, 2, both), UW_ST_OK);
	assert_int_equal(stream(&h, IN, 1), UW_ST_OK);
	assert_int_equal(stream(&h, OUT, 8), UW_ST_OK);
	assert_int_equal(stream(&h, OUT, 9), UW_ST_NO_ENDPOINT);
	assert_int_equal(stream(&h, OUT, 0), UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(&h, UW_VERB_FREE_STREAMS, 0, 2, both), UW_ST_OK);
	assert_int_equal(stream(&h, IN, 0), UW_ST_OK);
	host_fini(&h);
	options.streams = 0;
	start(&h, &options);
	assert_int_equal(verb(&h, UW_VERB_ALLOC_STREAMS, 8, 2, both), UW_ST_UNSUPPORTED);
	host_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_babble),
		cmocka_unit_test(test_bad_byte),
		cmocka_unit_test(test_halts),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_unpaced),
		cmocka_unit_test(test_paced_interrupts),
		cmocka_unit_test(test_paced_isoch),
		cmocka_unit_test(test_isoch_batches),
		cmocka_unit_test(test_autoresume),
		cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
