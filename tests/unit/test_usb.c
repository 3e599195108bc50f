/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The libusb backend on a libusb made of a few lines here: every status, memory that runs out, cancels, configurations,
 * devices that vanish or never answer. Real hardware is for the VM tests.
 */
#include "usb_lab.h"

/* ---- statuses ---- */

static void test_ends_of_transfers(void **state)
{
	static const struct {
		enum libusb_transfer_status from;
		uint32_t to;
	} cases[] = {
		{ LIBUSB_TRANSFER_COMPLETED, UW_ST_OK }, { LIBUSB_TRANSFER_ERROR, UW_ST_PROTOCOL },
		{ LIBUSB_TRANSFER_TIMED_OUT, UW_ST_HOST }, { LIBUSB_TRANSFER_CANCELLED, UW_ST_CANCELLED },
		{ LIBUSB_TRANSFER_STALL, UW_ST_STALL },
		{ LIBUSB_TRANSFER_NO_DEVICE, UW_ST_PROTOCOL }, /* for it is there: its node has not hung up */
		{ LIBUSB_TRANSFER_OVERFLOW, UW_ST_BABBLE }, { (enum libusb_transfer_status)99, UW_ST_HOST },
	};
	struct uw_transfer_io *io;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		io = submit(i, 0x81, UW_BULK, 64);
		assert_int_equal(lab->answers[i], 0);
		land(0, cases[i].from, 17);
		assert_int_equal(lab->answers[i], 1);
		assert_int_equal(io->status, cases[i].to);
		assert_int_equal(io->actual, 17);
	}
}

static void test_refused_submits(void **state)
{
	static const struct {
		int from;
		uint32_t to;
	} cases[] = {
		{ LIBUSB_ERROR_NO_DEVICE, UW_ST_NO_DEVICE }, { LIBUSB_ERROR_NOT_SUPPORTED, UW_ST_UNSUPPORTED },
		{ LIBUSB_ERROR_INVALID_PARAM, UW_ST_UNSUPPORTED }, { LIBUSB_ERROR_IO, UW_ST_HOST },
		{ LIBUSB_ERROR_BUSY, UW_ST_HOST }, { LIBUSB_ERROR_OTHER, UW_ST_HOST },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		fake.submit_result = cases[i].from;
		assert_int_equal(submit(i, 0x81, UW_BULK, 64)->status, cases[i].to);
		assert_int_equal(lab->answers[i], 1);
	}
}

static void test_results_of_verbs(void **state)
{
	static const struct {
		uint8_t verb;
		int from;
		uint32_t to;
	} cases[] = {
		{ UW_VERB_CLEAR_HALT, 0, UW_ST_OK }, { UW_VERB_CLEAR_HALT, LIBUSB_ERROR_NOT_FOUND, UW_ST_NO_ENDPOINT },
		{ UW_VERB_CLEAR_HALT, LIBUSB_ERROR_OTHER, UW_ST_STALL },
		{ UW_VERB_CLEAR_HALT, LIBUSB_ERROR_PIPE, UW_ST_STALL },
		{ UW_VERB_RESET, 0, UW_ST_OK }, { UW_VERB_RESET, LIBUSB_ERROR_OTHER, UW_ST_PROTOCOL },
		{ UW_VERB_SET_INTERFACE, LIBUSB_ERROR_OTHER, UW_ST_STALL },
		{ UW_VERB_SET_CONFIGURATION, LIBUSB_ERROR_OTHER, UW_ST_STALL },
		{ UW_VERB_SET_CONFIGURATION, LIBUSB_ERROR_NOT_FOUND, UW_ST_NO_ENDPOINT },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		submit(0, 0x81, UW_BULK, 1); /* no longer fresh */
		land(0, LIBUSB_TRANSFER_COMPLETED, 1);
		fake.call_result = cases[i].from;
		assert_int_equal(verb(cases[i].verb, 1, 0), cases[i].to);
	}
	assert_int_equal(lab->gone, 0);
}

/* ---- transfers ---- */

