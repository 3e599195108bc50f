/* SPDX-License-Identifier: GPL-2.0-only */
/* The camera model: what it negotiates, and every byte of its picture and its sound, with the clock it keeps. */
#include "model_host.h"

#define VIDEO 0x81
#define AUDIO 0x82
#define PACKET 1023u
#define FRAME (160u * 120 * 2)
#define FRAME_TIME 50u             /* packets */

static int start(void **state) { return host_start(state, "camera"); }

/* Packets of size bytes, one after the other; they take that many milliseconds. */
static void receive(struct host *h, struct xfer *x, uint8_t endpoint, uint8_t *data, uint32_t packets, uint32_t size)
{
	uint64_t begin = h->t;
	uint32_t i;

	assert_true(packets <= UW_COUNT_OF(x->iso));
	xfer_init(x, UW_ISOCH, endpoint, data, packets * size);
	x->io.packets = packets;
	x->io.iso = x->iso;
	for (i = 0; i < packets; i++)
		x->iso[i] = (struct uw_iso){ i * size, size, 0xdead, 0xdead };
	submit(h, x);
	host_run(h, h->t + 100 * UW_MS);
	assert_int_equal(x->done, 1);
	assert_int_equal(x->io.status, UW_ST_OK);
	assert_in_range((x->when - begin) / UW_MS, packets - 1, packets + 1);
	for (i = 0; i < packets; i++)
		assert_int_equal(x->iso[i].status, UW_ST_OK);
}

/* Puts one frame together from its packets; its number, as the headers and the first pixel tell it. */
static uint8_t take_frame(const struct xfer *x, uint8_t *frame)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < FRAME_TIME; i++) {
		const uint8_t *p = x->data + x->iso[i].offset;

		assert_in_range(x->iso[i].actual, 2, PACKET);
		assert_int_equal(p[0], 2);
		assert_int_equal(p[1] & ~3, 0x80);
		assert_int_equal(p[1] & 1, x->data[1] & 1);
		assert_true(at + x->iso[i].actual - 2 <= FRAME);
		memcpy(frame + at, p + 2, x->iso[i].actual - 2);
		at += x->iso[i].actual - 2;
		assert_int_equal(p[1] >> 1 & 1, at == FRAME && x->iso[i].actual > 2);
	}
	assert_int_equal(at, FRAME);
	assert_int_equal(frame[0] & 1, x->data[1] & 1);
	return frame[0];
}

static void test_frames_in_order(void **state)
{
	struct host *h = *state;
	static uint8_t data[FRAME_TIME * PACKET], frame[FRAME];
	static struct xfer x;

	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 1, 1, NULL), UW_ST_OK);
	for (uint32_t n = 0; n < 3; n++) {
		receive(h, &x, VIDEO, data, FRAME_TIME, PACKET);
		assert_int_equal(take_frame(&x, frame), n);
		for (uint32_t y = 0; y < 120; y++)
			for (uint32_t i = 0; i < 160; i++)
				assert_int_equal(frame[(y * 160 + i) * 2], (i + y + n) & 0xff);
	}
}

static void test_samples_in_order(void **state)
{
	struct host *h = *state;
	static uint8_t data[10 * 96];
	static struct xfer x;
	uint16_t want = 0;

	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 3, 1, NULL), UW_ST_OK);
	for (uint32_t n = 0; n < 200; n++) {
		receive(h, &x, AUDIO, data, 10, 96);
		for (uint32_t i = 0; i < sizeof(data); i += 2, want++)
			assert_int_equal(data[i] | data[i + 1] << 8, want);
	}
}

/* One is switched on while the other runs, which goes on where it was. */
static void test_picture_and_sound_do_not_disturb_each_other(void **state)
{
	struct host *h = *state;
	static uint8_t data[FRAME_TIME * PACKET], frame[FRAME];
	static struct xfer x;

	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 3, 1, NULL), UW_ST_OK);
	receive(h, &x, AUDIO, data, 1, 96);
	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 1, 1, NULL), UW_ST_OK);
	receive(h, &x, VIDEO, data, FRAME_TIME, PACKET);
	assert_int_equal(take_frame(&x, frame), 0);
	receive(h, &x, AUDIO, data, 1, 96);
	assert_int_equal(data[0], 48);
	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 3, 0, NULL), UW_ST_OK);
	receive(h, &x, VIDEO, data, FRAME_TIME, PACKET);
	assert_int_equal(take_frame(&x, frame), 1);
	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 3, 1, NULL), UW_ST_OK);
	receive(h, &x, AUDIO, data, 1, 96);
	assert_int_equal(data[0], 0);
}

/* Less room than a packet: USB has a word for it, and the next packet is whole. */
static void test_packets_that_do_not_fit(void **state)
{
	struct host *h = *state;
	static uint8_t data[2 * PACKET];
	static struct xfer x;

	assert_int_equal(verb(h, UW_VERB_SET_INTERFACE, 3, 1, NULL), UW_ST_OK);
	xfer_init(&x, UW_ISOCH, AUDIO, data, 192);
	x.io.packets = 2;
	x.io.iso = x.iso;
	x.iso[0] = (struct uw_iso){ 0, 95, 0xdead, 0xdead };
	x.iso[1] = (struct uw_iso){ 96, 96, 0xdead, 0xdead };
	submit(h, &x);
	host_run(h, h->t + 100 * UW_MS);
	assert_int_equal(x.iso[0].status, UW_ST_BABBLE);
	assert_int_equal(x.iso[1].status, UW_ST_OK);
	assert_int_equal(data[96], 48);
}

static void test_negotiation(void **state)
{
	struct host *h = *state;
	uint8_t answer[32];

	for (uint16_t value = 0x100; value <= 0x200; value += 0x100) {
		for (uint8_t request = 0x81; request <= 0x87; request++) {
			int want = request == 0x85 ? 2 : request == 0x86 ? 1 : 26;

			assert_int_equal(control(h, 0xa1, request, value, 1, answer, 26), want);
		}
		assert_int_equal(control(h, 0xa1, 0x81, value, 1, answer, 26), 26);
		assert_int_equal(answer[18] | answer[19] << 8, FRAME);
		assert_int_equal(answer[22] | answer[23] << 8, PACKET);
		assert_int_equal(control(h, 0x21, 0x01, value, 1, answer, 26), 26);
		assert_int_equal(control(h, 0x21, 0x01, value, 1, answer, 25), -UW_ST_STALL);
		assert_int_equal(control(h, 0xa1, 0x81, value, 1, answer, 8), 8);
	}
	assert_int_equal(control(h, 0xa1, 0x81, 0x300, 1, answer, 26), -UW_ST_STALL);
	assert_int_equal(control(h, 0xa1, 0x81, 0x200, 0, answer, 26), -UW_ST_STALL); /* another interface */
	assert_int_equal(control(h, 0xa1, 0x88, 0x100, 1, answer, 26), -UW_ST_STALL);
	configure(h, 0);
	assert_int_equal(control(h, 0xa1, 0x81, 0x100, 1, answer, 26), -UW_ST_STALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames_in_order, start, host_stop),
		cmocka_unit_test_setup_teardown(test_samples_in_order, start, host_stop),
		cmocka_unit_test_setup_teardown(test_picture_and_sound_do_not_disturb_each_other, start, host_stop),
		cmocka_unit_test_setup_teardown(test_packets_that_do_not_fit, start, host_stop),
		cmocka_unit_test_setup_teardown(test_negotiation, start, host_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