static void test_buffers_are_the_region(void **state)
{
	struct uw_transfer_io *io;

	(void)state;
	io = submit(0, 0x81, UW_BULK, 4096);
	assert_ptr_equal(fake.flying[0]->buffer, lab->data);
	assert_int_equal(fake.flying[0]->type, LIBUSB_TRANSFER_TYPE_BULK);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100);
	assert_int_equal(io->copied, 0);
	submit(1, 0x83, UW_INTERRUPT, 8);
	assert_ptr_equal(fake.flying[0]->buffer, lab->data);
	assert_int_equal(fake.flying[0]->type, LIBUSB_TRANSFER_TYPE_INTERRUPT);
	land(0, LIBUSB_TRANSFER_COMPLETED, 8);
}

static void test_control_has_its_setup_packet(void **state)
{
	struct uw_transfer_io *io;

	(void)state;
	io = submit(0, 0x80, UW_CONTROL, 18);
	assert_memory_equal(fake.flying[0]->buffer, io->setup, 8);
	assert_int_equal(fake.flying[0]->length, 26);
	memcpy(fake.flying[0]->buffer + 8, "eighteen bytes 123", 18);
	land(0, LIBUSB_TRANSFER_COMPLETED, 10);
	assert_memory_equal(lab->data, "eighteen b\0", 11);
	assert_int_equal(io->copied, 10);
	memcpy(lab->data, "out", 3);
	submit(1, 0x00, UW_CONTROL, 3);
	assert_memory_equal(fake.flying[0]->buffer + 8, "out", 3);
	land(0, LIBUSB_TRANSFER_STALL, 0);
	assert_int_equal(lab->io[1].status, UW_ST_STALL);
}

static void test_zero_packets(void **state)
{
	(void)state;
	submit(0, 0x02, UW_BULK, 512);
	assert_int_equal(fake.flying[0]->flags, 0);
	land(0, LIBUSB_TRANSFER_COMPLETED, 512);
	memset(&lab->io[1], 0, sizeof(lab->io[1]));
	lab->io[1] = (struct uw_transfer_io){ .endpoint = 2, .type = UW_BULK, .length = 512, .data = lab->data,
					      .flags = UW_SUBMIT_ZERO_PACKET | UW_SUBMIT_SHORT_NOT_OK };
	lab->device->ops->submit(lab->device, &lab->io[1]);
	assert_int_equal(fake.flying[0]->flags, LIBUSB_TRANSFER_ADD_ZERO_PACKET);
	land(0, LIBUSB_TRANSFER_COMPLETED, 512);
}

static void test_endpoints_that_are_not_there(void **state)
{
	(void)state;
	assert_int_equal(submit(0, 0x85, UW_BULK, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit(1, 0x81, UW_INTERRUPT, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit(2, 0x01, UW_CONTROL, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit(3, 0x00, UW_BULK, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit(4, 0x84, UW_ISOCH, 1)->status, UW_ST_NO_ENDPOINT); /* at another alternate setting */
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 2, 0), UW_ST_OK);
	assert_int_equal(submit(5, 0x83, UW_INTERRUPT, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 0, 0), UW_ST_OK);
	assert_int_equal(submit(6, 0x81, UW_BULK, 1)->status, UW_ST_NO_ENDPOINT);
}

/* Either the kernel is told to keep it awake, or it knows no such request of this node: the guest leaves it awake. */
static void test_suspend_that_cannot_be(void **state)
{
	(void)state;
	for (power = UW_SYSFS_NEVER_SLEEPS; power <= UW_SYSFS_SUSPENDED; power++)
		assert_int_equal(verb(UW_VERB_SUSPEND, 0, 0), UW_ST_UNSUPPORTED);
	assert_false(uw_usb_of(lab->device)->asleep);
}

/* ---- streams ---- */

static struct uw_transfer_io *submit_stream(uint32_t i, uint8_t endpoint, uint16_t stream)
{
	lab->io[i] = (struct uw_transfer_io){ .endpoint = endpoint, .type = UW_BULK, .length = 64, .data = lab->data,
					      .stream = stream };
	lab->answers[i] = 0;
	lab->device->ops->submit(lab->device, &lab->io[i]);
	return &lab->io[i];
}

static void test_streams(void **state)
{
	(void)state;
	assert_int_equal(submit_stream(0, 0x81, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_ALLOC_STREAMS, 5, 2), UW_ST_OK);
	assert_int_equal(lab->io[MANY - 1].actual, 4);
	assert_string_equal(fake.calls, "streams5.81.2 ");
	submit_stream(0, 0x81, 4);
	assert_int_equal(fake.flying[0]->type, LIBUSB_TRANSFER_TYPE_BULK_STREAM);
	assert_int_equal(fake.stream, 4);
	land(0, LIBUSB_TRANSFER_COMPLETED, 64);
	assert_int_equal(submit_stream(1, 0x81, 5)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit_stream(2, 0x81, 0)->status, UW_ST_NO_ENDPOINT);
	*fake.calls = 0;
	assert_int_equal(verb(UW_VERB_FREE_STREAMS, 0, 2), UW_ST_OK);
	assert_int_equal(verb(UW_VERB_FREE_STREAMS, 0, 2), UW_ST_OK); /* there are none, which is what was wanted */
	assert_string_equal(fake.calls, "free81 free02 ");
	submit_stream(3, 0x81, 0);
	assert_int_equal(fake.flying[0]->type, LIBUSB_TRANSFER_TYPE_BULK);
	land(0, LIBUSB_TRANSFER_COMPLETED, 64);
	assert_int_equal(verb(UW_VERB_ALLOC_STREAMS, 1, 2), UW_ST_OK);
	assert_int_equal(lab->io[MANY - 1].actual, 1);
}

static void test_streams_that_are_refused(void **state)
{
	static const struct {
		int from;
		uint32_t to;
	} cases[] = {
		{ LIBUSB_ERROR_INVALID_PARAM, UW_ST_UNSUPPORTED }, { LIBUSB_ERROR_NOT_SUPPORTED, UW_ST_UNSUPPORTED },
		{ LIBUSB_ERROR_OTHER, UW_ST_UNSUPPORTED }, { LIBUSB_ERROR_IO, UW_ST_HOST },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		fake.call_result = cases[i].from;
		assert_int_equal(verb(UW_VERB_ALLOC_STREAMS, 4, 2), cases[i].to);
		assert_int_equal(lab->io[MANY - 1].actual, 0);
	}
}

static void test_streams_end_with_their_setting(void **state)
{
	static const struct {
		uint8_t verb;
		uint16_t a, b;
		const char *calls;
	} cases[] = {
		{ UW_VERB_RESET, 0, 0, "free02 free81 reset " },
		{ UW_VERB_SET_INTERFACE, 0, 0, "free81 free02 alt0.0 " },
		{ UW_VERB_SET_CONFIGURATION, 1, 0, "free02 free81 release0 release1 config1 claim0 claim1 " },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		assert_int_equal(verb(UW_VERB_ALLOC_STREAMS, 4, 2), UW_ST_OK);
		*fake.calls = 0;
		assert_int_equal(verb(cases[i].verb, cases[i].a, cases[i].b), UW_ST_OK);
		assert_string_equal(fake.calls, cases[i].calls);
		assert_int_equal(submit_stream(0, 0x81, 1)->status, UW_ST_NO_ENDPOINT);
	}
}

static void test_streams_of_another_interface_go_on(void **state)
{
	(void)state;
	assert_int_equal(verb(UW_VERB_ALLOC_STREAMS, 4, 2), UW_ST_OK);
	*fake.calls = 0;
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 1, 1), UW_ST_OK);
	assert_string_equal(fake.calls, "alt1.1 ");
	submit_stream(0, 0x81, 1);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 64);
}

/* One stream's order does not wait for another's. */
static void test_streams_wait_one_by_one(void **state)
{
	(void)state;
	assert_int_equal(verb(UW_VERB_ALLOC_STREAMS, 4, 2), UW_ST_OK);
	fake.room = 0;
	submit_stream(0, 0x81, 1);
	fake.room = 8;
	submit_stream(1, 0x81, 1);
	submit_stream(2, 0x81, 2);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 64);
	assert_int_equal(lab->answers[2], 1);
	assert_int_equal(fake.count, 2);
	land(0, LIBUSB_TRANSFER_COMPLETED, 64);
	assert_int_equal(lab->answers[0], 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 64);
}

/* ---- isochronous ---- */

/* packets of length bytes each, step bytes apart, with all answers to be written. */
static struct uw_transfer_io *submit_isoch(uint32_t i, uint8_t endpoint, uint16_t packets, uint32_t length, uint32_t step)
{
	struct uw_transfer_io *io = &lab->io[i];
	uint32_t p;

	memset(io, 0, sizeof(*io));
	for (p = 0; p < packets; p++)
		lab->iso[p] = (struct uw_iso){ .offset = 8 + p * step, .length = length, .actual = 77, .status = 77 };
	*io = (struct uw_transfer_io){ .endpoint = endpoint, .type = UW_ISOCH, .length = 8 + packets * (step + length),
				       .data = lab->data, .packets = packets, .iso = lab->iso, .interval = 1 };
	lab->answers[i] = 0;
	lab->device->ops->submit(lab->device, io);
	return io;
}

static void packet(uint32_t p, enum libusb_transfer_status status, uint32_t actual)
{
	fake.flying[0]->iso_packet_desc[p].status = status;
	fake.flying[0]->iso_packet_desc[p].actual_length = actual;
}

static int setup_isoch(void **state)
{
	setup(state);
	open_device();
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 1, 1), UW_ST_OK);
	return 0;
}

static void test_packets_in_one_run(void **state)
{
	struct uw_transfer_io *io = submit_isoch(0, 0x84, 3, 64, 64);
	struct libusb_transfer *t = fake.flying[0];

	(void)state;
	assert_ptr_equal(t->buffer, lab->data + 8);
	assert_int_equal(t->type, LIBUSB_TRANSFER_TYPE_ISOCHRONOUS);
	assert_int_equal(t->num_iso_packets, 3);
	assert_int_equal(t->length, 192);
	assert_int_equal(t->iso_packet_desc[2].length, 64);
	packet(0, LIBUSB_TRANSFER_COMPLETED, 64);
	packet(1, LIBUSB_TRANSFER_ERROR, 0);
	packet(2, LIBUSB_TRANSFER_OVERFLOW, 60);
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
	assert_int_equal(lab->answers[0], 1);
	assert_int_equal(io->status, UW_ST_OK);
	assert_int_equal(io->actual, 124);
	assert_int_equal(io->copied, 0);
	assert_int_equal(lab->iso[0].status, UW_ST_OK);
	assert_int_equal(lab->iso[1].status, UW_ST_PROTOCOL);
	assert_int_equal(lab->iso[2].status, UW_ST_BABBLE);
	assert_int_equal(lab->iso[2].actual, 60);
}

/* With gaps, and on top of each other. */
static void test_packets_that_lie_apart(void **state)
{
	static const uint32_t steps[] = { 100, 10 };
	struct uw_transfer_io *io;
	uint32_t i, p;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(steps); i++) {
		io = submit_isoch(0, 0x84, 3, 64, steps[i]);
		assert_ptr_not_equal(fake.flying[0]->buffer, lab->data + 8);
		assert_int_equal(fake.flying[0]->length, 192);
		memset(lab->data, 0xee, 512);
		for (p = 0; p < 3; p++) {
			memset(fake.flying[0]->buffer + p * 64, (int)('a' + p), 64);
			packet(p, LIBUSB_TRANSFER_COMPLETED, 5 + p);
		}
		land(0, LIBUSB_TRANSFER_COMPLETED, 0);
		assert_int_equal(io->actual, 18);
		assert_int_equal(io->copied, 18);
		for (p = 0; p < 3; p++)
			assert_memory_equal(lab->data + 8 + p * steps[i], p == 0 ? "aaaaa" : p == 1 ? "bbbbbb" : "ccccccc", 5 + p);
		assert_int_equal(lab->data[8 + 5], 0xee);
	}
	for (i = 0; i < 300; i++)
		lab->data[i] = (uint8_t)i;
	io = submit_isoch(0, 0x05, 2, 4, 100);
	assert_memory_equal(fake.flying[0]->buffer, "\x08\x09\x0a\x0b\x6c\x6d\x6e\x6f", 8);
	packet(0, LIBUSB_TRANSFER_COMPLETED, 4);
	packet(1, LIBUSB_TRANSFER_COMPLETED, 4);
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
	assert_int_equal(io->actual, 8);
	assert_int_equal(io->copied, 8);
}

static void test_empty_packets_and_many(void **state)
{
	struct uw_transfer_io *io = submit_isoch(0, 0x84, 4, 0, 0);
	uint32_t p;

	(void)state;
	assert_int_equal(fake.flying[0]->length, 0);
	for (p = 0; p < 4; p++)
		packet(p, LIBUSB_TRANSFER_COMPLETED, 0);
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
	assert_int_equal(io->status, UW_ST_OK);
	io = submit_isoch(0, 0x84, 1024, 192, 192);
	assert_int_equal(lab->host.memory, 1024 * (192 + 16) + 8 * 1024);
	for (p = 0; p < 1024; p++)
		packet(p, LIBUSB_TRANSFER_COMPLETED, 192);
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
	assert_int_equal(io->actual, 1024 * 192);
	assert_int_equal(io->copied, 0);
	assert_int_equal(lab->host.memory, 0);
}

/* libusb could submit the first part only, called it back, and never had the rest. */
static void test_packets_that_were_never_sent(void **state)
{
	struct uw_transfer_io *io = submit_isoch(0, 0x84, 200, 10, 10);
	uint32_t p;

	(void)state;
	for (p = 0; p < 128; p++)
		packet(p, LIBUSB_TRANSFER_COMPLETED, p < 50 ? 10 : 0);
	land(0, LIBUSB_TRANSFER_ERROR, 0);
	assert_int_equal(io->status, UW_ST_OK);
	assert_int_equal(io->actual, 500);
	assert_int_equal(lab->iso[127].status, UW_ST_OK);
	assert_int_equal(lab->iso[128].status, UW_ST_LATE);
	assert_int_equal(lab->iso[128].actual, 0);
}

static void test_isochronous_waits_for_memory(void **state)
{
	struct uw_transfer_io *io;

	(void)state;
	fake.submit_result = LIBUSB_ERROR_IO; /* libusb has no better word */
	fake.submit_errno = ENOMEM;
	io = submit_isoch(0, 0x84, 3, 64, 64);
	assert_int_equal(lab->answers[0], 0);
	fake.submit_result = 0;
	lab->device->ops->timer(lab->device);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_CANCELLED, 0);
	assert_int_equal(io->status, UW_ST_CANCELLED);
	fake.submit_result = LIBUSB_ERROR_IO;
	fake.submit_errno = EINVAL;
	assert_int_equal(submit_isoch(0, 0x84, 3, 64, 64)->status, UW_ST_HOST);
}

static void test_impossible_packets(void **state)
{
	(void)state;
	assert_int_equal(submit_isoch(0, 0x84, 1, 98305, 0)->status, UW_ST_UNSUPPORTED);
	assert_int_equal(submit_isoch(0, 0x84, 1024, 98304, 0)->status, UW_ST_UNSUPPORTED);
	assert_int_equal(submit_isoch(0, 0x84, 11, 98304, 0)->status, UW_ST_UNSUPPORTED); /* above the limit */
	assert_int_equal(submit_isoch(0, 0x84, 0, 0, 0)->status, UW_ST_UNSUPPORTED);
	assert_int_equal(fake.count, 0);
}

/* ---- memory that runs out ---- */

static void test_no_memory_is_never_an_answer(void **state)
{
	uint32_t i;

	(void)state;
	fake.room = 2;
	for (i = 0; i < 10; i++)
		submit(i, 0x81, UW_BULK, 100);
	assert_int_equal(fake.count, 2);
	for (i = 0; i < 10; i++) {
		assert_ptr_equal(((struct uw_flight *)fake.flying[0]->user_data)->io, &lab->io[i]);
		land(0, LIBUSB_TRANSFER_COMPLETED, 100);
		assert_int_equal(lab->answers[i], 1);
	}
	assert_int_equal(fake.count, 0);
}

static void test_the_limit_is_respected_beforehand(void **state)
{
	(void)state;
	submit(0, 0x81, UW_BULK, 524288);
	submit(1, 0x81, UW_BULK, 524288);
	assert_int_equal(fake.count, 1);
	submit(2, 0x02, UW_BULK, 1000); /* another endpoint, and there is room */
	assert_int_equal(fake.count, 2);
	land(1, LIBUSB_TRANSFER_COMPLETED, 1000);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 524288);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 524288);
}

/* What the kernel could never take at once goes in pieces; later transfers of the endpoint wait for the last. */
static void test_large_transfers_go_in_pieces(void **state)
{
	struct uw_transfer_io *io = &lab->io[0];
	uint32_t i;

	(void)state;
	*io = (struct uw_transfer_io){ .endpoint = 2, .type = UW_BULK, .length = 1200000, .data = lab->data,
				       .flags = UW_SUBMIT_ZERO_PACKET };
	lab->device->ops->submit(lab->device, io);
	submit(1, 0x02, UW_BULK, 10);
	submit(2, 0x81, UW_BULK, 10);
	assert_int_equal(fake.count, 2);
	land(1, LIBUSB_TRANSFER_COMPLETED, 10);
	for (i = 0; i < 2; i++) {
		assert_ptr_equal(fake.flying[0]->buffer, lab->data + i * 524288);
		assert_int_equal(fake.flying[0]->length, 524288);
		assert_int_equal(fake.flying[0]->flags, 0);
		land(0, LIBUSB_TRANSFER_COMPLETED, 524288);
		assert_int_equal(lab->answers[0], 0);
	}
	assert_int_equal(fake.flying[0]->length, 1200000 - 2 * 524288);
	assert_int_equal(fake.flying[0]->flags, LIBUSB_TRANSFER_ADD_ZERO_PACKET);
	assert_int_equal(fake.count, 2);
	land(0, LIBUSB_TRANSFER_COMPLETED, 1200000 - 2 * 524288);
	assert_int_equal(lab->answers[0], 1);
	assert_int_equal(io->actual, 1200000);
	land(0, LIBUSB_TRANSFER_COMPLETED, 10);
	assert_int_equal(lab->answers[1], 1);
}

static void test_ends_between_pieces(void **state)
{
	struct uw_transfer_io *io = submit(0, 0x81, UW_BULK, 1200000);

	(void)state;
	land(0, LIBUSB_TRANSFER_COMPLETED, 524288);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100); /* short */
	assert_int_equal(io->status, UW_ST_OK);
	assert_int_equal(io->actual, 524388);
	io = submit(1, 0x81, UW_BULK, 1200000);
	lab->device->ops->cancel(lab->device, io); /* too late for this piece, but none follows */
	land(0, LIBUSB_TRANSFER_COMPLETED, 524288);
	assert_int_equal(lab->answers[1], 1);
	assert_int_equal(io->status, UW_ST_CANCELLED);
	assert_int_equal(io->actual, 524288);
	io = submit(2, 0x81, UW_BULK, 1200000);
	fake.submit_result = LIBUSB_ERROR_NO_MEM;
	land(0, LIBUSB_TRANSFER_COMPLETED, 524288);
	lab->device->ops->cancel(lab->device, io); /* while the next piece waits */
	assert_int_equal(lab->answers[2], 1);
	assert_int_equal(io->status, UW_ST_CANCELLED);
	assert_int_equal(io->actual, 524288);
	fake.submit_result = 0;
	io = submit(3, 0x81, UW_BULK, 1200000);
	land(0, LIBUSB_TRANSFER_STALL, 512);
	assert_int_equal(io->status, UW_ST_STALL);
	assert_int_equal(io->actual, 512);
}

static void test_others_have_the_memory(void **state)
{
	(void)state;
	fake.room = 0;
	submit(0, 0x81, UW_BULK, 100);
	assert_int_equal(lab->armed, lab->loop.now + 10 * UW_MS);
	lab->armed = UW_NEVER;
	lab->device->ops->timer(lab->device);
	assert_int_equal(lab->armed, lab->loop.now + 10 * UW_MS);
	fake.room = 1;
	lab->device->ops->timer(lab->device);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100);
	assert_int_equal(lab->answers[0], 1);
}

static void test_cancels(void **state)
{
	struct uw_transfer_io *flying = submit(0, 0x81, UW_BULK, 100), *held;
	struct timeval none = { 0, 0 };

	(void)state;
	fake.room = 0;
	held = submit(1, 0x81, UW_BULK, 100);
	lab->device->ops->cancel(lab->device, held);
	assert_int_equal(lab->answers[1], 1);
	assert_int_equal(held->status, UW_ST_CANCELLED);
	lab->device->ops->cancel(lab->device, flying);
	lab->device->ops->cancel(lab->device, flying);
	assert_int_equal(lab->answers[0], 0);
	libusb_handle_events_timeout_completed(&context, &none, NULL);
	assert_int_equal(lab->answers[0], 1);
	assert_int_equal(flying->status, UW_ST_CANCELLED);
	assert_int_equal(flying->actual, 3);
}

/* ---- configurations ---- */

static void test_configuration_after_a_reset(void **state)
{
	(void)state;
	/* The kernel has set it already. */
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "");
	/* A second time it is the guest's wish to begin anew. */
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 release1 config1 claim0 claim1 ");
}

static void test_alternate_settings_start_from_0(void **state)
{
	(void)state;
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 1, 1), UW_ST_OK);
	assert_int_equal(uw_usb_of(lab->device)->endpoint[uw_usb_index(0x84)], UW_ISOCH);
	assert_int_equal(verb(UW_VERB_RESET, 0, 0), UW_ST_OK);
	*fake.calls = 0;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "alt1.0 ");
	assert_int_equal(uw_usb_of(lab->device)->endpoint[uw_usb_index(0x84)], UW_USB_NO_ENDPOINT);
}

static void test_use_ends_freshness(void **state)
{
	(void)state;
	submit(0, 0x80, UW_CONTROL, 18);
	land(0, LIBUSB_TRANSFER_COMPLETED, 18);
	assert_true(uw_usb_of(lab->device)->fresh);
	submit(0, 0x81, UW_BULK, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 1);
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 release1 config1 claim0 claim1 ");
}

static void test_other_configurations(void **state)
{
	(void)state;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 2, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 release1 config2 claim0 ");
	*fake.calls = 0;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 0, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 config-1 ");
	*fake.calls = 0;
	fake.call_result = LIBUSB_ERROR_NOT_FOUND;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 9, 0), UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 1, 0), UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 200, 0), UW_ST_NO_ENDPOINT);
}

/* ---- open, close, and devices that go ---- */

static void test_opens_that_fail(void **state)
{
	const struct uw_backend *ops = lab->device->ops;

	(void)state;
	fake.call_result = LIBUSB_ERROR_NOT_FOUND;
	assert_int_not_equal(ops->open(lab->device), 0);
	assert_string_equal(fake.calls, "claim0 claim1 reset giveback0 giveback1 close ");
	assert_string_equal(uw_usb_reason(lab->device), "reset: Entity not found");
	plugged.product++;
	assert_int_not_equal(ops->open(lab->device), 0);
	assert_string_equal(uw_usb_reason(lab->device), "open: it is no longer there");
	plugged.product--;
	lab->opens = 0;
	assert_int_not_equal(ops->open(lab->device), 0);
	assert_string_equal(uw_usb_reason(lab->device), "open: Permission denied");
	lab->opens = 1;
	*fake.calls = 0;
	open_device();
}

static void test_close_ends_everything_once(void **state)
{
	uint32_t i;

	(void)state;
	fake.room = 4;
	for (i = 0; i < 10; i++)
		submit(i, 0x81, UW_BULK, 100);
	lab->device->ops->close(lab->device);
	for (i = 0; i < 10; i++) {
		assert_int_equal(lab->answers[i], 1);
		assert_int_equal(lab->io[i].status, UW_ST_CANCELLED);
	}
	assert_string_equal(fake.calls, "giveback0 giveback1 close ");
	*fake.calls = 0;
	open_device();
}

/* The kernel ends what is left when the node is closed. Takes as long as such transfers are waited for. */
static void test_close_of_a_device_that_never_answers(void **state)
{
	uint32_t i;

	(void)state;
	fake.deaf = true;
	for (i = 0; i < 3; i++)
		submit(i, 0x81, UW_BULK, 100);
	lab->device->ops->close(lab->device);
	for (i = 0; i < 3; i++) {
		assert_int_equal(lab->answers[i], 1);
		assert_int_equal(lab->io[i].status, UW_ST_CANCELLED);
	}
	assert_string_equal(fake.calls, "close ");
}

static uint32_t shut;

static void on_shut_device(struct uw_device *device)
{
	assert_ptr_equal(device, lab->device);
	shut++;
}

/* Without waiting: what is under way ends first, then the thread gives back, then it is told. */
static void test_shut(void **state)
{
	(void)state;
	shut = 0;
	fake.deaf = true;
	submit(0, 0x81, UW_BULK, 100);
	fake.room = 0;
	submit(1, 0x81, UW_BULK, 100);
	fake.room = MANY;
	uw_usb_shut(lab->device, on_shut_device);
	assert_int_equal(lab->answers[1], 1);
	assert_int_equal(lab->io[1].status, UW_ST_CANCELLED);
	assert_int_equal(submit(2, 0x81, UW_BULK, 1)->status, UW_ST_NO_DEVICE);
	assert_int_equal(lab->answers[0], 0);
	assert_string_equal(fake.calls, "");
	land(0, LIBUSB_TRANSFER_CANCELLED, 3);
	while (!shut)
		uw_returns_wait(&lab->returns);
	assert_int_equal(shut, 1);
	assert_int_equal(lab->answers[0], 1);
	assert_string_equal(fake.calls, "giveback0 giveback1 close ");
}

static void test_shut_of_a_device_that_never_answers(void **state)
{
	(void)state;
	shut = 0;
	fake.deaf = true;
	submit(0, 0x81, UW_BULK, 100);
	uw_usb_shut(lab->device, on_shut_device);
	assert_int_not_equal(lab->armed, UW_NEVER);
	lab->loop.now = lab->armed;
	lab->device->ops->timer(lab->device);
	while (!shut)
		uw_returns_wait(&lab->returns);
	assert_int_equal(lab->answers[0], 1);
	assert_int_equal(lab->io[0].status, UW_ST_CANCELLED);
	assert_string_equal(fake.calls, "close ");
}

static void test_unplugged(void **state)
{
	(void)state;
	fake.call_result = LIBUSB_ERROR_NOT_FOUND;
	assert_int_equal(verb(UW_VERB_RESET, 0, 0), UW_ST_NO_DEVICE);
	assert_int_equal(lab->gone, 1);
	assert_int_equal(submit(0, 0x81, UW_BULK, 1)->status, UW_ST_NO_DEVICE);
	lab->device->ops->clear_halt(lab->device, &lab->io[1]);
	assert_int_equal(lab->io[1].status, UW_ST_NO_DEVICE);
	assert_int_equal(lab->gone, 1);
}

static void test_hubs_are_refused(void **state)
{
	struct uw_outcome outcome = { 0 };

	(void)state;
	plugged.hub = true;
	assert_null(uw_usb_new(&lab->host, &lab->thread, "1-4", &outcome));
	assert_int_equal(outcome.status, UW_CTL_HUB);
	assert_non_null(strstr(outcome.text, "1-4 is a hub"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup_open, teardown)
#define ISOCH(name) cmocka_unit_test_setup_teardown(name, setup_isoch, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_ends_of_transfers),
		CASE(test_refused_submits),
		CASE(test_results_of_verbs),
		CASE(test_buffers_are_the_region),
		CASE(test_control_has_its_setup_packet),
		CASE(test_zero_packets),
		CASE(test_endpoints_that_are_not_there),
		CASE(test_suspend_that_cannot_be),
		CASE(test_streams),
		CASE(test_streams_that_are_refused),
		CASE(test_streams_end_with_their_setting),
		CASE(test_streams_of_another_interface_go_on),
		CASE(test_streams_wait_one_by_one),
		ISOCH(test_packets_in_one_run),
		ISOCH(test_packets_that_lie_apart),
		ISOCH(test_empty_packets_and_many),
		ISOCH(test_packets_that_were_never_sent),
		ISOCH(test_isochronous_waits_for_memory),
		ISOCH(test_impossible_packets),
		CASE(test_no_memory_is_never_an_answer),
		CASE(test_the_limit_is_respected_beforehand),
		CASE(test_large_transfers_go_in_pieces),
		CASE(test_ends_between_pieces),
		CASE(test_others_have_the_memory),
		CASE(test_cancels),
		CASE(test_configuration_after_a_reset),
		CASE(test_alternate_settings_start_from_0),
		CASE(test_use_ends_freshness),
		CASE(test_other_configurations),
		cmocka_unit_test_setup_teardown(test_opens_that_fail, setup, teardown),
		CASE(test_close_ends_everything_once),
		CASE(test_close_of_a_device_that_never_answers),
		CASE(test_shut),
		CASE(test_shut_of_a_device_that_never_answers),
		CASE(test_unplugged),
		CASE(test_hubs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
